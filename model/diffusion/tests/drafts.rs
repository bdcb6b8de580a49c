//! Texts that no canvas wrote beside the canvases of the shipped model: who wrote what, and that nothing else changes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::{LoadOptions, PrecisionChoice, load};
use lacuna_engine::{
    CancelToken, Candidate, Engine, HoleKind, InfillRequest, Infilled, NoFrames, Origin, Sampling,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use support::TempDir;

/// The shipped checkpoint with another `lacuna.drafts`, in a folder of its own.
fn folder_with(drafts: Value, folder: &Path) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mini");
    for name in ["generation_config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(shipped.join(name), folder.join(name)).unwrap();
    }
    let config = std::fs::read_to_string(shipped.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["lacuna"]["drafts"] = drafts;
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    folder.to_owned()
}

fn engine(drafts: Value) -> impl Engine {
    let folder = TempDir::new();
    let model = Some(folder_with(drafts, folder.path()));
    load(&LoadOptions { model, threads: Some(2), precision: PrecisionChoice::F32, ..LoadOptions::default() })
        .unwrap()
}

fn request(kind: HoleKind, suffix: &str) -> InfillRequest {
    InfillRequest {
        language: Some("rust".to_owned()),
        earlier: vec!["self.items.len()".to_owned(), "entirely.different()".to_owned()],
        ..InfillRequest::new("impl Stack {\n    fn len(&self) -> usize {\n        ", suffix, kind)
    }
}

fn ask(engine: &mut impl Engine, request: &InfillRequest) -> Infilled {
    engine.infill(request, &CancelToken::new(), &mut NoFrames).unwrap()
}

fn by(candidates: &[Candidate], origin: Origin) -> usize {
    candidates.iter().filter(|candidate| candidate.origin == origin).count()
}

#[test]
fn what_was_written_competes_with_the_canvases() {
    let mut engine = engine(json!({"causal": 3, "earlier": 1}));
    let found = ask(&mut engine, &request(HoleKind::Line, "\n    }\n}\n")).candidates;
    assert!(by(&found, Origin::Causal) > 0 && by(&found, Origin::Noise) > 0, "{found:?}");
    assert_eq!(
        found.iter().filter(|c| c.text == "self.items.len()").count(),
        1,
        "said by several, offered once"
    );
    assert!(found.iter().all(|c| c.text != "entirely.different()"), "no more than asked for");
    assert!(found.iter().filter(|c| c.origin == Origin::Earlier).all(|c| c.steps == 0));
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
}

#[test]
fn a_request_may_leave_the_writing_to_the_canvases() {
    let mut engine = engine(json!({"causal": 3, "earlier": 2, "seeds": 2, "revisions": 1}));
    let mut request = request(HoleKind::Line, "\n    }\n}\n");
    request.sampling = Sampling { drafts: Some(false), ..Sampling::default() };
    let found = ask(&mut engine, &request).candidates;
    assert_eq!(by(&found, Origin::Noise), found.len());
}

#[test]
fn inside_a_line_a_continuation_may_end_anywhere() {
    let mut engine = engine(json!({"causal": 1}));
    let found = ask(&mut engine, &request(HoleKind::Span, ")\n    }\n}\n")).candidates;
    let mut texts: Vec<&str> =
        found.iter().filter(|c| c.origin == Origin::Causal).map(|c| c.text.as_str()).collect();
    texts.sort_by_key(|text| text.len());
    assert!(texts.len() > 1, "{texts:?}");
    assert!(texts.windows(2).all(|pair| pair[1].starts_with(pair[0])), "{texts:?}");
    assert!(texts.iter().all(|text| !text.contains('\n')));
}

#[test]
fn drafts_leave_the_prompt_in_the_cache_and_the_answer_repeatable() {
    let mut engine = engine(json!({"causal": 3, "earlier": 2, "seeds": 2, "revisions": 2}));
    let request = request(HoleKind::Line, "\n    }\n}\n");
    let (first, second) = (ask(&mut engine, &request), ask(&mut engine, &request));
    assert_eq!(second.stats.cached_tokens, second.stats.prompt_tokens);
    assert_eq!(first.candidates, second.candidates);
    let fresh =
        ask(&mut self::engine(json!({"causal": 3, "earlier": 2, "seeds": 2, "revisions": 2})), &request);
    assert_eq!(fresh.candidates, first.candidates);
}

#[test]
fn a_draft_that_starts_a_canvas_keeps_its_author() {
    let quiet = json!({"earlier": 2, "seeds": 2, "strength": 0.0});
    let found = ask(&mut engine(quiet), &request(HoleKind::Line, "\n    }\n}\n")).candidates;
    assert!(found.iter().any(|c| c.text == "self.items.len()" && c.origin == Origin::Earlier), "{found:?}");
}

#[test]
fn a_cancelled_request_leaves_the_engine_usable() {
    let mut engine = engine(json!({"causal": 3, "earlier": 2}));
    let request = request(HoleKind::Line, "\n    }\n}\n");
    let expected = ask(&mut engine, &request).candidates;
    let cancel = CancelToken::new();
    cancel.cancel();
    assert!(engine.infill(&request, &cancel, &mut NoFrames).is_err());
    assert_eq!(ask(&mut engine, &request).candidates, expected);
}
