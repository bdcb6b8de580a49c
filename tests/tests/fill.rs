//! The real binary with the shipped model, over real pipes: what a person gets, and what stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::{fixture, lacuna, workspace_root};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const RUST: &str = "/// Returns the larger of two numbers.\nfn max(a: i32, b: i32) -> i32 {\n    if a > b { a } else { ‹› }\n}\n";

fn folder(name: &str, bytes: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let run = lacuna(folder, args);
    assert_eq!(run.code, Some(0), "{args:?}: {run:?}");
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
}

/// The answer without what may differ from run to run: the times.
fn candidates(folder: &Path, args: &[&str]) -> Value {
    json(folder, args)["candidates"].clone()
}

#[test]
fn a_hole_is_filled_between_the_code_before_and_after_it() {
    let folder = folder("max.rs", RUST.as_bytes());
    let answer = json(folder.path(), &["fill", "max.rs", "--json"]);
    let first = answer["candidates"][0]["text"].as_str().unwrap();
    assert!(!first.is_empty() && !first.contains(['\n', '‹', '›']), "{first:?}");
    assert!(answer["stats"]["forwards"].as_u64().unwrap() >= 1);
    assert_eq!(
        fs::read_to_string(folder.path().join("max.rs")).unwrap(),
        RUST,
        "without --in-place nothing is written"
    );
}

#[test]
fn piped_it_prints_the_text_of_the_hole_and_nothing_else() {
    let folder = folder("max.rs", RUST.as_bytes());
    let run = lacuna(folder.path(), &["fill", "max.rs"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let text = json(folder.path(), &["fill", "max.rs", "--json"])["candidates"][0]["text"].clone();
    assert_eq!(run.stdout.trim_end_matches('\n'), text.as_str().unwrap());
    assert!(!run.stdout.contains('\u{1b}'), "no escape sequences in a pipe");
}

#[test]
fn the_same_seed_gives_the_same_answer_on_any_number_of_threads() {
    let folder = folder("max.rs", RUST.as_bytes());
    let base = ["fill", "max.rs", "--json", "--candidates", "6", "--seed", "7", "--threads"];
    let answers: Vec<Value> = ["1", "2", "3"]
        .iter()
        .map(|threads| candidates(folder.path(), &[&base[..], &[threads]].concat()))
        .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

#[test]
fn in_place_keeps_line_endings_byte_order_mark_and_permissions() {
    let windows = format!("\u{feff}{}", RUST.replace('\n', "\r\n"));
    let folder = folder("max.rs", windows.as_bytes());
    let path = folder.path().join("max.rs");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o754)).unwrap();
    }
    let run = lacuna(folder.path(), &["fill", "max.rs", "--in-place"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let after = fs::read_to_string(&path).unwrap();
    let (before_hole, after_hole) = windows.split_once("‹›").unwrap();
    assert!(after.starts_with(before_hole) && after.ends_with(after_hole), "{after:?}");
    assert_ne!(after, windows);
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "no lone LF: {after:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o754);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_position_a_range_and_python_work() {
    let source = "import os\n\n\ndef read(path):\n    with open(path) as handle:\n        return handle.\n";
    let folder = folder("read.py", source.as_bytes());
    let at_cursor = json(folder.path(), &["fill", "read.py:6:23", "--json"]);
    assert!(!at_cursor["candidates"][0]["text"].as_str().unwrap().is_empty());
    let range = lacuna(folder.path(), &["fill", "read.py:5:10", "--to", "5:20", "--diff"]);
    let changed = |sign: char| -> Vec<&str> {
        let headers = ["--- ", "+++ "];
        let lines =
            range.stdout.lines().filter(|line| !headers.iter().any(|header| line.starts_with(header)));
        lines.filter_map(|line| line.strip_prefix(sign)).collect()
    };
    match range.code {
        Some(0) => {
            assert_eq!(changed('-'), ["    with open(path) as handle:"], "{range:?}");
            let [added] = changed('+')[..] else { panic!("one line for one line: {range:?}") };
            assert!(added.starts_with("    with ") && added.ends_with(" as handle:"), "{range:?}");
        }
        Some(1) => {
            assert!(range.stderr.starts_with("lacuna: no usable candidate: "), "{range:?}");
            assert_eq!(range.stdout, "");
        }
        _ => panic!("{range:?}"),
    }
}

/// Two holes, one answer: what stands between them and around them stays, in its own line ends.
#[test]
fn all_markers_are_filled_together() {
    let (before, between, after) =
        ("fn area(w: f64, h: f64) -> f64 {\r\n    let product = ", ";\r\n    ", "\r\n}\r\n");
    let source = format!("{before}‹›{between}‹›{after}");
    let folder = folder("area.txt", source.as_bytes());
    let missing = lacuna(folder.path(), &["fill", "area.txt", "--all"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    for part in ["--all needs --tokens N", "how many each of the 2 has"] {
        assert!(missing.stderr.contains(part), "{missing:?}");
    }
    let run = lacuna(folder.path(), &["fill", "area.txt", "--all", "--tokens", "3,1", "-i"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let now = fs::read_to_string(folder.path().join("area.txt")).unwrap();
    let holes = now.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let holes = holes.unwrap_or_else(|| panic!("the text around stays: {now:?}"));
    let (first, second) =
        holes.split_once(between).unwrap_or_else(|| panic!("the text between stays: {now:?}"));
    assert!(!first.is_empty() && !second.is_empty() && !now.contains('‹'), "{now:?}");
}

/// Line breaks that could not be written back as they are: nothing is written.
#[test]
fn all_markers_are_refused_where_line_breaks_are_mixed() {
    let source = "let a = ‹›;\r\nlet b = 1;\nlet c = ‹›;\r\n";
    let folder = folder("mixed.txt", source.as_bytes());
    let run = lacuna(folder.path(), &["fill", "mixed.txt", "--all", "--tokens", "1", "-i"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("line breaks differ between the holes of mixed.txt"), "{run:?}");
    assert_eq!(fs::read_to_string(folder.path().join("mixed.txt")).unwrap(), source);
}

/// The present text competes with every change of it, so there always is an answer.
#[test]
fn refining_says_that_it_keeps_the_text_or_changes_the_named_line_only() {
    let (before, line, after) =
        ("fn add(a: u32, b: u32) -> u32 {\n", "    let sum = a + b;", "\n    sum\n}\n\nfn keep() {}\n");
    let source = format!("{before}{line}{after}");
    let folder = folder("add.rs", source.as_bytes());
    let run = lacuna(folder.path(), &["refine", "add.rs:2-2", "--strength", "0.5", "--in-place"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let now = fs::read_to_string(folder.path().join("add.rs")).unwrap();
    if run.stderr.contains("nothing to correct") {
        assert_eq!(now, source);
    } else {
        let inside = now.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let inside = inside.unwrap_or_else(|| panic!("the lines around stay: {now}"));
        assert!(inside.starts_with("    ") && inside != line, "{now}");
    }
}

/// Every method answers the committed smoke cases in the documented shape, with numbers that can be.
#[test]
fn eval_reports_the_documented_shape_for_every_method() {
    let cases = fixture("infill/smoke.jsonl");
    let count = fs::read_to_string(&cases).unwrap().lines().count();
    for method in ["diffusion", "causal", "causal-fim"] {
        let report =
            json(&workspace_root(), &["eval", cases.to_str().unwrap(), "--json", "--method", method]);
        assert_eq!(report["cases"], count, "{report}");
        let kinds = report["by_kind"].as_object().unwrap();
        let total: u64 = kinds.values().map(|kind| kind["n"].as_u64().unwrap()).sum();
        assert_eq!(total as usize, count);
        for kind in kinds.values() {
            for share in ["exact_match", "edit_similarity", "syntax_kept"] {
                let value = kind[share].as_f64().unwrap();
                assert!((0.0..=1.0).contains(&value), "{method} {share} {value}");
            }
        }
        assert!(
            report["latency_ms"]["p50"].as_f64().unwrap() <= report["latency_ms"]["p95"].as_f64().unwrap()
        );
        assert!(report["steps_mean"].as_f64().unwrap() > 0.0);
        assert!(report["tokens_per_forward"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn doctor_tells_what_is_there() {
    let report = json(&workspace_root(), &["doctor", "--json"]);
    assert_eq!(report["model"]["source"], "built-in", "{report}");
    assert!(report["model"]["parameters"].as_u64().unwrap() > 1_000_000);
}
