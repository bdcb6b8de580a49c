//! Several holes on one canvas: a made-up checkpoint whose whole text is a grid of digits, as `model/training/sudoku` makes
//! them, and the shipped model.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::{DiffusionEngine, LoadOptions, PrecisionChoice, load};
use lacuna_engine::{
    CancelToken, CellState, Engine, EngineError, Frame, HoleKind, InfillRequest, Infilled, Method, NoFrames,
    Sampling, Start, Template,
};
use serde_json::{Value, json};
use std::path::Path;
use support::TempDir;

/// The weights of the `small` fixture with nine digits for a text, and a canvas of three rows of five cells.
fn solver() -> DiffusionEngine {
    let (folder, small) = (TempDir::new(), support::fixture("small"));
    std::fs::copy(small.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = std::fs::read_to_string(small.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["lacuna"] = json!({
        "noise": {"kind": "mask", "mask_token_id": 3}, "canvas_holds": "text", "hole_tokens_max": 1,
        "prompt": {"begin": ["<bos>", "<place>", "<board>"]},
        "fim": {"prefix": 5, "suffix": 6, "middle": 6},
    });
    write(folder.path(), "config.json", &config);
    let generation = json!({
        "max_denoising_steps": 8, "t_min": 0.4, "t_max": 0.8, "stability_threshold": 1,
        "confidence_threshold": 0.005, "sampler_config": {"entropy_bound": 0.1}, "eos_token_id": 1,
    });
    write(folder.path(), "generation_config.json", &generation);
    let special = ["<pad>", "<eos>", "<bos>", "<mask>", "<place>", "<board>", "<middle>"];
    let mut vocab = json!({});
    // Every id that is no digit is special, so that an untrained network writes digits, too.
    let names = (0..320).map(|id| match id {
        100..109 => (id - 99).to_string(),
        _ => special.get(id).map_or_else(|| format!("<{id}>"), |name| (*name).to_owned()),
    });
    let names: Vec<String> = names.collect();
    names.iter().enumerate().for_each(|(id, name)| vocab[name] = json!(id));
    let added = names.iter().enumerate().filter(|(_, name)| name.len() > 1).map(|(id, name)| {
        json!({"id": id, "content": name, "special": true, "normalized": false, "single_word": false,
            "lstrip": false, "rstrip": false})
    });
    let tokenizer = json!({
        "version": "1.0", "added_tokens": added.collect::<Vec<Value>>(),
        "normalizer": {"type": "Replace", "pattern": {"Regex": "[^1-9]"}, "content": ""},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[1-9]"}, "behavior": "Isolated", "invert": false},
        "decoder": {"type": "Fuse"}, "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<pad>"},
    });
    write(folder.path(), "tokenizer.json", &tokenizer);
    engine(Some(folder.path()))
}

fn write(folder: &Path, name: &str, content: &Value) {
    std::fs::write(folder.join(name), content.to_string()).unwrap();
}

fn engine(model: Option<&Path>) -> DiffusionEngine {
    let model = model.map(Path::to_owned);
    load(&LoadOptions { model, threads: Some(2), precision: PrecisionChoice::F32, ..LoadOptions::default() })
        .unwrap()
}

/// `text` with a hole at every dot; the prefix is what stands before the first, the suffix what stands after the last.
fn request(text: &str) -> InfillRequest {
    let mut pieces: Vec<String> = text.split('.').map(str::to_owned).collect();
    let (suffix, prefix) = (pieces.pop().unwrap(), pieces.remove(0));
    let start = Start::Template(Template { between: pieces, tokens: Vec::new() });
    InfillRequest { start, ..InfillRequest::new(prefix, suffix, HoleKind::Lines) }
}

/// What the dots of `text` became; the rest must stand as it is.
fn filled(text: &str, found: &str) -> String {
    let (first, last) = (text.find('.').unwrap(), text.rfind('.').unwrap());
    let region = &text[first..=last];
    assert_eq!(region.len(), found.len(), "{found:?}");
    let pairs = region.chars().zip(found.chars());
    pairs
        .filter(|&(was, is)| {
            was == '.' || {
                assert_eq!(was, is, "{found:?}");
                false
            }
        })
        .map(|(_, is)| is)
        .collect()
}

const GRID: &str = "1 . . | 4 5\n----\n. 2 | . . 7\n3 . | 1 . 4\n";

fn ask(engine: &mut DiffusionEngine, request: &InfillRequest) -> Infilled {
    engine.infill(request, &CancelToken::new(), &mut NoFrames).unwrap()
}

#[test]
fn holes_all_over_the_text_are_filled_and_everything_else_stays() {
    let mut frames: Vec<Frame> = Vec::new();
    let found =
        solver().infill(&request(GRID), &CancelToken::new(), &mut |frame: Frame| frames.push(frame)).unwrap();
    let best = &found.candidates[0];
    assert!(filled(GRID, &best.text).chars().all(|c| c.is_ascii_digit()), "{:?}", best.text);
    assert_eq!((best.tokens, found.stats.canvases), (7, 1));
    assert!((1..=8).contains(&best.steps) && frames.len() == best.steps);
    let shown: Vec<String> =
        frames.iter().map(|frame| frame.cells.iter().map(|cell| cell.text.as_str()).collect()).collect();
    assert_eq!(shown.last(), Some(&best.text), "what is watched is what is answered");
    assert!(shown.iter().all(|text| text.contains(" | 4 5\n----\n")), "given text is shown as it is written");
    let holes = frames[0].cells.iter().filter(|cell| cell.state != CellState::Clamped).count();
    assert_eq!(holes, 7);
}

#[test]
fn several_candidates_are_ranked_and_repeatable() {
    let mut engine = solver();
    let sampling = Sampling { candidates: Some(6), seed: 3, ..Sampling::default() };
    let request = InfillRequest { sampling, ..request(GRID) };
    let (first, second) = (ask(&mut engine, &request).candidates, ask(&mut engine, &request).candidates);
    assert!(first.len() > 1, "an untrained network is unsure, so samples differ");
    assert!(first.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert_eq!(first, second);
}

#[test]
fn the_controls_write_one_hole_a_pass() {
    let mut engine = solver();
    for method in [Method::Causal, Method::CausalFim] {
        let found = engine.infill_by(method, &request(GRID), &CancelToken::new()).unwrap();
        let best = &found.candidates[0];
        assert!(filled(GRID, &best.text).chars().all(|c| c.is_ascii_digit()), "{method:?}: {:?}", best.text);
        assert_eq!((best.steps, found.stats.forwards), (7, 7), "{method:?}");
    }
}

/// What follows a hole decides in one order and not in the other: the first hole is written before the 4 is read.
#[test]
fn only_the_fair_control_knows_what_comes_later() {
    let (mut engine, later) = (solver(), GRID.replace("1 . 4", "1 . 9"));
    let mut score = |method, text: &str| {
        let found = engine.infill_by(method, &request(text), &CancelToken::new()).unwrap();
        found.candidates[0].score
    };
    assert_eq!(score(Method::Causal, GRID), score(Method::Causal, &later));
    assert_ne!(score(Method::CausalFim, GRID), score(Method::CausalFim, &later));
}

#[test]
fn a_text_that_is_no_canvas_is_refused_by_its_size() {
    let refused = |engine: &mut DiffusionEngine, request: &InfillRequest| match engine.infill(
        request,
        &CancelToken::new(),
        &mut NoFrames,
    ) {
        Err(EngineError::InvalidRequest(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let mut engine = solver();
    let reason = refused(&mut engine, &request("1 . 3 . 5"));
    assert!(reason.contains("exactly") && reason.contains("found"), "{reason}");
    let many = format!("{GRID}{GRID}");
    assert!(refused(&mut engine, &request(&many)).contains("exactly"));
    let mut uneven = request(GRID);
    uneven.start = Start::Template(Template { between: vec!["1".to_owned()], tokens: vec![1] });
    assert!(refused(&mut engine, &uneven).contains("each of the 2 holes"), "numbers of tokens must match");
}

#[test]
fn code_with_two_holes_is_filled_by_the_shipped_model() {
    let mut engine = engine(None);
    let mut request = InfillRequest::new(
        "fn add(a: i32, b: i32) -> i32 {\n    let sum = ",
        ";\n    sum\n}\n",
        HoleKind::Lines,
    );
    request.language = Some("rust".to_owned());
    let between = vec![";\n    let twice = 2 * ".to_owned()];
    request.start = Start::Template(Template { between: between.clone(), tokens: vec![3, 1] });
    let found = ask(&mut engine, &request).candidates;
    let (first, second) = found[0].text.split_once(&between[0]).unwrap();
    assert!(!first.is_empty() && !second.is_empty(), "{found:?}");
    assert!(matches!(
        engine.infill_by(Method::CausalFim, &request, &CancelToken::new()),
        Err(EngineError::Unsupported(_))
    ));
    request.start = Start::Template(Template { between, tokens: Vec::new() });
    let refused = engine.infill(&request, &CancelToken::new(), &mut NoFrames).unwrap_err().to_string();
    assert!(refused.contains("say how many each of the 2 holes has"), "{refused}");
}
