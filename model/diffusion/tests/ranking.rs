//! What a checkpoint says its authors' own order is worth (`lacuna.ranking`), on the shipped model.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lacuna_diffusion::{LoadOptions, PrecisionChoice, load};
use lacuna_engine::{CancelToken, Candidate, Engine, HoleKind, InfillRequest, NoFrames};
use serde_json::{Value, json};
use std::path::Path;
use support::TempDir;

/// The answers of the shipped checkpoint with another `lacuna.ranking`.
fn answers(ranking: Value) -> Vec<Candidate> {
    let (folder, shipped) = (TempDir::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../mini"));
    for name in ["generation_config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(shipped.join(name), folder.path().join(name)).unwrap();
    }
    let config = std::fs::read_to_string(shipped.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["lacuna"]["ranking"] = ranking;
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let model = Some(folder.path().to_owned());
    let options =
        LoadOptions { model, threads: Some(2), precision: PrecisionChoice::F32, ..LoadOptions::default() };
    let request = InfillRequest {
        language: Some("rust".to_owned()),
        earlier: vec!["entirely.different()".to_owned(), "self.items.len()".to_owned()],
        ..InfillRequest::new(
            "impl Stack {\n    fn len(&self) -> usize {\n        ",
            "\n    }\n}\n",
            HoleKind::Line,
        )
    };
    load(&options).unwrap().infill(&request, &CancelToken::new(), &mut NoFrames).unwrap().candidates
}

fn score(candidates: &[Candidate], text: &str) -> f32 {
    candidates.iter().find(|candidate| candidate.text == text).unwrap().score
}

#[test]
fn a_place_in_an_authors_list_moves_the_score_by_its_weight() {
    let (plain, ranked) = (answers(json!({})), answers(json!({"earlier": 8.0})));
    for (text, gain) in [("entirely.different()", 8.0), ("self.items.len()", 4.0)] {
        let gained = score(&ranked, text) - score(&plain, text);
        assert!((gained - gain).abs() < 1e-3, "{text}: {gained}");
    }
    let sure = answers(json!({"earlier": 100.0}));
    assert_eq!(sure[0].text, "entirely.different()");
    assert!(sure.windows(2).all(|pair| pair[0].score >= pair[1].score));
}

#[test]
fn canvases_gain_by_how_probable_their_length_is() {
    let (plain, ranked) = (answers(json!({})), answers(json!({"canvas": 100.0})));
    let gains: Vec<f32> = ranked.iter().map(|c| c.score - score(&plain, &c.text)).collect();
    assert!(gains.iter().any(|gain| (gain - 100.0).abs() < 1e-2), "{gains:?}");
    assert!(gains.iter().any(|gain| (gain - 50.0).abs() < 1e-2), "{gains:?}");
}
