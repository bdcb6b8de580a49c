//! Ctrl-C and closed pipes, on the binary with its built-in model.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn start(arguments: &[&str], folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(arguments)
        .current_dir(folder)
        .env("LACUNA_LOG", "lacuna=debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Sends Ctrl-C once the model is loaded; the exit code and what was said after.
fn interrupt_when_loaded(mut child: Child) -> (Option<i32>, String) {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("loaded") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "ended before the model was loaded");
    }
    interrupt(&child);
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

#[test]
fn ctrl_c_while_filling_in_place_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rs");
    let text = "/// Sorts.\nfn sort(values: &mut [u8]) {\n    todo!()\n}\n";
    fs::write(&path, text).unwrap();
    // As much work as a request may ask for: it cannot be over before the signal comes.
    let flags = ["--candidates", "64", "--steps", "256", "--preset", "thorough"];
    let arguments: Vec<&str> = ["fill", "a.rs", "--in-place"].into_iter().chain(flags).collect();
    let (code, _) = interrupt_when_loaded(start(&arguments, folder.path()));
    assert_eq!(code, Some(130));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays behind");
}

#[test]
fn ctrl_c_ends_an_evaluation_between_two_answers() {
    let folder = tempfile::tempdir().unwrap();
    let case =
        r#"{"task_id":"a","prompt":"x = f(","suffix":")\n","canonical_solution":"1","language":"python"}"#;
    fs::write(folder.path().join("cases.jsonl"), format!("{case}\n").repeat(10_000)).unwrap();
    let fifo = folder.path().join("answers");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut child = start(&["eval", "cases.jsonl", "--predictions", "answers"], folder.path());
    // Opening waits for the command to open its end; the first line says that it is at work.
    let mut answers = BufReader::new(File::open(&fifo).unwrap());
    let mut first = String::new();
    answers.read_line(&mut first).unwrap();
    assert!(first.contains(r#""task_id":"a""#), "{first}");
    interrupt(&child);
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{complaint}");
    assert!(complaint.contains("lacuna: cancelled; nothing was changed\n"), "{complaint}");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["--help"], folder.path());
    drop(child.stdout.take());
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn logs_hold_no_code() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.py"), "very_secret_name = ‹›\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(["fill", "a.py", "--preset", "fast"])
        .current_dir(folder.path())
        .env("LACUNA_LOG", "trace")
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("loaded"), "there is a log: {log}");
    assert!(!log.contains("very_secret_name"), "{log}");
}
