//! Code actions and commands: offered cheaply, worked out lazily, cancelled from the progress, never applied stale.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Edits, Setup};
use lacuna_tests::engine::{End, Script};
use lacuna_tests::servers::Stage;
use serde_json::{Value, json};

const URI: &str = "file:///project/main.rs";
const TODO: &str = "/// Adds two numbers.\nfn add(a: i32, b: i32) -> i32 {\n    todo!()\n}\n";

const CANCELLED: i64 = -32800;
const CONTENT_MODIFIED: i64 = -32801;
const REQUEST_FAILED: i64 = -32803;

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

fn answering(text: &str) -> Script {
    Script { candidates: vec![text.to_owned()], ..Script::default() }
}

fn open(stage: &Stage, script: &Script, text: &str) -> Client {
    let mut client = stage.ready(script, &Setup::default());
    client.open(URI, "rust", text);
    client
}

/// The one action of a kind that is offered for a part of the text.
fn action(client: &mut Client, kind: &str, part: &str, diagnostics: &Value) -> Value {
    let end = client.after(URI, part);
    let actions = client.actions(URI, end - part.len()..end, diagnostics);
    let fits = |action: &&Value| action["kind"] == kind;
    actions.iter().find(fits).unwrap_or_else(|| panic!("no action {kind} for {part:?}: {actions:?}")).clone()
}

/// Offers, resolves and applies an action; the text afterwards.
fn check_applied(script: &Script, text: &str, kind: &str, part: &str) -> String {
    let stage = stage();
    let mut client = open(&stage, script, text);
    client.type_at(URI, 0, "\n");
    let offered = action(&mut client, kind, part, &json!([]));
    assert!(offered.get("edit").is_none(), "worked out only when chosen: {offered}");
    assert_eq!(stage.inferences().len(), 0, "an offer costs no inference");
    let resolved = client.resolve(&offered).result.unwrap();
    let document = &resolved["edit"]["documentChanges"][0]["textDocument"];
    assert_eq!((&document["uri"], &document["version"]), (&json!(URI), &json!(2)));
    client.apply(&resolved["edit"]).unwrap();
    client.assert_in_step(URI);
    let text = client.document(URI).text.clone();
    assert_eq!(client.shut_down(), Some(0));
    text
}

#[test]
fn a_marker_is_filled() {
    let text = check_applied(&answering("a + b"), TODO, "refactor.rewrite.lacuna.fill", "todo!()");
    assert_eq!(text, format!("\n{}", TODO.replace("todo!()", "a + b")));
}

#[test]
fn line_ends_stay_what_they_are() {
    let text = TODO.replace('\n', "\r\n");
    let script = answering("let sum = a + b;\nsum");
    let filled = check_applied(&script, &text, "refactor.rewrite.lacuna.fill", "todo!()");
    assert_eq!(filled, format!("\n{}", text.replace("todo!()", "let sum = a + b;\r\n    sum")));
}

#[test]
fn a_selection_is_filled_with_both_sides_in_view() {
    let stage = stage();
    let mut client = open(&stage, &answering("b - a"), &TODO.replace("todo!()", "a + b"));
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "a + b", &json!([]));
    client.resolve(&offered).result.unwrap();
    let seen = stage.inferences();
    assert!(seen[0].tail.ends_with("-> i32 {\n    "), "{:?}", seen[0]);
    assert!(seen[0].head.starts_with("\n}"), "{:?}", seen[0]);
}

#[test]
fn a_selection_is_refined() {
    let text = TODO.replace("todo!()", "a  +  b");
    let refined = check_applied(&answering("a + b"), &text, "refactor.rewrite.lacuna.refine", "a  +  b");
    assert_eq!(refined, format!("\n{}", TODO.replace("todo!()", "a + b")));
}

#[test]
fn a_body_is_completed_from_the_caret_on() {
    let text = TODO.replace("todo!()\n", "let sum = a + b;\n    \n");
    let stage = stage();
    let mut client = open(&stage, &answering("sum"), &text);
    let caret = client.after(URI, "a + b;\n    ");
    let actions = client.actions(URI, caret..caret, &json!([]));
    let body = actions.iter().find(|action| action["kind"] == "refactor.rewrite.lacuna.body");
    let resolved =
        client.resolve(body.unwrap_or_else(|| panic!("no body among {actions:?}"))).result.unwrap();
    client.apply(&resolved["edit"]).unwrap();
    assert_eq!(client.document(URI).text, TODO.replace("todo!()\n", "let sum = a + b;\n    sum\n"));
}

#[test]
fn a_diagnostic_is_repaired() {
    let text = "fn f(a: i32) -> i32 {\n    let b = a + ;\n    b\n}\n";
    let stage = stage();
    let mut client = open(&stage, &answering("let b = a + 1;"), text);
    let at = client.after(URI, "a + ");
    let range = client.document(URI).range(&(at..at + 1), client.encoding());
    let diagnostics = json!([{"range": range, "severity": 1, "source": "rustc", "message": "expected expression, found `;`"}]);
    let offered = action(&mut client, "quickfix.lacuna.repair", ";", &diagnostics);
    assert_eq!(offered["diagnostics"], diagnostics, "{offered}");
    let resolved = client.resolve(&offered).result.unwrap();
    client.apply(&resolved["edit"]).unwrap();
    assert_eq!(client.document(URI).text, text.replace("a + ;", "a + 1;"));
    // A repair that does not parse is no repair.
    let mut client = open(&stage, &answering("let b = ((;"), text);
    let offered = action(&mut client, "quickfix.lacuna.repair", ";", &diagnostics);
    assert!(client.resolve(&offered).result.is_err());
}

#[test]
fn only_a_model_that_follows_instructions_is_given_them() {
    let text = "fn f(a: i32) -> i32 {\n    let b = a + ;\n    b\n}\n";
    let told = |instruct: bool| {
        let stage = stage();
        let script = Script { instruct, ..answering("let b = a + 1;") };
        let mut client = open(&stage, &script, text);
        let at = client.after(URI, "a + ");
        let range = client.document(URI).range(&(at..at + 1), client.encoding());
        let diagnostics =
            json!([{"range": range, "severity": 1, "message": "expected expression, found `;`"}]);
        let offered = action(&mut client, "quickfix.lacuna.repair", ";", &diagnostics);
        client.resolve(&offered).result.unwrap();
        let sum = client.document(URI).range(&(at - 4..at + 1), client.encoding());
        let place = json!({"uri": URI, "range": sum, "instruction": "add one"});
        let command = json!({"command": "lacuna.fill", "arguments": [place]});
        let done = client.call("workspace/executeCommand", command).result;
        (stage.inferences().into_iter().map(|seen| seen.instruction).collect::<Vec<_>>(), done)
    };
    let (seen, done) = told(true);
    assert_eq!(seen[0].as_deref(), Some("correct this fault: expected expression, found `;`"));
    assert_eq!(seen[1].as_deref(), Some("add one"), "{done:?}");
    let (seen, done) = told(false);
    assert_eq!(seen, [None], "a command that needs instructions is not done");
    let refusal = done.unwrap_err();
    assert_eq!(refusal.code, REQUEST_FAILED);
    assert!(refusal.message.contains("does not follow instructions"), "{}", refusal.message);
}

#[test]
fn a_stale_action_is_refused_with_a_message() {
    let stage = stage();
    let mut client = open(&stage, &answering("a + b"), TODO);
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    client.type_at(URI, 0, "\n");
    let refusal = client.resolve(&offered).result.unwrap_err();
    assert_eq!(refusal.code, CONTENT_MODIFIED);
    assert!(!refusal.message.is_empty());
    assert_eq!(stage.inferences().len(), 0, "a stale action is not worked out");
}

/// The text changes while the engine works.
#[test]
fn an_action_that_grows_stale_is_refused() {
    let stage = stage();
    let script = Script { steps: 20, step_ms: 20.0, ..answering("a + b") };
    let mut client = open(&stage, &script, TODO);
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    let id = client.request("codeAction/resolve", offered);
    client.state("busy");
    client.type_at(URI, 0, "\n");
    assert_eq!(client.response(id).code(), CONTENT_MODIFIED);
}

/// The token of the progress that the server has begun.
fn progress(client: &mut Client) -> Value {
    let begin = client.notification("$/progress", |params| params["value"]["kind"] == "begin");
    assert_eq!(begin["value"]["cancellable"], true, "{begin}");
    begin["token"].clone()
}

#[test]
fn progress_shows_and_cancels() {
    let stage = stage();
    let script = Script { step_ms: 600_000.0, ..answering("a + b") };
    let mut client = open(&stage, &script, TODO);
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    let id = client.request("codeAction/resolve", offered);
    let token = progress(&mut client);
    client.state("busy");
    client.notify("window/workDoneProgress/cancel", json!({"token": token}));
    assert_eq!(client.response(id).code(), CANCELLED);
    client.notification("$/progress", |params| params["token"] == token && params["value"]["kind"] == "end");
    client.state("ready");
    assert_eq!(stage.inferences()[0].end, Some(End::Cancelled));
}

#[test]
fn progress_reports_steps_and_ends() {
    let stage = stage();
    let script = Script { steps: 5, step_ms: 30.0, ..answering("a + b") };
    let mut client = open(&stage, &script, TODO);
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    let id = client.request("codeAction/resolve", offered);
    let token = progress(&mut client);
    client
        .notification("$/progress", |params| params["token"] == token && params["value"]["kind"] == "report");
    client.notification("$/progress", |params| params["token"] == token && params["value"]["kind"] == "end");
    assert!(client.response(id).result.is_ok());
}

#[test]
fn a_resolve_is_cancelled_like_any_request() {
    let stage = stage();
    let script = Script { step_ms: 600_000.0, ..answering("a + b") };
    let mut client = open(&stage, &script, TODO);
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    let id = client.request("codeAction/resolve", offered);
    client.state("busy");
    client.cancel(id);
    assert_eq!(client.response(id).code(), CANCELLED);
    client.state("ready");
    assert_eq!(stage.inferences()[0].end, Some(End::Cancelled));
}

#[test]
fn typing_goes_before_an_action() {
    let stage = stage();
    let script = Script { steps: 1, step_ms: 300.0, ..answering("a + b") };
    let mut client = open(&stage, &script, TODO);
    let other = "file:///project/other.rs";
    client.open(other, "rust", "fn f() {\n    let a = \n}\n");
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    let running = client.request("codeAction/resolve", offered.clone());
    client.state("busy");
    let waiting = client.request("codeAction/resolve", offered);
    let typed = client.request_inline(
        other,
        client.after(other, "let a = "),
        lacuna_tests::client::Trigger::Automatic,
    );
    for id in [running, waiting, typed] {
        client.response(id);
    }
    let order: Vec<bool> = stage.inferences().iter().map(|it| it.tail.ends_with("let a = ")).collect();
    assert_eq!(order, [false, true, false], "the action that ran, what was typed, the action that waited");
}

fn fill(client: &mut Client, argument: Value) -> Value {
    client.command("lacuna.fill", json!([argument]))
}

#[test]
fn the_fill_command_edits_through_the_client() {
    let stage = stage();
    let mut client = open(&stage, &answering("a + b"), TODO);
    let position = client.position(URI, client.after(URI, "tod"));
    let answer = fill(&mut client, json!({"uri": URI, "position": position, "version": 1}));
    assert_eq!(answer["applied"], true, "{answer}");
    assert_eq!(client.document(URI).text, TODO.replace("todo!()", "a + b"));
    client.assert_in_step(URI);
    let edit = client.replies().of("workspace/applyEdit")[0]["edit"].clone();
    assert_eq!(edit["documentChanges"][0]["textDocument"]["version"], 1, "{edit}");
}

#[test]
fn the_refine_command_edits_through_the_client() {
    let stage = stage();
    let mut client = open(&stage, &answering("b + a"), &TODO.replace("todo!()", "a  +  b"));
    let start = client.after(URI, "i32 {\n    ");
    let range = client.document(URI).range(&(start..start + 7), client.encoding());
    let answer = client.command("lacuna.refine", json!([{"uri": URI, "range": range, "strength": 0.5}]));
    assert_eq!(answer["applied"], true, "{answer}");
    assert_eq!(client.document(URI).text, TODO.replace("todo!()", "b + a"));
}

#[test]
fn commands_say_why_nothing_was_applied() {
    let stage = stage();
    let mut client = open(&stage, &answering("a + b"), TODO);
    let position = client.position(URI, client.after(URI, "tod"));
    let mut refused = |argument: Value| {
        let params = json!({"command": "lacuna.fill", "arguments": [argument]});
        let refusal = client.call("workspace/executeCommand", params).result.unwrap_err();
        assert!(!refusal.message.is_empty(), "{refusal:?}");
        refusal.code
    };
    assert_eq!(refused(json!({"uri": URI, "position": position, "version": 7})), CONTENT_MODIFIED);
    assert_eq!(refused(json!({"uri": "file:///not/open.rs", "position": position})), REQUEST_FAILED);
    client.replies().edits = Edits::Refuse;
    let answer = fill(&mut client, json!({"uri": URI, "position": position}));
    assert_eq!(answer["applied"], false, "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("this client refuses edits"), "{answer}");
    client.assert_in_step(URI);
    assert_eq!(client.document(URI).text, TODO);
}

/// kakoune-lsp keeps no data, so it gets commands; and it resolves them nevertheless.
#[test]
fn an_action_that_is_a_command_is_resolved_to_itself() {
    let stage = stage();
    let mut client = open(&stage, &answering("a + b"), TODO);
    let offered = action(&mut client, "refactor.rewrite.lacuna.fill", "todo!()", &json!([]));
    let arguments = json!([offered["data"]]);
    let command = json!({"title": offered["title"], "command": "lacuna.perform", "arguments": arguments});
    let action = json!({"title": offered["title"], "kind": offered["kind"], "command": command});
    assert_eq!(client.resolve(&action).result.unwrap(), action);
    assert_eq!(stage.inferences().len(), 0);
    assert_eq!(client.command("lacuna.perform", arguments)["applied"], true);
    assert_eq!(client.document(URI).text, TODO.replace("todo!()", "a + b"));
}
