//! A checkpoint is an instruct one where its files say so, and is then asked by its own template.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::{DiffusionEngine, LoadOptions, PrecisionChoice, load};
use lacuna_engine::{CancelToken, Engine, EngineError, HoleKind, InfillRequest, NoFrames};
use std::path::Path;
use support::{TempDir, fixture};

/// The `small` checkpoint with the files of `fixtures/chat`, then changed.
fn checkpoint(change: impl FnOnce(&Path)) -> Result<DiffusionEngine, EngineError> {
    let dir = TempDir::new();
    let chat = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/chat");
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        std::fs::copy(fixture("small").join(name), dir.path().join(name)).unwrap();
    }
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        std::fs::copy(chat.join(name), dir.path().join(name)).unwrap();
    }
    change(dir.path());
    let model = Some(dir.path().to_path_buf());
    load(&LoadOptions { model, threads: Some(2), precision: PrecisionChoice::F32, ..LoadOptions::default() })
}

fn prompt_tokens(engine: &mut DiffusionEngine, instruction: Option<&str>) -> usize {
    let mut request = InfillRequest::new("fn add(a: i32) {\n    ", "\n}\n", HoleKind::Line);
    request.instruction = instruction.map(str::to_owned);
    request.sampling.steps = Some(2);
    let filled = engine.infill(&request, &CancelToken::new(), &mut NoFrames).unwrap();
    filled.stats.prompt_tokens
}

#[test]
fn a_template_makes_an_instruct_model_that_reads_instructions() {
    let mut engine = checkpoint(|_| ()).unwrap();
    assert!(engine.info().instruct);
    let plain = prompt_tokens(&mut engine, None);
    assert!(prompt_tokens(&mut engine, Some("add a to itself")) > plain + 5);
}

#[test]
fn files_that_say_otherwise_make_a_model_that_only_fills() {
    let without = checkpoint(|dir| std::fs::remove_file(dir.join("chat_template.jinja")).unwrap());
    let mut without = without.unwrap();
    assert!(!without.info().instruct);
    assert_eq!(prompt_tokens(&mut without, None), prompt_tokens(&mut without, Some("add a to itself")));
    // Its answers do not end as the template's do; and one with a layout of its own was trained on that.
    let ends = checkpoint(|dir| {
        std::fs::write(dir.join("generation_config.json"), r#"{"eos_token_id": 1}"#).unwrap()
    });
    assert!(!ends.unwrap().info().instruct);
    let layout = checkpoint(|dir| {
        let config = std::fs::read_to_string(dir.join("config.json")).unwrap();
        let own = config.replacen('{', r#"{"lacuna": {"prompt": {"begin": ["<bos>"]}},"#, 1);
        std::fs::write(dir.join("config.json"), own).unwrap();
    });
    assert!(!layout.unwrap().info().instruct);
}

#[test]
fn a_template_that_cannot_be_used_is_refused_at_load() {
    let broken = |template: &str| {
        checkpoint(|dir| std::fs::write(dir.join("chat_template.jinja"), template).unwrap())
            .unwrap_err()
            .to_string()
    };
    let message = broken("{{ bos_token }}\n{% for m in messages %}");
    assert!(message.contains("chat_template.jinja: line 2: syntax error"), "{message}");
    let long = format!("{{% for m in messages %}}{}{{{{ m.content }}}}{{% endfor %}}", "turn ".repeat(9000));
    let message = broken(&long);
    assert!(message.contains("its chat template alone takes"), "{message}");
}
