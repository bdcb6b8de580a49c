//! What the network promises whatever the weights: same bits in pieces, in batches, on any number of threads, from any
//! form of the same file; bounds and cancellation.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use half::{bf16, f16};
use lacuna_diffusion::kv::KvCache;
use lacuna_diffusion::net::{Canvases, Net};
use lacuna_diffusion::weights::ModelSource;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::Precision;
use safetensors::tensor::Dtype;
use std::path::Path;
use std::sync::LazyLock;
use support::{Loose, Tensors, fixture, model_with, read, write};

static NET: LazyLock<Net> = LazyLock::new(|| load(&fixture("small")));

fn load(dir: &Path) -> Net {
    Net::load(&ModelSource::Dir(dir.to_path_buf()), Precision::F32).unwrap()
}

/// Some token ids below the fixture's vocabulary.
fn ids(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * 37 + seed * 101 + i * i) % 320) as u32).collect()
}

fn cache(net: &Net, ids: &[u32]) -> KvCache {
    let mut cache = KvCache::new(net.config(), net.precision());
    net.encode(&mut cache, ids, &CancelToken::new()).unwrap();
    cache
}

fn canvases(tokens: &[u32], batch: usize) -> Canvases<'_> {
    Canvases { tokens, batch, soft: None, rows: None }
}

/// Logits of one canvas after a prompt: enough to tell two networks apart.
fn fingerprint(net: &Net) -> Vec<f32> {
    let cache = cache(net, &ids(30, 1));
    net.denoise(&cache, &canvases(&ids(16, 2), 1), &CancelToken::new()).unwrap()
}

#[test]
fn a_prompt_read_in_pieces_is_the_prompt_read_at_once() {
    let prompt = ids(75, 3);
    let mut whole = KvCache::new(NET.config(), NET.precision());
    let expected = NET.encode(&mut whole, &prompt, &CancelToken::new()).unwrap();
    let (mut pieces, mut found) = (KvCache::new(NET.config(), NET.precision()), Vec::new());
    for piece in [&prompt[..7], &prompt[7..8], &prompt[8..40], &prompt[40..]] {
        found.extend(NET.encode(&mut pieces, piece, &CancelToken::new()).unwrap());
    }
    assert!(expected == found, "hidden states differ");
    let canvas = ids(16, 4);
    let denoise = |cache| NET.denoise(cache, &canvases(&canvas, 1), &CancelToken::new()).unwrap();
    assert!(denoise(&whole) == denoise(&pieces), "what the canvas sees differs");
    let mut only_read = KvCache::new(NET.config(), NET.precision());
    NET.read(&mut only_read, &prompt[..50], &CancelToken::new()).unwrap();
    NET.read(&mut only_read, &prompt[50..], &CancelToken::new()).unwrap();
    assert!(denoise(&whole) == denoise(&only_read), "reading without hidden states differs");
}

#[test]
fn a_rolled_back_cache_is_as_good_as_a_fresh_one() {
    let prompt = ids(60, 5);
    let mut rolled = cache(&NET, &ids(90, 6));
    rolled.truncate(0);
    NET.encode(&mut rolled, &prompt[..45], &CancelToken::new()).unwrap();
    NET.encode(&mut rolled, &ids(30, 7), &CancelToken::new()).unwrap();
    rolled.truncate(45);
    let found = NET.encode(&mut rolled, &prompt[45..], &CancelToken::new()).unwrap();
    let mut fresh = KvCache::new(NET.config(), NET.precision());
    let expected = NET.encode(&mut fresh, &prompt, &CancelToken::new()).unwrap();
    assert_eq!(rolled.len(), 60);
    assert!(expected[45 * 64..] == found);
}

#[test]
fn branches_are_what_reading_on_would_give_and_write_nothing() {
    let prefix = cache(&NET, &ids(33, 8));
    let continuations: Vec<Vec<u32>> = (0..3).map(|seed| ids(21, 10 + seed)).collect();
    let found = NET.branch(&prefix, &continuations.concat(), 3, &CancelToken::new()).unwrap();
    for (continuation, found) in continuations.iter().zip(found.chunks_exact(21 * 64)) {
        let expected = NET.encode(&mut prefix.clone(), continuation, &CancelToken::new()).unwrap();
        assert!(expected == found);
    }
    assert_eq!(prefix.len(), 33);
}

#[test]
fn canvases_are_the_same_alone_and_in_a_batch_and_on_any_number_of_threads() {
    let cache = cache(&NET, &ids(50, 20));
    let tokens = ids(3 * 16, 21);
    let soft =
        NET.soft_embedding(&NET.denoise(&cache, &canvases(&tokens, 3), &CancelToken::new()).unwrap(), 0.7);
    let soft = soft.unwrap();
    let all = Canvases { tokens: &tokens, batch: 3, soft: Some(&soft), rows: None };
    let expected = NET.denoise(&cache, &all, &CancelToken::new()).unwrap();
    for (index, expected) in expected.chunks_exact(16 * 320).enumerate() {
        let (tokens, soft) = (&tokens[index * 16..][..16], &soft[index * 16 * 64..][..16 * 64]);
        let one = Canvases { tokens, batch: 1, soft: Some(soft), rows: None };
        assert!(NET.denoise(&cache, &one, &CancelToken::new()).unwrap() == expected, "canvas {index}");
    }
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| NET.denoise(&cache, &all, &CancelToken::new())).unwrap();
        assert!(found == expected, "{threads} threads");
    }
    let rows = [3, 16, 47];
    let some = NET.denoise(&cache, &Canvases { rows: Some(&rows), ..all }, &CancelToken::new()).unwrap();
    for (row, found) in rows.into_iter().zip(some.chunks_exact(320)) {
        assert!(found == &expected[row * 320..][..320], "row {row} asked for alone");
    }
}

#[test]
fn what_a_canvas_sees_is_the_whole_canvas_and_the_prompt() {
    let near = cache(&NET, &ids(50, 20));
    let tokens = ids(16, 21);
    let expected = NET.denoise(&near, &canvases(&tokens, 1), &CancelToken::new()).unwrap();
    let mut last_changed = tokens.clone();
    last_changed[15] ^= 1;
    let found = NET.denoise(&near, &canvases(&last_changed, 1), &CancelToken::new()).unwrap();
    assert!(found[..320] != expected[..320], "the first row must see the last");
    let mut far = ids(50, 20);
    far[0] ^= 1; // beyond every window of 16, but the full layer reads it
    let found = NET.denoise(&cache(&NET, &far), &canvases(&tokens, 1), &CancelToken::new()).unwrap();
    assert!(found[..320] != expected[..320], "full layers must see the first prompt token");
}

/// The `small` checkpoint with every float passed through `convert`.
fn converted(dtype: Dtype, convert: impl Fn(f32) -> Vec<u8>) -> Tensors {
    let mut tensors = read(&fixture("small").join("model.safetensors"));
    for tensor in tensors.values_mut() {
        tensor.bytes = tensor.values().into_iter().flat_map(&convert).collect();
        tensor.dtype = dtype;
    }
    tensors
}

#[test]
fn half_precision_files_load_as_the_numbers_they_hold() {
    let stored = model_with(&converted(Dtype::BF16, |x| bf16::from_f32(x).to_le_bytes().to_vec()));
    let widened = model_with(&converted(Dtype::F32, |x| bf16::from_f32(x).to_f32().to_le_bytes().to_vec()));
    assert!(fingerprint(&load(stored.path())) == fingerprint(&load(widened.path())));
    let stored = model_with(&converted(Dtype::F16, |x| f16::from_f32(x).to_le_bytes().to_vec()));
    let widened = model_with(&converted(Dtype::F32, |x| f16::from_f32(x).to_f32().to_le_bytes().to_vec()));
    assert!(fingerprint(&load(stored.path())) == fingerprint(&load(widened.path())));
}

#[test]
fn shards_are_the_file_they_came_from() {
    let tensors = read(&fixture("small").join("model.safetensors"));
    let dir = model_with(&Tensors::new());
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut map = serde_json::Map::new();
    let mut shards = [Tensors::new(), Tensors::new()];
    for (index, (name, tensor)) in tensors.into_iter().enumerate() {
        map.insert(name.clone(), names[index % 2].into());
        shards[index % 2].insert(name, tensor);
    }
    for (name, shard) in names.iter().zip(&shards) {
        write(&dir.path().join(name), shard);
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
    std::fs::write(dir.path().join("model.safetensors.index.json"), index).unwrap();
    assert!(fingerprint(&load(dir.path())) == fingerprint(&NET));
}

#[test]
fn shared_weights_may_stand_under_the_encoder() {
    let tensors: Tensors = read(&fixture("small").join("model.safetensors"))
        .into_iter()
        .map(|(name, tensor)| {
            let own = name.ends_with("layer_scalar") || name.contains("self_conditioning");
            let name =
                if own { name } else { name.replace("model.decoder.", "model.encoder.language_model.") };
            (name, tensor)
        })
        .collect();
    assert!(fingerprint(&load(model_with(&tensors).path())) == fingerprint(&NET));
}

#[test]
fn the_passes_have_their_own_layer_scalars() {
    for pass in ["model.decoder", "model.encoder.language_model"] {
        let mut tensors = read(&fixture("small").join("model.safetensors"));
        tensors.insert(format!("{pass}.layers.2.layer_scalar"), Loose::f32(&[1], [0.1]));
        let changed = load(model_with(&tensors).path());
        let causal = |net: &Net| {
            net.encode(&mut KvCache::new(net.config(), net.precision()), &ids(9, 1), &CancelToken::new())
                .unwrap()
        };
        assert_eq!(causal(&changed) == causal(&NET), pass == "model.decoder", "{pass}");
        assert!(fingerprint(&changed) != fingerprint(&NET), "{pass}");
    }
}

#[test]
fn bf16_arithmetic_stays_near_f32() {
    let half = Net::load(&ModelSource::Dir(fixture("small")), Precision::Bf16).unwrap();
    let causal = |net: &Net| {
        let states = net
            .encode(&mut KvCache::new(net.config(), net.precision()), &ids(40, 1), &CancelToken::new())
            .unwrap();
        net.logits(&states).unwrap()
    };
    let (expected, found) = (causal(&NET), causal(&half));
    let error: f32 = expected.iter().zip(&found).map(|(e, f)| (e - f).powi(2)).sum();
    let size: f32 = expected.iter().map(|e| e.powi(2)).sum();
    let relative = (error / size).sqrt();
    // bf16 keeps 8 bits: 0.4 % a rounding, a few per cent through six layers; a mistake would be near 100 %.
    assert!((1e-5..0.05).contains(&relative), "relative error {relative}");
}

#[test]
fn a_cancelled_pass_ends_and_leaves_the_cache_as_it_was() {
    let mut cache = cache(&NET, &ids(20, 1));
    let cancel = CancelToken::new();
    cancel.cancel();
    assert_eq!(NET.encode(&mut cache, &ids(20, 2), &cancel), Err(EngineError::Cancelled));
    assert_eq!(cache.len(), 20);
    assert_eq!(NET.denoise(&cache, &canvases(&ids(16, 2), 1), &cancel), Err(EngineError::Cancelled));
    let unharmed = NET.encode(&mut cache, &ids(5, 3), &CancelToken::new()).unwrap();
    let mut fresh = self::cache(&NET, &ids(20, 1));
    assert!(unharmed == NET.encode(&mut fresh, &ids(5, 3), &CancelToken::new()).unwrap());
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let cancel = CancelToken::new();
    let mut small = KvCache::bounded(NET.config(), NET.precision(), 10);
    // Keys and values twice: as they are, and as they are multiplied.
    let values = 2 * (5 * 2 * 16 + 32);
    assert_eq!(KvCache::bytes_per_position(NET.config(), Precision::F32), 2 * values * 4);
    let narrow = KvCache::bytes_per_position(NET.config(), Precision::Bf16);
    assert!((values * (4 + 2)..2 * values * 4).contains(&narrow), "{narrow}"); // lines of narrow heads are padded
    let too_long = NET.encode(&mut small, &ids(11, 1), &cancel).unwrap_err().to_string();
    assert_eq!(too_long, "the request cannot be run: the prompt must be at most 10 tokens, found 11");
    let foreign = NET.encode(&mut small, &[3, 320], &cancel).unwrap_err().to_string();
    assert_eq!(foreign, "the request cannot be run: token ids must be below 320, found 320");
    assert!(small.is_empty());
    assert!(NET.denoise(&small, &canvases(&ids(16, 1), 3), &cancel).is_err(), "16 tokens are not 3 canvases");
    let rows = [16];
    let beyond = Canvases { rows: Some(&rows), ..canvases(&[1; 16], 1) };
    assert!(NET.denoise(&small, &beyond, &cancel).is_err(), "there is no row 16");
}
