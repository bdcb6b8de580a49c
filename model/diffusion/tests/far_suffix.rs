//! The far suffix in the prompt (`lacuna.prompt.far_suffix_tokens_max`), on the shipped model: what stands behind the hole tells, typing
//! leaves what was read, and the control that is to see no suffix sees none.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::DiffusionEngine;
use lacuna_engine::{
    CancelToken, Engine, HoleKind, InfillRequest, Infilled, Method, NoFrames, Origin, Sampling,
};
use serde_json::json;
use support::shipped_with;

fn engine(far_suffix: usize) -> DiffusionEngine {
    let prompt = json!({
        "begin": ["<bos>"],
        "languages": {"rust": "<rust>"},
        "far_suffix_tokens_max": far_suffix,
    });
    shipped_with(json!({"prompt": prompt, "repeats": null, "drafts": {"earlier": 1}}), 2)
}

/// A hole whose line stands behind it again.
fn request(prefix: &str) -> InfillRequest {
    let line = "    quixotic_gauge.borrow_mut().zeroise(Marsupial::Wombat);\n";
    let suffix = format!(");\n}}\n\nfn f() {{\n{line}}}\n\nfn g() {{\n{line}}}\n");
    InfillRequest {
        language: Some("rust".to_owned()),
        earlier: vec!["Marsupial::Wombat".to_owned()],
        ..InfillRequest::new(prefix, suffix, HoleKind::Span)
    }
}

fn ask(engine: &mut DiffusionEngine, request: &InfillRequest) -> Infilled {
    engine.infill(request, &CancelToken::new(), &mut NoFrames).unwrap()
}

const PREFIX: &str = "fn h() {\n    quixotic_gauge.borrow_mut().zeroise(";

#[test]
fn the_causal_pass_knows_what_stands_behind_the_hole() {
    let log_prob = |far| {
        let found = ask(&mut engine(far), &request(PREFIX)).candidates;
        let same = found.into_iter().find(|candidate| candidate.text == "Marsupial::Wombat");
        same.map_or(f32::NEG_INFINITY, |candidate| candidate.log_prob_hole)
    };
    let (with, without) = (log_prob(64), log_prob(0));
    assert!(with > without + 10.0, "{with} {without}");
}

#[test]
fn typing_leaves_what_was_read() {
    let mut engine = engine(64);
    let first = ask(&mut engine, &request(PREFIX)).stats;
    assert_eq!((first.cached_tokens, first.prompt_tokens > 80), (0, true), "{first:?}");
    let next = ask(&mut engine, &request(&format!("{PREFIX}Marsupial::"))).stats;
    assert!(next.cached_tokens + 4 > first.prompt_tokens, "{first:?} {next:?}");
}

#[test]
fn a_hole_without_a_line_behind_it_has_no_far_suffix() {
    let last = |far| {
        let request =
            InfillRequest { suffix: ");".to_owned(), ..request("fn h() {\n    quixotic_gauge.zeroise(") };
        ask(&mut engine(far), &request).candidates
    };
    assert_eq!(last(64), last(0));
}

#[test]
fn the_control_sees_what_stands_before_the_hole_alone() {
    let control = |far| {
        engine(far).infill_by(Method::Causal, &request(PREFIX), &CancelToken::new()).unwrap().candidates
    };
    assert_eq!(control(64), control(0));
}

#[test]
fn canvases_alone_see_it_too() {
    let alone = InfillRequest {
        sampling: Sampling { drafts: Some(false), ..Sampling::default() },
        ..request(PREFIX)
    };
    let found = ask(&mut engine(64), &alone);
    assert!(found.stats.prompt_tokens > 80, "{:?}", found.stats);
    assert!(
        found.candidates.iter().all(|candidate| candidate.origin == Origin::Noise),
        "{:?}",
        found.candidates
    );
}
