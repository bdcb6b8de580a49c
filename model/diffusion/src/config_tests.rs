//! What `config.json` and `generation_config.json` may say, and what is said about them when they lie.

use super::*;
use serde_json::{Value, json};

fn released() -> Value {
    json!({
        "architectures": ["DiffusionGemmaForBlockDiffusion"], "model_type": "diffusion_gemma", "canvas_length": 32,
        "tie_word_embeddings": true,
        "text_config": {
            "model_type": "diffusion_gemma_text", "hidden_activation": "gelu_pytorch_tanh", "vocab_size": 320,
            "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 6, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 32, "num_global_key_value_heads": 1,
            "attention_k_eq_v": true, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 32,
            "sliding_window": 16, "rms_norm_eps": 1e-6
        }
    })
}

/// What every complaint about a value ends with.
const REMEDY: &str = "; correct the file, or take another model";

fn parse(value: &Value) -> Result<Config, LoadError> {
    Config::parse("m/config.json", value.to_string().as_bytes())
}

/// The released config with one key set, dotted from the root; null removes it.
fn with(key: &str, value: Value) -> Result<Config, LoadError> {
    let mut config = released();
    *config.pointer_mut(&format!("/{}", key.replace('.', "/"))).unwrap_or(&mut Value::Null) = value.clone();
    let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
    let parent = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
    config.pointer_mut(&parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
    parse(&config)
}

fn check(key: &str, value: Value, message: &str) {
    assert_eq!(with(key, value).unwrap_err().to_string(), format!("{message}{REMEDY}"));
}

#[test]
fn both_spellings_of_the_full_layers_are_one_config() {
    let old = parse(&released()).unwrap();
    let mut newer = released();
    let text = newer["text_config"].as_object_mut().unwrap();
    text.remove("global_head_dim");
    text.remove("num_global_key_value_heads");
    text.insert("per_layer_config".to_owned(), json!({"5": {"head_dim": 32, "num_key_value_heads": 1}}));
    assert_eq!(parse(&newer).unwrap(), old);
    assert_eq!(old.layers.iter().filter(|layer| layer.kind == LayerKind::Full).count(), 1);
    assert_eq!((old.layers[5].head_dim, old.layers[5].kv_heads), (32, 1));
    assert_eq!((old.layers[0].head_dim, old.layers[0].kv_heads), (16, 2));
    assert_eq!(old.layers[5].rope, RopeConfig { theta: 1e6, rotated_share: 0.25, factor: 1.0 });
}

#[test]
fn an_empty_per_layer_config_means_that_all_layers_are_alike() {
    let config = with("text_config.per_layer_config", json!({})).unwrap();
    assert!(config.layers.iter().all(|layer| (layer.head_dim, layer.kv_heads) == (16, 2)));
}

#[test]
fn the_last_layer_is_full_whatever_the_file_says() {
    let config = with("text_config.layer_types", json!(vec!["sliding_attention"; 6])).unwrap();
    assert_eq!(config.layers[5].kind, LayerKind::Full);
}

#[test]
fn unknown_architectures_and_activations_are_named() {
    check(
        "model_type",
        json!("llama"),
        "m/config.json: model_type: expected \"diffusion_gemma\" (all this engine supports), found \"llama\"",
    );
    check(
        "architectures",
        json!(["LlamaForCausalLM"]),
        "m/config.json: architectures: expected DiffusionGemmaForBlockDiffusion (the one supported), \
         found LlamaForCausalLM",
    );
    check(
        "text_config.hidden_activation",
        json!("silu"),
        "m/config.json: text_config.hidden_activation: expected \"gelu_pytorch_tanh\" (all this engine supports), \
         found \"silu\"",
    );
}

#[test]
fn numbers_that_do_not_fit_are_named() {
    check(
        "text_config.hidden_size",
        json!(0),
        "m/config.json: text_config.hidden_size: expected a whole number in 1..=1048576, found 0",
    );
    check(
        "text_config.num_key_value_heads",
        json!(3),
        "m/config.json: text_config.num_key_value_heads: expected a divisor of num_attention_heads = 4, \
         found 3 in layer 0",
    );
    check(
        "text_config.top_k_experts",
        json!(9),
        "m/config.json: text_config.top_k_experts: expected a whole number in 1..=8, found 9",
    );
    check(
        "text_config.num_experts",
        Value::Null,
        "m/config.json: text_config.num_experts: expected a whole number in 1..=1048576, found null",
    );
    check(
        "text_config.per_layer_config",
        json!({"6": {}}),
        "m/config.json: text_config.per_layer_config: expected layer indices below num_hidden_layers = 6 as keys, \
         found \"6\"",
    );
}

#[test]
fn no_value_of_any_key_panics() {
    let hostile = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(1e308),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
        json!(["x", 1, null]),
        json!({"5": 3}),
        json!({"full_attention": {"rope_theta": -1, "rope_type": 7}}),
    ];
    let config = released();
    let top: Vec<String> = config.as_object().unwrap().keys().cloned().collect();
    let text = config["text_config"].as_object().unwrap().keys().map(|key| format!("text_config.{key}"));
    let more =
        ["text_config.layer_types", "text_config.rope_parameters", "text_config.per_layer_config", "lacuna"];
    let keys: Vec<String> = top.into_iter().chain(text).chain(more.map(str::to_owned)).collect();
    let mut refused = 0;
    for key in &keys {
        for value in &hostile {
            refused += usize::from(with(key, value.clone()).is_err());
        }
    }
    assert!(refused > keys.len() * hostile.len() / 2, "{refused} of {}", keys.len() * hostile.len());
}

#[test]
fn cut_or_foreign_json_is_an_error() {
    let whole = released().to_string();
    for end in 0..whole.len() {
        assert!(Config::parse("m/config.json", &whole.as_bytes()[..end]).is_err(), "cut at {end}");
    }
    let found = Config::parse("m/config.json", b"[1]").unwrap_err().to_string();
    assert_eq!(found, "m/config.json: not a JSON object: found [1]; fetch the file again");
}

#[test]
fn the_lacuna_object_is_read_and_held_to_the_vocabulary() {
    let lacuna = json!({
        "noise": {"kind": "mask", "mask_token_id": 3, "uniform_share": 0.15}, "blank_token_id": 4,
        "hole_buckets": [4, 8], "hole_tokens_max": 24, "prompt": {"begin": ["<bos>"], "languages": {"rust": "<rust>"}},
        "fim": {"prefix": 5, "suffix": 6, "middle": 7}, "unknown": 1
    });
    let config = with("lacuna", lacuna).unwrap().lacuna;
    assert_eq!(config.noise, Noise::Mask { mask_token_id: 3, uniform_share: 0.15, uniform_first_id: 0 });
    assert_eq!(
        (config.blank_token_id, config.hole_tokens_max, config.prompt_tokens_max),
        (Some(4), Some(24), None)
    );
    assert_eq!(config.prompt.languages, [("rust".to_owned(), "<rust>".to_owned())]);
    assert_eq!(config.fim.map(|fim| fim.end), Some(None));
    check(
        "lacuna",
        json!({"noise": {"kind": "mask", "mask_token_id": 320}}),
        "m/config.json: lacuna.noise.mask_token_id: expected a token id below vocab_size = 320, found 320",
    );
    check(
        "lacuna",
        json!({"repeats": {"orders": [1, 2], "weights": [1.0]}}),
        "m/config.json: lacuna.repeats.weights: expected as many numbers as orders, 2, found 1",
    );
    check(
        "lacuna",
        json!({"repeats": {"orders": [2, 2], "weights": [1.0, 1.0]}}),
        "m/config.json: lacuna.repeats.orders: expected ascending numbers, found [2, 2]",
    );
    assert_eq!(parse(&released()).unwrap().lacuna, Lacuna::default());
}

#[test]
fn generation_config_has_the_references_defaults_and_spelling() {
    let nulls = br#"{"max_denoising_steps": null, "sampler_config": null, "t_min": null}"#;
    assert_eq!(GenerationConfig::parse("g", nulls, 320).unwrap(), GenerationConfig::default());
    let full = br#"{"max_denoising_steps": 16, "sampler_config": {"_cls_name": "EntropyBoundSamplerConfig",
        "entropy_bound": 0.2}, "t_min": 0.3, "t_max": 0.9, "stability_threshold": 2, "confidence_threshold": 0.01,
        "eos_token_id": [1, 106]}"#;
    let config = GenerationConfig::parse("g", full, 320).unwrap();
    assert_eq!((config.steps_max, config.entropy_bound, config.stability_threshold), (16, 0.2, 2));
    assert_eq!(config.eos_token_ids, [1, 106]);
    assert!((crate::accept::temperature(config.t_min, config.t_max, 16, 16) - 0.9).abs() < 1e-6);
    let backwards = GenerationConfig::parse("m/generation_config.json", br#"{"t_min": 0.9}"#, 320)
        .unwrap_err()
        .to_string();
    let t_max = "m/generation_config.json: t_max: expected at least t_min = 0.9, found 0.8";
    assert_eq!(backwards, format!("{t_max}{REMEDY}"));
}
