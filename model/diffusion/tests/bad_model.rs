//! Files that are missing, damaged or lying: each is refused in one line that names what is wrong, and nothing panics.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::error::LoadError;
use lacuna_diffusion::net::Net;
use lacuna_diffusion::replay::replay;
use lacuna_diffusion::weights::{ModelSource, Weights};
use lacuna_kernels::Precision;
use safetensors::tensor::Dtype;
use std::path::Path;
use support::{Loose, TempDir, Tensors, fixture, model_with, read, write};

fn load(dir: &Path) -> Result<Net, LoadError> {
    Net::load(&ModelSource::Dir(dir.to_path_buf()), Precision::F32)
}

/// The message about the `small` checkpoint after `change`, without its file's path, with which it must begin.
fn message(change: impl FnOnce(&mut Tensors)) -> String {
    let mut tensors = read(&fixture("small").join("model.safetensors"));
    change(&mut tensors);
    let dir = model_with(&tensors);
    let message = load(dir.path()).unwrap_err().to_string();
    let file = dir.path().join("model.safetensors").display().to_string();
    let rest = message.strip_prefix(&file).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or_else(|| panic!("{file} is not named: {message}")).to_owned()
}

/// The message about a file made of `header` and `data` bytes.
fn header_message(header: &str, data: usize) -> String {
    let dir = TempDir::new();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
    open(dir.path()).err().map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

fn open(dir: &Path) -> Result<Weights, LoadError> {
    Weights::open(&ModelSource::Dir(dir.to_path_buf()))
}

#[test]
fn missing_files_are_named() {
    let dir = TempDir::new();
    let message = load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("config.json: No such file"), "{message}");
    std::fs::copy(fixture("small").join("config.json"), dir.path().join("config.json")).unwrap();
    let message = load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("model.safetensors: No such file"), "{message}");
}

#[test]
fn weights_that_do_not_fit_the_config_are_named() {
    let name = "model.decoder.layers.3.self_attn.k_proj.weight";
    let missing = message(|tensors| drop(tensors.remove(name)));
    let anew = "fetch it anew, together with the config.json beside it";
    assert_eq!(missing, format!("tensor {name}: missing (expected shape [32, 64]); {anew}"));
    let shape = message(|tensors| drop(tensors.insert(name.to_owned(), Loose::f32(&[64, 32], [0.0; 2048]))));
    assert_eq!(shape, format!("tensor {name}: expected shape [32, 64], found [64, 32]; {anew}"));
    let whole = |tensors: &mut Tensors| {
        let tensor = tensors.get_mut(name).unwrap();
        (tensor.dtype, tensor.bytes) = (Dtype::I32, tensor.bytes.clone());
    };
    assert_eq!(
        message(whole),
        format!(
            "tensor {name}: expected dtype F32, F16 or BF16, found I32; convert it, or take another model"
        )
    );
    let spoilt = |tensors: &mut Tensors| {
        let mut values = tensors[name].values();
        values[77] = f32::INFINITY;
        tensors.insert(name.to_owned(), Loose::f32(&[32, 64], values));
    };
    assert_eq!(
        message(spoilt),
        format!(
            "tensor {name}: element 77 is inf, weights must be finite; the file is damaged, fetch it again"
        )
    );
}

#[test]
fn headers_that_lie_are_caught() {
    let check = |header: &str, data: usize, expected: &str| {
        let message = header_message(header, data);
        assert!(message.contains(expected), "{header}: {message}");
    };
    check(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8, "no error");
    check(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4, "claims bytes 0..8 of 4");
    check(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 12, "the tensors end at byte");
    check(
        r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
        8,
        "tensor a of F32 [3] claims 8 bytes",
    );
    check(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8, "claims bytes 8..0");
    let shape = format!("[{},4]", u64::MAX / 2);
    let overflow = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,8]}}}}"#);
    check(&overflow, 8, "claims 8 bytes");
    let far = format!(r#"{{"a":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#, u64::MAX);
    check(&far, 8, "claims bytes");
    let overlap = r#"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}}"#;
    check(overlap, 12, "tensor b overlaps its neighbour");
    let gap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}}"#;
    check(gap, 12, "tensor b leaves a gap");
    check("not json", 0, "the header is not valid");
    check(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8, "the header is not valid");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let dir = TempDir::new();
    let path = dir.path().join("model.safetensors");
    write(&path, &Tensors::from([("a".to_owned(), Loose::f32(&[4], [1.0; 4]))]));
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let message = open(dir.path()).err().unwrap_or_else(|| panic!("cut at {length}")).to_string();
        assert!(message.contains("model.safetensors"), "{message}");
    }
}

#[test]
fn no_flipped_bit_of_a_header_panics() {
    let dir = TempDir::new();
    let path = dir.path().join("model.safetensors");
    write(&path, &Tensors::from([("a".to_owned(), Loose::f32(&[4], [1.0; 4]))]));
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for bit in 0..(whole.len() - 16) * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, bytes).unwrap();
        // Some flips only rename the tensor or change spaces; then the tensor is missing or as it was.
        let outcome = open(dir.path()).and_then(|weights| weights.f32("a", &[4]));
        refused += usize::from(outcome.is_err());
    }
    assert!(refused > (whole.len() - 16) * 6, "{refused} refused");
}

#[test]
fn an_index_may_name_only_files_beside_it() {
    let check = |shard: &str, expected: &str| {
        let dir = TempDir::new();
        let index = serde_json::json!({"weight_map": {"a": shard}}).to_string();
        std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
        let message = open(dir.path()).err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check("model-00001-of-00002.safetensors", "model-00001-of-00002.safetensors: No such file");
    for outside in ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "a\\b", "C:x"] {
        check(outside, "expected file names in the same directory");
    }
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let dir = TempDir::new();
    let tensors = Tensors::from([("a".to_owned(), Loose::f32(&[4], [1.0; 4]))]);
    write(&dir.path().join("x.safetensors"), &tensors);
    write(&dir.path().join("y.safetensors"), &tensors);
    let index = r#"{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}"#;
    std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    let message = open(dir.path()).err().unwrap().to_string();
    assert!(message.contains("tensor a stands in an earlier shard too"), "{message}");
}

/// Of several files the one at fault is named, and their index where none is.
#[test]
fn of_several_shards_the_one_at_fault_is_named() {
    let dir = TempDir::new();
    let one = Tensors::from([("a".to_owned(), Loose::f32(&[4], [1.0; 4]))]);
    let two = Tensors::from([("b".to_owned(), Loose::f32(&[4], [f32::NAN; 4]))]);
    write(&dir.path().join("x.safetensors"), &one);
    write(&dir.path().join("y.safetensors"), &two);
    let index = dir.path().join("model.safetensors.index.json");
    std::fs::write(&index, r#"{"weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}"#).unwrap();
    let weights = open(dir.path()).unwrap();
    let begins = |name: &str, shape: &[usize], file: &Path| {
        let message = weights.f32(name, shape).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: tensor {name}: ", file.display())), "{message}");
    };
    begins("a", &[2, 2], &dir.path().join("x.safetensors"));
    begins("b", &[4], &dir.path().join("y.safetensors"));
    begins("c", &[4], &index);
}

/// The message about a recording of the `small` checkpoint after `change`; what stood at the output must still stand.
fn recording_message(change: impl FnOnce(&mut Tensors)) -> String {
    let dir = TempDir::new();
    let mut tensors = read(&fixture("small").with_file_name("plain.safetensors"));
    change(&mut tensors);
    let (input, output) = (dir.path().join("in.safetensors"), dir.path().join("out.safetensors"));
    write(&input, &tensors);
    std::fs::write(&output, "before").unwrap();
    let message = replay(&fixture("small"), &input, &output).unwrap_err().to_string();
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "before");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no partial file is left");
    message
}

#[test]
fn recordings_are_held_to_their_description() {
    let check = |change: &dyn Fn(&mut Tensors), expected: &str| {
        let message = recording_message(change);
        assert!(message.contains(expected), "{message}");
    };
    check(&|tensors| drop(tensors.remove("renoise")), "tensor renoise: missing");
    check(
        &|tensors| tensors.get_mut("prompt_ids").unwrap().bytes[..8].copy_from_slice(&320_i64.to_le_bytes()),
        "tensor prompt_ids: expected ids in 0..320, found 320",
    );
    check(
        &|tensors| tensors.get_mut("canvas_0").unwrap().shape = vec![32],
        "tensor canvas_0: expected shape [2, 16], found [32]",
    );
    check(
        &|tensors| drop(tensors.insert("clamp_mask".to_owned(), Loose::f32(&[2, 16], [0.0; 32]))),
        "tensor clamp_mask: expected dtype U8 or BOOL, found F32",
    );
}

#[test]
fn a_result_that_cannot_be_written_is_one_line() {
    let input = fixture("small").with_file_name("plain.safetensors");
    let output = TempDir::new().path().join("no").join("such").join("out.safetensors");
    let message = replay(&fixture("small"), &input, &output).unwrap_err().to_string();
    assert!(message.contains("out.safetensors: cannot be written"), "{message}");
    assert_eq!(message.lines().count(), 1);
}
