//! Texts that no canvas wrote beside the canvases of the shipped model: who wrote what, and that nothing else changes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lacuna_engine::{
    CancelToken, Candidate, Engine, HoleKind, InfillRequest, Infilled, NoFrames, Origin, Preset, Sampling,
    Start,
};
use serde_json::{Value, json};
use support::shipped_with;

/// The shipped checkpoint with other drafts.
fn engine(drafts: Value) -> impl Engine {
    shipped_with(json!({ "drafts": drafts }), 2)
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
fn a_draft_that_is_sure_enough_stays_first_and_spares_ghost_text_the_canvases() {
    let line = request(HoleKind::Line, "\n    }\n}\n");
    let ask_at = |enough: f64, preset| {
        let drafts = json!({"causal": 3, "earlier": 1, "enough": enough});
        ask(
            &mut engine(drafts),
            &InfillRequest { sampling: Sampling { preset, ..Sampling::default() }, ..line.clone() },
        )
    };
    let (spared, asked) = (ask_at(0.0, Preset::Fast), ask_at(0.0, Preset::Balanced));
    assert_eq!((spared.stats.canvases, by(&spared.candidates, Origin::Noise)), (0, 0), "{:?}", spared.stats);
    assert!(by(&asked.candidates, Origin::Noise) > 0, "who asks sees the canvases' texts too");
    assert_eq!(asked.candidates[0].text, spared.candidates[0].text);
    assert!(asked.candidates[1..].windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert!(ask_at(1.0, Preset::Fast).stats.canvases > 0, "no draft is that sure");
}

#[test]
fn no_canvas_displaces_a_draft_that_is_sure_enough() {
    // With a single draft, and a poor one, some canvas has the better score.
    let poor = InfillRequest {
        earlier: vec!["self.capacity_of_the_other_stack()".to_owned()],
        ..request(HoleKind::Line, "\n    }\n}\n")
    };
    let by_score = ask(&mut engine(json!({"earlier": 1})), &poor).candidates;
    assert_eq!(by_score[0].origin, Origin::Noise, "{by_score:?}");
    let kept = ask(&mut engine(json!({"earlier": 1, "enough": 0.0})), &poor).candidates;
    assert_eq!(kept[0].text, poor.earlier[0]);
    assert_eq!(kept.len(), by_score.len());
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

#[test]
fn a_text_of_several_canvases_is_refined() {
    let line = "        self.items.push(Item { id: self.next, name: name.to_owned(), size: 0 });\n";
    let start = Start::Text { text: line.repeat(12), strength: 0.2 };
    let request = InfillRequest { start, ..request(HoleKind::Lines, "    }\n}\n") };
    let found = ask(&mut engine(json!({})), &request).candidates;
    assert!(found.iter().any(|candidate| candidate.tokens > 200), "{found:?}");
}

#[test]
fn the_end_of_the_document_is_something_a_text_must_explain() {
    let explained = |suffix_ends| {
        let request = InfillRequest { suffix_ends, ..request(HoleKind::Line, "") };
        ask(&mut engine(json!({"earlier": 2})), &request).candidates
    };
    assert!(explained(true).iter().all(|candidate| candidate.log_prob_suffix < -0.01));
    assert!(
        explained(false).iter().all(|candidate| candidate.log_prob_suffix == 0.0),
        "nobody knows what follows"
    );
}

#[test]
fn a_word_that_was_begun_counts_as_a_whole() {
    let request = InfillRequest {
        earlier: vec!["ossom".to_owned()],
        ..InfillRequest::new("fn f() {\n    let x = opp", ";\n}\n", HoleKind::Span)
    };
    let found = ask(&mut engine(json!({"earlier": 1})), &request).candidates;
    let begun = found.iter().find(|candidate| candidate.text == "ossom").unwrap();
    assert!(begun.log_prob_hole < -4.0, "{begun:?}");
}
