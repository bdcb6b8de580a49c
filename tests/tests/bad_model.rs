//! Damaged and contradictory models: one clear line on stderr that names the culprit, exit code 2, nothing written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup};
use lacuna_tests::servers::shipped;
use lacuna_tests::{Run, lacuna, workspace_root};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SOURCE: &str = "fn add(a: i32, b: i32) -> i32 {\n    todo!()\n}\n";

/// What is to be done about a file that is not there.
const HOLDS: &str = "a model directory holds config.json, tokenizer.json and model.safetensors";
/// About one that can be read and is not what it should be.
const AGAIN: &str = "fetch the file again";

/// A copy of the shipped model to damage, beside a file with a hole.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let model = folder.path().join("model");
        fs::create_dir(&model).unwrap();
        for name in ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(workspace_root().join("model/mini").join(name), model.join(name)).unwrap();
        }
        fs::write(folder.path().join("hole.rs"), SOURCE).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("model").join(name)
    }

    fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap();
        edit(&mut value);
        fs::write(self.file(name), serde_json::to_vec(&value).unwrap()).unwrap();
    }

    /// Rewrites the header of the weights, leaving the data as it is.
    fn edit_header(&self, edit: impl FnOnce(&mut Value)) {
        let bytes = fs::read(self.file("model.safetensors")).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        edit(&mut header);
        let header = serde_json::to_vec(&header).unwrap();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(&header);
        out.extend(&bytes[8 + length..]);
        fs::write(self.file("model.safetensors"), out).unwrap();
    }

    fn fill(&self) -> Run {
        lacuna(self.folder.path(), &["fill", "hole.rs", "--in-place", "--model", "model"])
    }

    /// The run must fail with exactly one line that holds every one of `says`, and leave the source alone.
    fn check(&self, says: &[&str]) {
        let run = self.fill();
        assert_eq!(run.code, Some(2), "{run:?}");
        assert_eq!(run.stderr.trim_end().lines().count(), 1, "one line, found:\n{}", run.stderr);
        assert!(run.stderr.starts_with("lacuna: "), "{}", run.stderr);
        for part in says {
            assert!(run.stderr.contains(part), "expected {part:?} in: {}", run.stderr);
        }
        assert_eq!(run.stdout, "");
        self.untouched();
    }

    /// Why the server has no model.
    fn server_says(&self) -> String {
        let mut client = Client::start(&shipped());
        let model = self.folder.path().join("model");
        client.initialize(&Setup::with_options(json!({"engine": {"model": model}})));
        let status = client.state("error");
        assert_eq!(client.shut_down(), Some(0));
        status["message"].as_str().unwrap().to_owned()
    }

    fn untouched(&self) {
        assert_eq!(fs::read_to_string(self.folder.path().join("hole.rs")).unwrap(), SOURCE);
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["hole.rs", "model"], "no temporary file is left behind");
    }
}

fn largest_tensor(header: &Value) -> String {
    let size = |value: &Value| {
        value["data_offsets"][1].as_u64().unwrap_or(0) - value["data_offsets"][0].as_u64().unwrap_or(0)
    };
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    tensors.max_by_key(|(_, value)| size(value)).unwrap().0.clone()
}

/// After `damage`, every command and the server say this about that file of the model: its path as it was given, what was
/// expected, what came, and what to do.
fn check_said(file: &str, says: &[&str], damage: impl FnOnce(&Bench)) {
    let bench = Bench::new();
    damage(&bench);
    let says = |given: &str, message: &str| {
        for part in [given].iter().chain(says) {
            assert!(message.contains(part), "expected {part:?} in: {message}");
        }
        assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    };
    let path = format!("./model/{file}");
    for args in [["fill", "hole.rs"].as_slice(), &["refine", "hole.rs:2"], &["doctor"]] {
        let run = lacuna(bench.folder.path(), &[args, &["--model", "./model"]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        says(&format!("{path}: "), &run.stderr);
    }
    let replay = ["replay", "--model", "./model", "--replay", "in", "--out", "out"];
    if file != "tokenizer.json" {
        // A replay is of tokens.
        says(&format!("{path}: "), &lacuna(bench.folder.path(), &replay).stderr);
    }
    bench.untouched();
    says(&format!("{}: ", bench.file(file).display()), &bench.server_says());
}

#[test]
fn a_file_that_is_not_there_is_named_by_its_path() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        check_said(file, &["No such file", HOLDS], |bench| fs::remove_file(bench.file(file)).unwrap());
    }
}

#[test]
fn a_file_that_is_no_json_is_named_by_its_path() {
    for file in ["config.json", "generation_config.json", "tokenizer.json"] {
        check_said(file, &["line 1 column", AGAIN], |bench| fs::write(bench.file(file), "{\"a\": ").unwrap());
    }
    check_said("config.json", &["not a JSON object: found [1]", AGAIN], |bench| {
        fs::write(bench.file("config.json"), "[1]").unwrap();
    });
}

#[test]
fn a_value_of_another_kind_is_named_by_its_path_and_key() {
    let remedy = "correct the file, or take another model";
    let hidden = "text_config.hidden_size: expected a whole number in 1..=1048576, found \"wide\"";
    check_said("config.json", &[hidden, remedy], |bench| {
        bench.edit_json("config.json", |config| config["text_config"]["hidden_size"] = json!("wide"));
    });
    check_said("config.json", &["text_config: expected an object, found nothing", remedy], |bench| {
        bench.edit_json("config.json", |config| drop(config.as_object_mut().unwrap().remove("text_config")));
    });
    check_said("generation_config.json", &["t_max: expected a number", "found \"hot\"", remedy], |bench| {
        bench.edit_json("generation_config.json", |config| config["t_max"] = json!("hot"));
    });
}

#[test]
fn truncated_weights_are_named_by_their_path() {
    check_said("model.safetensors", &["damaged safetensors: ", "truncated", AGAIN], |bench| {
        let bytes = fs::read(bench.file("model.safetensors")).unwrap();
        fs::write(bench.file("model.safetensors"), &bytes[..bytes.len() - 5000]).unwrap();
    });
}

#[test]
fn files_of_different_models_are_named_by_their_path() {
    check_said(
        "model.safetensors",
        &["tensor model.", "expected shape", "found", "fetch it anew"],
        |bench| {
            bench.edit_json("config.json", |config| config["text_config"]["intermediate_size"] = json!(8));
        },
    );
    check_said("tokenizer.json", &["the token \"<|nobody|>\"", "fetch both from one"], |bench| {
        bench.edit_json("config.json", |config| config["lacuna"]["prompt"]["begin"] = json!(["<|nobody|>"]));
    });
}

#[test]
fn the_undamaged_copy_works() {
    let bench = Bench::new();
    let run = lacuna(bench.folder.path(), &["fill", "hole.rs", "--model", "model", "--json"]);
    assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    bench.untouched();
}

#[test]
fn no_such_folder() {
    let bench = Bench::new();
    fs::remove_dir_all(bench.folder.path().join("model")).unwrap();
    let run = bench.fill();
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(
        run.stderr.contains("the model at model cannot be used: there is no such directory"),
        "{}",
        run.stderr
    );
    let said = bench.server_says();
    let model = bench.folder.path().join("model").display().to_string();
    assert!(
        said.contains(&format!("the model at {model} cannot be used: there is no such directory")),
        "{said}"
    );
}

#[test]
fn weights_missing() {
    let bench = Bench::new();
    fs::remove_file(bench.file("model.safetensors")).unwrap();
    bench.check(&["model.safetensors"]);
}

#[test]
fn tokenizer_missing() {
    let bench = Bench::new();
    fs::remove_file(bench.file("tokenizer.json")).unwrap();
    bench.check(&["tokenizer.json"]);
}

#[test]
fn config_missing() {
    let bench = Bench::new();
    fs::remove_file(bench.file("config.json")).unwrap();
    bench.check(&["config.json"]);
}

#[test]
fn weights_truncated() {
    for keep in [0, 5, 8, 100, 5000] {
        let bench = Bench::new();
        let bytes = fs::read(bench.file("model.safetensors")).unwrap();
        fs::write(bench.file("model.safetensors"), &bytes[..keep]).unwrap();
        bench.check(&["model.safetensors"]);
    }
}

#[test]
fn weights_truncated_by_one_byte() {
    let bench = Bench::new();
    let bytes = fs::read(bench.file("model.safetensors")).unwrap();
    fs::write(bench.file("model.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    bench.check(&["model.safetensors"]);
}

#[test]
fn header_with_flipped_bits() {
    for at in [0, 3, 7, 8, 20] {
        let bench = Bench::new();
        let mut bytes = fs::read(bench.file("model.safetensors")).unwrap();
        bytes[at] ^= 0x80;
        fs::write(bench.file("model.safetensors"), bytes).unwrap();
        bench.check(&["model.safetensors"]);
    }
}

#[test]
fn header_that_lies_about_sizes() {
    let bench = Bench::new();
    bench.edit_header(|header| {
        let name = largest_tensor(header);
        let end = header[&name]["data_offsets"][1].as_u64().unwrap();
        header[&name]["data_offsets"][1] = json!(end + (1_u64 << 40));
    });
    bench.check(&["model.safetensors"]);
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let bench = Bench::new();
    let mut changed = (String::new(), Value::Null);
    bench.edit_header(|header| {
        let name = largest_tensor(header);
        let shape = header[&name]["shape"].as_array_mut().unwrap();
        let (a, b) = (shape[0].as_u64().unwrap(), shape[1].as_u64().unwrap());
        shape[0] = json!(a / 2);
        shape[1] = json!(b * 2);
        changed = (name.clone(), header[&name]["shape"].clone());
    });
    let (name, shape) = changed;
    bench.check(&[&name, &shape[0].to_string(), &shape[1].to_string(), "expected", "found"]);
}

#[test]
fn a_missing_tensor_is_named() {
    let bench = Bench::new();
    bench.edit_header(|header| {
        let tensors = header.as_object_mut().unwrap();
        let norm = tensors.remove("model.decoder.norm.weight").unwrap();
        tensors.insert("model.decoder.norm.wait".to_owned(), norm);
    });
    bench.check(&["model.decoder.norm.weight"]);
}

#[test]
fn weights_that_are_not_numbers() {
    let bench = Bench::new();
    let mut bytes = fs::read(bench.file("model.safetensors")).unwrap();
    let last = bytes.len();
    bytes[last - 64..].fill(0xff); // not-a-number in bf16, f16 and f32 alike
    fs::write(bench.file("model.safetensors"), bytes).unwrap();
    bench.check(&["tensor model.", "finite"]);
}

#[test]
fn an_unknown_architecture_is_named() {
    let bench = Bench::new();
    bench.edit_json("config.json", |config| config["architectures"] = json!(["LlamaForCausalLM"]));
    bench.check(&["LlamaForCausalLM", "DiffusionGemmaForBlockDiffusion"]);
}

#[test]
fn an_unknown_activation_is_named() {
    let bench = Bench::new();
    bench.edit_json("config.json", |config| config["text_config"]["hidden_activation"] = json!("swish9"));
    bench.check(&["swish9", "gelu_pytorch_tanh"]);
}

#[test]
fn sizes_that_cannot_be() {
    for (key, value) in
        [("hidden_size", json!(0)), ("num_hidden_layers", json!(-3)), ("vocab_size", json!(1_u64 << 60))]
    {
        let bench = Bench::new();
        bench.edit_json("config.json", |config| config["text_config"][key] = value);
        bench.check(&[key]);
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let bench = Bench::new();
    bench.edit_json("tokenizer.json", |tokenizer| {
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        let next = vocabulary.len();
        for extra in 0..5000 {
            vocabulary.insert(format!("extra{extra}"), json!(next + extra));
        }
    });
    bench.check(&["tokenizer.json", "vocab_size"]);
}

#[test]
fn json_that_is_none() {
    for name in ["config.json", "generation_config.json", "tokenizer.json"] {
        let bench = Bench::new();
        fs::write(bench.file(name), "{\"a\": ").unwrap();
        bench.check(&[name]);
    }
}

#[test]
fn a_shard_index_that_points_outside_or_nowhere() {
    for target in ["absent.safetensors", "../hole.rs", "/etc/hostname"] {
        let bench = Bench::new();
        fs::remove_file(bench.file("model.safetensors")).unwrap();
        let index = json!({"metadata": {}, "weight_map": {"model.decoder.norm.weight": target}});
        fs::write(bench.file("model.safetensors.index.json"), index.to_string()).unwrap();
        let name = target.rsplit('/').next().unwrap();
        bench.check(&[name]);
    }
}

#[test]
fn a_folder_where_a_file_should_be() {
    let bench = Bench::new();
    fs::remove_file(bench.file("config.json")).unwrap();
    fs::create_dir(bench.file("config.json")).unwrap();
    bench.check(&["config.json"]);
    assert!(Path::new(&bench.file("config.json")).is_dir());
}
