//! What a document repeats (`lacuna.repeats`), on the shipped model: it counts, it changes nothing where it is not asked for, and
//! it stays with its own request.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::DiffusionEngine;
use lacuna_engine::{
    CancelToken, Candidate, Engine, HoleKind, InfillRequest, Method, NoFrames, Origin, Sampling, ScoreRequest,
};
use serde_json::{Value, json};
use support::shipped_with as engine;

fn orders() -> Value {
    json!({"repeats": {"orders": [1, 2, 3], "weights": [10.0, 6.0, 2.0]}})
}

fn nothing() -> Value {
    json!({"repeats": null, "drafts": {"causal": 4}})
}

/// A hole whose line went on in an unheard-of way elsewhere in the document.
fn request() -> InfillRequest {
    let line = "    quixotic_gauge.borrow_mut().zeroise(Marsupial::Wombat);\n";
    InfillRequest {
        language: Some("rust".to_owned()),
        near: vec![format!("fn f() {{\n{line}}}\n\nfn g() {{\n{line}}}\n"), "    done();\n}\n".to_owned()],
        ..InfillRequest::new("fn h() {\n    quixotic_gauge.", "\n    done();\n}\n", HoleKind::Line)
    }
}

fn ask(engine: &mut DiffusionEngine, request: &InfillRequest) -> Vec<Candidate> {
    engine.infill(request, &CancelToken::new(), &mut NoFrames).unwrap().candidates
}

#[test]
fn what_stands_elsewhere_in_the_document_is_written_again() {
    let expected = "borrow_mut().zeroise(Marsupial::Wombat);";
    let found = ask(&mut engine(orders(), 2), &request());
    let again = found.iter().find(|candidate| candidate.text == expected).unwrap();
    assert_ne!(again.origin, Origin::Earlier, "no line that began alike was offered");
    assert!(again.log_prob_hole > -12.0, "twice is not by chance: {again:?}");
    let without = ask(&mut engine(nothing(), 2), &request());
    assert!(without.iter().all(|candidate| candidate.text != expected), "{without:?}");
}

#[test]
fn the_network_alone_has_ideas_of_its_own() {
    let texts = |alone: usize| {
        let mut lacuna = orders();
        lacuna["drafts"] = json!({"causal": 2, "causal_alone": alone});
        let found = ask(&mut engine(lacuna, 2), &request());
        found.into_iter().filter(|c| c.origin == Origin::Causal).map(|c| c.text).collect::<Vec<_>>()
    };
    let (without, with) = (texts(0), texts(2));
    assert!(without.iter().all(|text| with.contains(text)), "{without:?} {with:?}");
    assert!(with.len() > without.len(), "{without:?} {with:?}");
}

#[test]
fn without_drafts_the_canvases_know_nothing_of_it() {
    let alone =
        InfillRequest { sampling: Sampling { drafts: Some(false), ..Sampling::default() }, ..request() };
    let (with, without) = (ask(&mut engine(orders(), 2), &alone), ask(&mut engine(nothing(), 2), &alone));
    assert_eq!(with, without);
}

#[test]
fn the_controls_and_later_requests_know_nothing_of_it() {
    let (mut used, mut fresh) = (engine(orders(), 2), engine(orders(), 2));
    ask(&mut used, &request());
    let score = ScoreRequest {
        language: Some("rust".to_owned()),
        prefix: "fn h() {\n    quixotic_gauge.".to_owned(),
        text: "borrow_mut().zeroise(Marsupial::Wombat);".to_owned(),
    };
    let scored = |engine: &mut DiffusionEngine| engine.score(&score, &CancelToken::new()).unwrap().log_probs;
    assert_eq!(scored(&mut used), scored(&mut fresh));
    ask(&mut used, &request());
    let control = |engine: &mut DiffusionEngine| {
        engine.infill_by(Method::Causal, &request(), &CancelToken::new()).unwrap().candidates
    };
    assert_eq!(control(&mut used), control(&mut fresh));
}

#[test]
fn the_answer_is_the_same_again_and_on_any_number_of_threads() {
    let mut one = engine(orders(), 1);
    let first = ask(&mut one, &request());
    assert_eq!(ask(&mut one, &request()), first);
    assert_eq!(ask(&mut engine(orders(), 2), &request()), first);
}

#[test]
fn a_document_that_repeats_special_or_broken_text_does_no_harm() {
    let mut engine = engine(orders(), 2);
    for near in ["<mask><mask><eos>", "\r\r\n", "\u{feff}\u{0}", "é"] {
        let request = InfillRequest { near: vec![near.repeat(50), String::new()], ..request() };
        let found = ask(&mut engine, &request);
        assert!(!found.is_empty() && found.iter().all(|c| c.score.is_finite()), "{near:?}: {found:?}");
    }
}

#[test]
fn letters_of_several_tokens_are_cut_nowhere_inside_a_line() {
    for word in ["Привет, мир", "κόσμε", "日本語の文", "🦀🦀 crab"] {
        let start: String = word.chars().take(2).collect();
        let request = InfillRequest {
            language: Some("rust".to_owned()),
            near: vec![format!("    print(\"{word}\");\n").repeat(30)],
            ..InfillRequest::new(format!("fn f() {{\n    print(\"{start}"), "\");\n}\n", HoleKind::Span)
        };
        let found = ask(&mut engine(orders(), 2), &request);
        assert!(
            found.iter().any(|candidate| format!("{start}{}", candidate.text) == word),
            "{word}: {found:?}"
        );
    }
}
