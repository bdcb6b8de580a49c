//! Random and mutated frames against the server: no crash, no hang, and it still knows its documents afterwards.
//!
//! `LACUNA_FUZZ_SECONDS` says for how long (5 by default), `LACUNA_FUZZ_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::fuzz::Fuzzer;
use lacuna_tests::servers::Stage;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const URI: &str = "file:///fuzz/kept.rs";
const TEXT: &str = "fn kept() {\n    let total = \n}\n";

/// Frames between two looks at whether the server still answers.
const BATCH: usize = 200;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}

/// Messages as an editor sends them, about documents that the fuzzer may do anything to.
fn valid() -> Vec<Value> {
    let uri = "file:///fuzz/a.rs";
    let document = json!({"uri": uri});
    let at = json!({"line": 1, "character": 8});
    let range = json!({"start": {"line": 0, "character": 3}, "end": at});
    let text = "fn a() {\r\n    todo!() // ☃🦀\n}\n";
    let request = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 70_001, "method": method, "params": params});
    let notice = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    vec![
        notice(
            "textDocument/didOpen",
            json!({"textDocument": {"uri": uri, "languageId": "rust", "version": 1, "text": text}}),
        ),
        notice(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"range": range, "text": "x\n"}]}),
        ),
        notice(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": 3}, "contentChanges": [{"text": text}]}),
        ),
        notice("textDocument/didClose", json!({"textDocument": document})),
        notice("$/cancelRequest", json!({"id": 70_001})),
        notice("window/workDoneProgress/cancel", json!({"token": "a"})),
        notice(
            "workspace/didChangeConfiguration",
            json!({"settings": {"lacuna": {"candidates": 4, "frames": true}}}),
        ),
        notice(
            "workspace/didChangeWorkspaceFolders",
            json!({"event": {"added": [{"uri": "file:///b", "name": "b"}], "removed": []}}),
        ),
        request(
            "textDocument/inlineCompletion",
            json!({"textDocument": document, "position": at, "context": {"triggerKind": 1}}),
        ),
        request("textDocument/completion", json!({"textDocument": document, "position": at})),
        request(
            "textDocument/codeAction",
            json!({"textDocument": document, "range": range, "context": {"diagnostics": []}}),
        ),
        request(
            "codeAction/resolve",
            json!({"title": "Fill", "kind": "refactor.rewrite.lacuna.fill", "data": {"uri": uri, "version": 1, "range": range}}),
        ),
        request(
            "workspace/executeCommand",
            json!({"command": "lacuna.fill", "arguments": [{"uri": uri, "position": at}]}),
        ),
        request("workspace/executeCommand", json!({"command": "lacuna.status", "arguments": []})),
        request("lacuna/document", json!({"uri": uri})),
        json!({"jsonrpc": "2.0", "id": 1, "result": null}),
        json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -32601, "message": "no"}}),
    ]
}

/// The server is there, holds what it should, and still fills.
fn check_alive(client: &mut Client, sent: u64, seed: u64) {
    let context = format!("after {sent} frames of seed {seed}");
    // Whatever the frames before did, they end here: a new line ends a header, and settings are what they were.
    client.raw(b"\r\n".to_vec());
    let plain = json!({"enabled": true, "languages": {}, "files": {"include": [], "exclude": []}});
    client.notify("workspace/didChangeConfiguration", json!({"settings": {"lacuna": plain}}));
    client.command("lacuna.toggle", json!([{"enabled": true}]));
    client.command("lacuna.toggle", json!([{"language": "rust", "enabled": true}]));
    client.open(URI, "rust", TEXT);
    client.assert_in_step(URI);
    let caret = client.after(URI, "total = ");
    let id = client.request_inline(URI, caret, Trigger::Invoked);
    let response = client.response(id);
    let answer = response.result.unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert!(answer["items"].as_array().is_some_and(|items| !items.is_empty()), "{context}: {answer}");
    client.close(URI);
}

#[test]
fn it_survives_whatever_comes() {
    let seconds = from_environment("LACUNA_FUZZ_SECONDS", 5);
    let seed = from_environment("LACUNA_FUZZ_SEED", 20_261_121);
    let stage = Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"));
    let script =
        Script { steps: 2, step_ms: 0.5, candidates: vec!["{last}();".to_owned()], ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    client.tolerate_strangers();
    let mut fuzzer = Fuzzer::new(seed, valid());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut sent = 0;
    while Instant::now() < end {
        for _ in 0..BATCH {
            client.raw(fuzzer.bytes());
        }
        sent += BATCH as u64;
        check_alive(&mut client, sent, seed);
    }
    let panics = client.counter("panics");
    assert_eq!(panics, 0, "{panics} panics behind {sent} frames of seed {seed}");
    assert_eq!(client.shut_down(), Some(0));
    // Past the test runner's capture: how much was tried is part of the result.
    lacuna_tests::say(&format!("fuzz: {sent} frames in {seconds} s, seed {seed}"));
}
