//! fill and refine against a scripted engine: what is printed, what is written, what is refused.

use super::*;
use crate::args::{Cli, Command};
use crate::hole;
use crate::interrupt::Interrupt;
use crate::location::LineRange;
use crate::output::Output;
use clap::Parser;
use lacuna_engine::scripted::ScriptedEngine;
use lacuna_engine::{EngineError, Start};
use lacuna_lsp::rank::CHANGE_COST;
use std::fs;
use std::path::PathBuf;

const TEXT: &str = "def f():\r\n    pass\r\n";

struct Run {
    result: Result<(), Failure>,
    printed: String,
    file: Vec<u8>,
    engine: ScriptedEngine,
}

/// Runs `lacuna fill a.py FLAGS` on [`TEXT`] with an engine that answers `candidates`.
fn fill(flags: &str, terminal: bool, candidates: &[&str]) -> Run {
    let answer = candidates.iter().map(|&text| text.to_owned()).collect();
    run_scripted(flags, terminal, Ok(answer), false)
}

fn run_scripted(flags: &str, terminal: bool, answer: Result<Vec<String>, EngineError>, refine: bool) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("a.py");
    fs::write(&path, TEXT).unwrap();
    let words = ["lacuna", "fill", path.to_str().unwrap()].into_iter().chain(flags.split_whitespace());
    let Some(Command::Fill(args)) = Cli::try_parse_from(words).unwrap().command else { panic!() };
    let (output, captured) = Output::captured(terminal, false);
    let mut context = Context { output, interrupt: Interrupt::default() };
    let mut engine = ScriptedEngine::new([answer]);
    let result = open(&args.location.file, &args.edit).and_then(|source| {
        let task = if refine {
            let lines = LineRange { file: String::new(), first: 2, last: 2 };
            let region = hole::lines(&source, &lines)?;
            Task { source, region, begin: Begin::Text(0.5), piped: Piped::Diff }
        } else {
            let region = hole::choose(&source, None, None, None)?.region;
            Task { source, region, begin: Begin::Noise, piped: Piped::Hole }
        };
        run_with(&mut engine, &task, &args.edit, &mut context)
    });
    Run { result, printed: captured.text(), file: fs::read(&path).unwrap(), engine }
}

#[test]
fn piped_the_text_of_the_hole_is_printed_and_nothing_is_written() {
    let run = fill("", false, &["return 1", "return 2"]);
    run.result.unwrap();
    assert_eq!(run.printed, "return 1\n");
    assert_eq!(run.file, TEXT.as_bytes());
    assert_eq!(run.engine.seen[0].prefix, "def f():\n    ");
}

#[test]
fn in_place_writes_with_the_file_s_line_ends_and_prints_nothing_to_a_pipe() {
    let run = fill("-i", false, &["x = 1\n    return x"]);
    run.result.unwrap();
    assert_eq!(run.printed, "");
    assert_eq!(run.file, b"def f():\r\n    x = 1\r\n    return x\r\n");
}

#[test]
fn pick_takes_another_candidate_and_refuses_what_is_not_there() {
    assert_eq!(fill("--pick 2", false, &["return 1", "return 2"]).printed, "return 2\n");
    let run = fill("--pick 3 -i", false, &["return 1", "return ((", "return 2"]);
    let error = run.result.unwrap_err();
    assert_eq!(error.to_string(), "--pick 3 does not exist: there are 2 usable candidates");
    assert_eq!((error.exit_code(), run.file.as_slice()), (2, TEXT.as_bytes()));
}

#[test]
fn without_a_usable_candidate_nothing_is_written() {
    let run = fill("-i", false, &["return ((", ""]);
    let error = run.result.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("1 with syntax errors, 1 blank"), "{error}");
    assert_eq!(run.file, TEXT.as_bytes());
}

#[test]
fn an_engine_that_is_cancelled_leaves_the_file() {
    let run = run_scripted("-i", false, Err(EngineError::Cancelled), false);
    assert_eq!(run.result.unwrap_err().exit_code(), 130);
    assert_eq!(run.file, TEXT.as_bytes());
}

#[test]
fn json_holds_the_documented_keys() {
    let run = fill("--json", false, &["return 1", "return (("]);
    run.result.unwrap();
    let report: serde_json::Value = serde_json::from_str(&run.printed).unwrap();
    assert_eq!(report["range"]["start"], serde_json::json!({"line": 2, "column": 5}));
    assert_eq!(report["range"]["end_byte"], 18);
    assert_eq!(report["chosen"], 0);
    assert_eq!(report["written"], false);
    assert_eq!(report["candidates"][0]["text"], "return 1");
    assert_eq!(report["candidates"][0]["rejected"], serde_json::Value::Null);
    assert!(report["candidates"][1]["rejected"].as_str().unwrap().contains("syntax"));
    assert!(report["stats"]["total_ms"].is_number());
    assert!(report["diff"].as_str().unwrap().contains("+    return 1"));
}

#[test]
fn json_without_a_usable_candidate_chooses_null() {
    let run = fill("--json", false, &["return (("]);
    assert_eq!(run.result.unwrap_err().exit_code(), 1);
    let report: serde_json::Value = serde_json::from_str(&run.printed).unwrap();
    assert_eq!(report["chosen"], serde_json::Value::Null);
}

#[test]
fn a_person_sees_the_diff_the_candidates_and_the_cost() {
    let run = fill("", true, &["return 1"]);
    run.result.unwrap();
    for expected in ["-    pass\n+    return 1\n", "* 1 ", "1 candidate · 1 step · ", "nothing written"] {
        assert!(run.printed.contains(expected), "{expected:?} in {:?}", run.printed);
    }
    assert!(run.printed.contains("step 1 of at most 1"), "the hole was shown while it condensed");
}

#[test]
fn refining_starts_from_the_text_and_prints_the_diff() {
    let run = run_scripted("", false, Ok(vec!["return 1".to_owned()]), true);
    run.result.unwrap();
    assert!(run.printed.contains("-    pass\r\n+    return 1\r\n"), "{:?}", run.printed);
    assert_eq!(run.engine.seen[0].start, Start::Text { text: "pass".to_owned(), strength: 0.5 });
}

#[test]
fn refining_that_changes_nothing_is_no_failure() {
    let run = run_scripted("-i", false, Ok(vec!["pass".to_owned()]), true);
    run.result.unwrap();
    assert_eq!((run.printed.as_str(), run.file.as_slice()), ("", TEXT.as_bytes()));
}

#[test]
fn refining_keeps_a_text_that_the_model_finds_as_good_as_any_change() {
    let answer = |texts: &[&str]| Ok(texts.iter().map(|&text| text.to_owned()).collect());
    let run = run_scripted("-i --json", false, answer(&["pass", "return 1"]), true);
    run.result.unwrap();
    assert_eq!(run.file, TEXT.as_bytes());
    let report: serde_json::Value = serde_json::from_str(&run.printed).unwrap();
    assert_eq!((&report["chosen"], &report["written"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(report["diff"], "");
    // A cut list still knows it; a change is made where it is better by more than what changing costs.
    assert_eq!(
        run_scripted("-i --candidates 1", false, answer(&["pass", "return 1"]), true).file,
        TEXT.as_bytes()
    );
    let changed = b"def f():\r\n    return 1\r\n".as_slice();
    assert_eq!(run_scripted("-i", false, answer(&["return 1", "pass"]), true).file, TEXT.as_bytes());
    // The script's scores fall by one nat a place; one token goes and two come.
    let far = 3 * CHANGE_COST as usize;
    let better = [&["return 1"], vec!["(("; far].as_slice(), &["pass"]].concat();
    assert_eq!(run_scripted("-i", false, answer(&better), true).file, changed);
    // Who names a candidate gets it.
    assert_eq!(run_scripted("-i --pick 2", false, answer(&["pass", "return 1"]), true).file, changed);
}

#[test]
fn a_candidate_with_syntax_errors_takes_no_place_in_a_short_list() {
    let run = fill("--candidates 1 --json", false, &["return ((", "return 1", "return 2"]);
    run.result.unwrap();
    let report: serde_json::Value = serde_json::from_str(&run.printed).unwrap();
    assert_eq!(report["candidates"].as_array().unwrap().len(), 1);
    assert_eq!((&report["chosen"], &report["candidates"][0]["text"]), (&0.into(), &"return 1".into()));
    let per_forward = report["stats"]["tokens_per_forward"].as_f64().unwrap();
    assert!((per_forward - 2.0).abs() < 1e-6, "two words in one pass, found {per_forward}");
}

#[test]
fn unknown_languages_are_refused_by_name() {
    let run = fill("--language klingon", false, &[]);
    let error = run.result.unwrap_err();
    assert!(error.to_string().starts_with("--language klingon is not known; known are rust,"), "{error}");
}
