//! The binary itself, where no model is needed: usage, bad input, exit codes, and that nothing is ever written then.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn lacuna(arguments: &[&str], folder: &Path, input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lacuna"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("LACUNA_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments may be gone before it reads.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn workspace(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, bytes): &(&str, &[u8])| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let paths = files.iter().map(write).collect();
    (folder, paths)
}

/// The command ends with exit code 2, one line that holds `expected`, and every file as it was.
#[track_caller]
fn refused(arguments: &[&str], files: &[(&str, &[u8])], expected: &str) {
    let (folder, paths) = workspace(files);
    let output = lacuna(arguments, folder.path(), b"");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.starts_with("lacuna: ") && complaint.contains(expected), "{complaint}");
    assert_eq!(complaint.matches('\n').count(), 1, "one line: {complaint}");
    assert!(output.stdout.is_empty(), "nothing on standard output");
    for (path, (name, bytes)) in paths.iter().zip(files) {
        assert_eq!(&fs::read(path).unwrap(), bytes, "{name} is as it was");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), files.len(), "no file appeared");
}

const HOLE: &[u8] = b"fn f() -> u8 {\n    todo!()\n}\n";

#[test]
fn alone_it_prints_a_short_help_with_two_examples() {
    let (folder, _) = workspace(&[]);
    let output = lacuna(&[], folder.path(), b"");
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        help.contains("lacuna fill src/lib.rs  ") && help.contains("lacuna fill src/lib.rs:12:9 -i"),
        "{help}"
    );
    assert!(help.lines().count() < 30, "{help}");
}

#[test]
fn every_command_explains_itself() {
    let (folder, _) = workspace(&[]);
    for command in ["fill", "refine", "eval", "doctor", "bench", "replay"] {
        let output = lacuna(&[command, "--help"], folder.path(), b"");
        assert!(output.status.success(), "{command}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: lacuna"), "{command}");
    }
}

#[test]
fn help_can_be_asked_for_as_a_command() {
    let (folder, _) = workspace(&[]);
    let output = lacuna(&["help", "fill"], folder.path(), b"");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("FILE[:LINE[:COLUMN]]"));
}

#[test]
fn wrong_usage_is_one_line() {
    refused(&["fill"], &[], "FILE[:LINE[:COLUMN]]");
    refused(&["fill", "a.rs", "--nonsense"], &[("a.rs", HOLE)], "--nonsense");
    refused(&["frobnicate"], &[], "frobnicate");
    refused(&["fil", "a.rs"], &[("a.rs", HOLE)], "'fill'");
    refused(&["bench"], &[], "requires a subcommand");
    refused(&["fill", "a.rs", "--preset", "slow"], &[("a.rs", HOLE)], "fast");
    refused(&["refine", "a.rs"], &[("a.rs", HOLE)], "FILE:A-B");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    refused(&["fill", "gone.rs"], &[], "gone.rs does not exist");
    refused(&["fill", "gone.rs:3:1"], &[], "gone.rs does not exist");
    refused(
        &["fill", "a.rs:2:x"],
        &[("a.rs", HOLE)],
        "write a.rs:LINE or a.rs:LINE:COLUMN, found '2:x' behind it",
    );
    refused(&["fill", ""], &[], "the name of the file is empty");
    refused(&["fill", "-:9:1", "--language", "rust"], &[], "standard input is empty");
    refused(&["fill", "."], &[], ". is a directory");
    refused(&["fill", "a.rs"], &[("a.rs", b"")], "a.rs is empty");
    refused(&["fill", "a.rs"], &[("a.rs", b"\xef\xbb\xbf")], "a.rs is empty");
    refused(&["fill", "a.rs"], &[("a.rs", b"fn \xff")], "a.rs is not UTF-8: byte 3");
    refused(&["fill", "-"], &[], "standard input is empty");
}

#[test]
fn ten_megabytes_are_too_many() {
    let large = vec![b'\n'; 10_000_000];
    refused(&["fill", "a.rs"], &[("a.rs", &large)], "a.rs has 10 MB or more");
}

#[test]
fn holes_that_are_not_there_are_named() {
    refused(&["fill", "a.rs"], &[("a.rs", b"fn f() { g() }\n")], "no hole found in a.rs");
    refused(&["fill", "a.rs:9"], &[("a.rs", HOLE)], "line 9 is outside a.rs");
    refused(
        &["fill", "a.rs:2:99"],
        &[("a.rs", HOLE)],
        "column 99 is outside line 2 of a.rs, which has 11 characters: columns 1 to 12",
    );
    refused(&["fill", "a.rs:0"], &[("a.rs", HOLE)], "lines are counted from 1");
    refused(&["fill", "a.rs:2:5", "--to", "1:1"], &[("a.rs", HOLE)], "ends before it starts");
    refused(&["fill", "a.rs", "--to", "2:8"], &[("a.rs", HOLE)], "say where it starts");
    refused(&["fill", "a.rs", "--marker", "2"], &[("a.rs", HOLE)], "--marker 2 does not exist");
    refused(&["refine", "a.rs:2-99"], &[("a.rs", HOLE)], "line 99 is outside a.rs");
    refused(&["refine", "a.rs:3-2"], &[("a.rs", HOLE)], "end before they start");
}

#[test]
fn numbers_out_of_range_are_named() {
    refused(&["fill", "a.rs", "--steps", "0"], &[("a.rs", HOLE)], "--steps must be at least 1, found 0");
    refused(&["fill", "a.rs", "--candidates", "0"], &[("a.rs", HOLE)], "--candidates must be at least 1");
    refused(&["fill", "a.rs", "--threads", "0"], &[("a.rs", HOLE)], "--threads must be at least 1");
    refused(
        &["refine", "a.rs:2", "--strength", "1.5"],
        &[("a.rs", HOLE)],
        "--strength must lie between 0 and 1",
    );
    refused(
        &["refine", "a.rs:2", "--strength", "NaN"],
        &[("a.rs", HOLE)],
        "--strength must lie between 0 and 1",
    );
}

#[test]
fn in_place_needs_a_file_that_can_be_written() {
    refused(&["fill", "-", "-i"], &[], "standard input is empty");
    let (folder, paths) = workspace(&[("a.rs", HOLE)]);
    let mut permissions = fs::metadata(&paths[0]).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&paths[0], permissions).unwrap();
    let output = lacuna(&["fill", "a.rs", "--in-place"], folder.path(), b"");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(complaint, "lacuna: a.rs cannot be written: it is read-only\n");
    let output = lacuna(&["fill", "-", "--in-place"], folder.path(), HOLE);
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard input cannot be replaced"));
}

#[test]
fn models_that_are_not_there_are_named() {
    refused(
        &["fill", "a.rs", "--model", "nowhere"],
        &[("a.rs", HOLE)],
        "the model at nowhere cannot be used",
    );
    refused(&["doctor", "--model", "nowhere"], &[], "the model at nowhere cannot be used");
    refused(
        &["doctor", "--model", "some/name"],
        &[],
        "there is no such directory; it takes one with config.json",
    );
    refused(&["doctor", "--precision", "q4"], &[], "the built-in model cannot be used");
    refused(&["replay", "--model", "nowhere", "--replay", "in", "--out", "out"], &[], "nowhere");
}

#[test]
fn a_replay_does_not_overwrite_its_recording() {
    let overwrites = "would overwrite the recording";
    let replay = |out| ["replay", "--model", "m", "--replay", "in", "--out", out];
    refused(&replay("in"), &[("in", b"recorded")], overwrites);
    refused(&replay("./in"), &[("in", b"recorded")], overwrites);
    #[cfg(unix)]
    {
        let (folder, paths) = workspace(&[("in", b"recorded")]);
        std::os::unix::fs::symlink("in", folder.path().join("out")).unwrap();
        let output = lacuna(&replay("out"), folder.path(), b"");
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(complaint.contains(overwrites), "{complaint}");
        assert_eq!(fs::read(&paths[0]).unwrap(), b"recorded");
    }
}

#[test]
fn cases_that_cannot_be_read_are_named_by_line_and_field() {
    refused(&["eval", "gone.jsonl"], &[], "gone.jsonl does not exist");
    refused(&["eval", "c.jsonl"], &[("c.jsonl", b"\n")], "c.jsonl holds no cases");
    refused(&["eval", "c.jsonl"], &[("c.jsonl", b"\n{}\n")], "c.jsonl line 2: field task_id is missing");
    let case = br#"{"task_id":"a","prompt":"x = ","suffix":"\n","canonical_solution":"1"}"#;
    refused(&["eval"], &[], "part of Lacuna's repository");
    refused(&["eval", "c.jsonl", "--kinds", "lien"], &[("c.jsonl", case)], "the cases have the kinds");
    refused(&["eval", "c.jsonl", "--limit", "0"], &[("c.jsonl", case)], "--limit must be at least 1");
    refused(
        &["eval", "c.jsonl", "--predictions", "c.jsonl"],
        &[("c.jsonl", case)],
        "would overwrite the cases",
    );
    // Said before anything is measured.
    refused(&["eval", "c.jsonl", "--html", "no/o.html"], &[("c.jsonl", case)], "no/o.html cannot be written");
    refused(
        &["eval", "c.jsonl", "--scorecard", "no/o.csv"],
        &[("c.jsonl", case)],
        "no/o.csv cannot be written",
    );
    refused(
        &["eval", "c.jsonl", "--scorecard", "c.jsonl"],
        &[("c.jsonl", case)],
        "would overwrite the cases",
    );
    refused(&["eval", "c.jsonl", "--compare", "no.csv"], &[("c.jsonl", case)], "no.cases.csv cannot be read");
    refused(&["bench", "generate", "--cases", "c.jsonl"], &[("c.jsonl", b"[]")], "c.jsonl line 1: expected");
}
