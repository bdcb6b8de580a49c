//! Bad messages from a client: the specified error or a clamp, the server lives, and the next request works.
//! (Bytes that are no message at all: `lsp_bad_frames.rs`.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::{Stage, check_alive};
use serde_json::{Value, json};

const URI: &str = "file:///project/main.rs";
const TEXT: &str = "fn main() {\n    let answer = \n}\n";

const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const NOT_INITIALIZED: i64 = -32002;
const CANCELLED: i64 = -32800;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

/// A client with one document open.
fn client(stage: &Stage, script: &Script) -> Client {
    let mut client = stage.ready(script, &Setup::default());
    client.open(URI, "rust", TEXT);
    client
}

fn inline(position: Value) -> Value {
    json!({"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 1}})
}

#[test]
fn unknown_methods() {
    let mut client = client(&stage(), &Script::default());
    for method in ["textDocument/noSuchThing", "lacuna/noSuchThing", "$/noSuchThing", "no such\nthing", "☃"]
    {
        assert_eq!(client.call(method, json!({})).code(), METHOD_NOT_FOUND, "{method}");
        client.notify(method, json!({}));
    }
    check_alive(client);
}

#[test]
fn wrong_params_of_requests() {
    let mut client = client(&stage(), &Script::default());
    let methods = [
        "textDocument/inlineCompletion",
        "textDocument/completion",
        "textDocument/codeAction",
        "lacuna/document",
    ];
    let params =
        [json!({}), json!([]), json!([1, 2]), json!({"textDocument": {"uri": 7}}), json!({"uri": {}})];
    for method in methods {
        for params in &params {
            assert_eq!(client.call(method, params.clone()).code(), INVALID_PARAMS, "{method} {params}");
        }
        assert_eq!(client.call(method, Value::Null).code(), INVALID_PARAMS, "{method} without params");
    }
    for (line, character) in
        [(json!(-1), json!(0)), (json!("one"), json!(0)), (json!(0), json!(1.5)), (json!(1e30), json!(0))]
    {
        let params = inline(json!({"line": line, "character": character}));
        assert_eq!(
            client.call("textDocument/inlineCompletion", params.clone()).code(),
            INVALID_PARAMS,
            "{params}"
        );
    }
    check_alive(client);
}

#[test]
fn wrong_commands() {
    let mut client = client(&stage(), &Script::default());
    let cases = [
        json!({"command": "lacuna.noSuchThing", "arguments": []}),
        json!({"command": "lacuna.fill"}),
        json!({"command": "lacuna.fill", "arguments": [3]}),
        json!({"command": "lacuna.fill", "arguments": [{"uri": URI, "range": 3}]}),
        json!({"command": "lacuna.refine", "arguments": [{"uri": URI}]}),
        json!({"command": "lacuna.toggle", "arguments": [{"enabled": "perhaps"}]}),
        json!({"arguments": []}),
    ];
    for params in cases {
        let code = client.call("workspace/executeCommand", params.clone()).code();
        assert_eq!(code, INVALID_PARAMS, "{params}");
    }
    check_alive(client);
}

#[test]
fn wrong_params_of_notifications_are_ignored() {
    let mut client = client(&stage(), &Script::default());
    let methods = [
        "textDocument/didOpen",
        "textDocument/didChange",
        "textDocument/didClose",
        "textDocument/didSave",
        "workspace/didChangeConfiguration",
        "workspace/didChangeWorkspaceFolders",
        "window/workDoneProgress/cancel",
        "$/cancelRequest",
        "$/setTrace",
    ];
    for method in methods {
        for params in [json!({}), json!([]), json!({"textDocument": 3}), json!({"id": {}}), Value::Null] {
            client.notify(method, params);
        }
    }
    client.assert_in_step(URI);
    check_alive(client);
}

/// Changes whose parts do not fit: none may be taken for a replacement of the whole text.
#[test]
fn changes_with_a_malformed_range_leave_the_text() {
    let mut client = client(&stage(), &Script::default());
    for range in [json!({"start": {"line": 0}}), json!([]), json!({"start": 1, "end": 2}), json!("all")] {
        let change = json!({"range": range, "text": "gone"});
        let params = json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [change]});
        client.notify("textDocument/didChange", params);
    }
    let held = client.ask("lacuna/document", json!({"uri": URI}));
    assert_eq!(held["text"], TEXT);
    check_alive(client);
}

/// Sends one change raw, in positions; the text the server then holds.
fn change_at(client: &mut Client, start: (u64, u64), end: (u64, u64), text: &str) -> Value {
    let position = |(line, character): (u64, u64)| json!({"line": line, "character": character});
    let change = json!({"range": {"start": position(start), "end": position(end)}, "text": text});
    let params = json!({"textDocument": {"uri": URI, "version": 2}, "contentChanges": [change]});
    client.notify("textDocument/didChange", params);
    client.ask("lacuna/document", json!({"uri": URI}))["text"].take()
}

#[test]
fn positions_past_the_end_are_clamped() {
    let most = u64::from(i32::MAX.unsigned_abs());
    let cases = [
        // Past a line's end is the line's end; past the last line is the end of the text.
        ((0, 9999), (0, 9999), "fn main() {!\n    let answer = \n}\n"),
        ((0, most), (1, 0), "fn main() {!    let answer = \n}\n"),
        ((9999, 0), (9999, 5), "fn main() {\n    let answer = \n}\n!"),
        ((most, most), (most, most), "fn main() {\n    let answer = \n}\n!"),
    ];
    for (start, end, expected) in cases {
        let mut client = client(&stage(), &Script::default());
        assert_eq!(change_at(&mut client, start, end, "!"), expected, "{start:?}..{end:?}");
        for (line, character) in [(0, most), (most, 0), (most, most)] {
            let params = inline(json!({"line": line, "character": character}));
            client.ask("textDocument/inlineCompletion", params);
        }
        check_alive(client);
    }
}

#[test]
fn inverted_ranges_are_turned_around() {
    let mut client = client(&stage(), &Script::default());
    assert_eq!(change_at(&mut client, (0, 7), (0, 3), "start"), TEXT.replacen("main", "start", 1));
    let range = json!({"start": {"line": 2, "character": 0}, "end": {"line": 0, "character": 0}});
    let params = json!({"textDocument": {"uri": URI}, "range": range, "context": {"diagnostics": []}});
    client.ask("textDocument/codeAction", params);
    check_alive(client);
}

#[test]
fn a_position_inside_a_character_is_its_start() {
    let mut client = client(&stage(), &Script::default());
    client.replace_all(URI, "// 🦀\n");
    assert_eq!(change_at(&mut client, (0, 5), (0, 5), "!"), "// !🦀\n");
    check_alive(client);
}

#[test]
fn documents_that_are_not_open() {
    let mut client = client(&stage(), &Script::default());
    let other = "file:///project/never-opened.rs";
    let item = json!({"uri": other, "version": 5});
    client.notify("textDocument/didChange", json!({"textDocument": item, "contentChanges": [{"text": "x"}]}));
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": other}}));
    assert_eq!(client.ask("lacuna/document", json!({"uri": other})), Value::Null);
    let at = json!({"line": 0, "character": 0});
    let params = json!({"textDocument": {"uri": other}, "position": at, "context": {"triggerKind": 1}});
    let answer = client.ask("textDocument/inlineCompletion", params);
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(0), "{answer}");
    client.close(URI);
    client.notify("textDocument/didClose", json!({"textDocument": {"uri": URI}}));
    check_alive(client);
}

#[test]
fn a_version_that_goes_back_is_followed() {
    let mut client = client(&stage(), &Script::default());
    for (version, text) in [(9, "one\n"), (3, "two\n"), (3, "three\n"), (-7, "four\n")] {
        let item = json!({"uri": URI, "version": version});
        client.notify(
            "textDocument/didChange",
            json!({"textDocument": item, "contentChanges": [{"text": text}]}),
        );
        let held = client.ask("lacuna/document", json!({"uri": URI}));
        assert_eq!((held["text"].as_str(), held["version"].as_i64()), (Some(text), Some(version)));
    }
    check_alive(client);
}

#[test]
fn a_document_opened_twice_holds_the_second_text() {
    let mut client = client(&stage(), &Script::default());
    client.open(URI, "python", "second = 2\n");
    client.assert_in_step(URI);
    check_alive(client);
}

#[test]
fn an_id_in_flight_cannot_be_used_again() {
    let slow = Script { step_ms: 60_000.0, ..Script::default() };
    let stage = stage();
    let mut client = client(&stage, &slow);
    let id = client.request("textDocument/inlineCompletion", inline(json!({"line": 1, "character": 17})));
    client.state("busy");
    let again = json!({"jsonrpc": "2.0", "id": id, "method": "lacuna/document", "params": {"uri": URI}});
    client.message(&again);
    let refusal = client.response(id);
    assert_eq!(refusal.code(), INVALID_REQUEST, "{refusal:?}");
    client.expect_id(id);
    client.cancel(id);
    assert_eq!(client.response(id).code(), CANCELLED);
    // Answered, the id is free again.
    client.expect_id(id);
    client.message(&again);
    assert_eq!(client.response(id).result.unwrap()["text"], TEXT);
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn cancelling_what_is_not_there_does_nothing() {
    let mut client = client(&stage(), &Script::default());
    for id in [json!(424_242), json!("no such id"), json!(null), json!(-1)] {
        client.notify("$/cancelRequest", json!({"id": id}));
    }
    client.notify("window/workDoneProgress/cancel", json!({"token": "no such token"}));
    check_alive(client);
}

#[test]
fn requests_before_initialize_are_refused_and_notifications_dropped() {
    let mut client = Client::start(&stage().launch(&Script::default()));
    for method in ["textDocument/inlineCompletion", "lacuna/document", "shutdown", "no/suchThing"] {
        assert_eq!(client.call(method, json!({"uri": URI})).code(), NOT_INITIALIZED, "{method}");
    }
    client.open(URI, "rust", TEXT);
    client.ready(&Setup::default());
    assert_eq!(client.ask("lacuna/document", json!({"uri": URI})), Value::Null);
    check_alive(client);
}

#[test]
fn initialize_a_second_time_is_refused() {
    let mut client = client(&stage(), &Script::default());
    let again = json!({"processId": null, "rootUri": null, "capabilities": {}});
    assert_eq!(client.call("initialize", again).code(), INVALID_REQUEST);
    check_alive(client);
}

#[test]
fn requests_after_shutdown_are_refused() {
    let mut client = client(&stage(), &Script::default());
    client.ask("shutdown", Value::Null);
    for method in [
        "textDocument/inlineCompletion",
        "lacuna/document",
        "shutdown",
        "initialize",
        "workspace/executeCommand",
    ] {
        assert_eq!(client.call(method, json!({"uri": URI})).code(), INVALID_REQUEST, "{method}");
    }
    client.notify("exit", Value::Null);
    assert_eq!(client.exit_code(), Some(0));
}

#[test]
fn a_document_of_50_mb_is_followed_without_inference() {
    let stage = stage();
    let mut client = client(&stage, &Script::default());
    let uri = "file:///project/huge.rs";
    let text = "let number = 12345678; // ☃ a line of a very big file\n".repeat(50_000_000 / 56);
    client.open(uri, "rust", &text);
    client.type_at(uri, 4, "first_");
    let last = client.document(uri).text.len();
    // The client's own search for a position is slow, so this one is counted by hand.
    let position = json!({"line": text.matches('\n').count(), "character": 0});
    let params = json!({"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 1}});
    let answer = client.ask("textDocument/inlineCompletion", params);
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(0), "{last} bytes: {answer}");
    client.assert_in_step(uri);
    assert_eq!(stage.inferences().len(), 0);
    let status = client.status();
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("MiB") || message.contains("MB") || message.contains("large"), "{message}");
    client.close(uri);
    check_alive(client);
}

#[test]
fn a_line_of_one_megabyte_is_followed_and_filled() {
    for language in ["javascript", "plaintext", "rust"] {
        let stage = stage();
        let mut client = client(&stage, &Script::default());
        let uri = "file:///project/bundle.js";
        client.open(uri, language, &"let a=f(1,'x');".repeat(70_000));
        client.type_at(uri, 500_010, "let b = ;");
        let position = client.position(uri, 500_018);
        let params =
            json!({"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 1}});
        let answer = client.ask("textDocument/inlineCompletion", params);
        let item = &answer["items"][0];
        assert_eq!(item["insertText"], "b", "{language}: {answer}");
        let seen = stage.inferences();
        assert!(seen.len() == 1 && seen[0].tail.ends_with("let b = "), "{language}: {seen:?}");
        client.assert_in_step(uri);
        check_alive(client);
    }
}
