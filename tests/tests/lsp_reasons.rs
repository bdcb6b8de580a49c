//! What is kept back and why: how sure the model is, and what the status says where nothing is offered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::Stage;
use serde_json::{Value, json};

const URI: &str = "file:///project/main.rs";
const TEXT: &str = "fn f() {\n    let a = \n}\n";

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

/// A client of an engine with two proposals of these stated probabilities, and the caret they are for.
fn stating(stage: &Stage, confidences: &[f32], settings: &Value) -> (Client, usize) {
    let candidates = vec!["first(a);".to_owned(), "second(b);".to_owned()];
    let script = Script { confidences: confidences.to_vec(), candidates, ..Script::default() };
    let mut client = stage.ready(&script, &Setup::with_options(settings.clone()));
    client.open(URI, "rust", TEXT);
    let caret = client.after(URI, "let a = ");
    (client, caret)
}

/// How many proposals come by themselves, how many when asked for, and how often none did.
fn sure_of(confidences: &[f32], settings: &Value) -> (usize, usize, u64) {
    let stage = stage();
    let (mut client, caret) = stating(&stage, confidences, settings);
    let alone = client.inline(URI, caret, Trigger::Automatic).len();
    let kept_back = client.counter("unsure");
    (alone, client.inline(URI, caret, Trigger::Invoked).len(), kept_back)
}

/// How many entries a menu has at the caret.
fn entries(client: &mut Client, caret: usize) -> usize {
    let params = json!({ "textDocument": { "uri": URI }, "position": client.position(URI, caret) });
    let answer = client.ask("textDocument/completion", params);
    answer["items"].as_array().unwrap_or_else(|| panic!("no list: {answer}")).len()
}

/// What the server says of itself.
fn message(client: &mut Client) -> String {
    client.status()["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_the_model_is_unsure_of_comes_only_when_asked_for() {
    assert_eq!(sure_of(&[0.09, 0.05], &json!({})), (0, 2, 1));
    assert_eq!(sure_of(&[0.11, 0.05], &json!({})), (1, 2, 0));
    assert_eq!(sure_of(&[0.4, 0.3], &json!({ "minConfidence": 0.5 })), (0, 2, 1));
    assert_eq!(sure_of(&[0.0, 0.0], &json!({ "minConfidence": 0 })), (1, 2, 0));
}

#[test]
fn a_model_that_says_nothing_of_itself_is_believed() {
    assert_eq!(sure_of(&[], &json!({ "minConfidence": 1 })), (1, 2, 0));
}

/// A menu's entry is in nobody's way; whichever of the two asks first.
#[test]
fn the_completion_menu_holds_what_the_model_is_unsure_of() {
    for menu_first in [true, false] {
        let stage = stage();
        let (mut client, caret) = stating(&stage, &[0.01], &json!({ "completion": "on" }));
        if menu_first {
            assert_eq!(entries(&mut client, caret), 1);
            assert_eq!(client.counter("unsure"), 0);
        }
        assert_eq!(client.inline(URI, caret, Trigger::Automatic).len(), 0, "menu first: {menu_first}");
        assert_eq!(client.counter("unsure"), 1);
        assert_eq!(entries(&mut client, caret), 1, "menu first: {menu_first}");
        assert_eq!(stage.inferences().len(), 1, "one inference serves both");
    }
}

/// An editor may ask twice at a caret, and the reason is wanted when a person looks, not when it was found.
#[test]
fn what_was_kept_back_is_kept_back_again_and_says_so() {
    let stage = stage();
    let (mut client, caret) = stating(&stage, &[0.01], &json!({}));
    for asked in 1..=3 {
        assert_eq!(client.inline(URI, caret, Trigger::Automatic).len(), 0);
        assert_eq!((client.counter("unsure"), client.counter("typedThrough")), (asked, 0));
        assert!(message(&mut client).contains("too unsure"), "{}", message(&mut client));
    }
    // Typed on, the model may be surer.
    client.type_at(URI, caret, "f");
    client.inline(URI, caret + 1, Trigger::Automatic);
    assert_eq!(stage.inferences().len(), 2);
}

#[test]
fn a_changed_setting_speaks_at_once() {
    let stage = stage();
    let (mut client, caret) = stating(&stage, &[0.4, 0.3], &json!({ "minConfidence": 0.5 }));
    assert_eq!(client.inline(URI, caret, Trigger::Automatic).len(), 0);
    let set = |client: &mut Client, value: Value| {
        client.notify("workspace/didChangeConfiguration", json!({ "settings": { "lacuna": value } }));
    };
    set(&mut client, json!({ "minConfidence": 0.3 }));
    assert_eq!(client.inline(URI, caret, Trigger::Automatic).len(), 1);
    assert_eq!(client.inline(URI, caret, Trigger::Invoked).len(), 2);
    set(&mut client, json!({ "minConfidence": 0.3, "candidates": 1 }));
    assert_eq!(client.inline(URI, caret, Trigger::Invoked).len(), 1);
}

/// Another model has other proposals.
#[test]
fn a_restarted_engine_is_asked_anew() {
    let stage = stage();
    let (mut client, caret) = stating(&stage, &[], &json!({}));
    client.inline(URI, caret, Trigger::Automatic);
    client.command("lacuna.restartEngine", json!([]));
    client.state("starting");
    client.state("ready");
    client.inline(URI, caret, Trigger::Automatic);
    assert_eq!(stage.inferences().len(), 2);
}

/// Where nothing is offered the status says why, for as long as that holds.
#[track_caller]
fn check_reason(marked: &str, candidates: &[&str], trigger: Trigger, reason: &str) {
    let stage = stage();
    let candidates = candidates.iter().map(|&text| text.to_owned()).collect();
    let script = Script { candidates, ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    let caret = marked.find('‸').unwrap();
    client.open(URI, "rust", &marked.replace('‸', ""));
    assert_eq!(client.inline(URI, caret, trigger).len(), 0, "{marked}");
    assert!(message(&mut client).contains(reason), "{marked}: {}", message(&mut client));
    // A light bulb is asked for at once, and a person looks later.
    let at = client.position(URI, caret);
    let range = json!({ "start": at, "end": at });
    let params = json!({ "textDocument": { "uri": URI }, "range": range, "context": { "diagnostics": [] } });
    client.ask("textDocument/codeAction", params);
    assert!(message(&mut client).contains(reason), "{marked}: {}", message(&mut client));
}

#[test]
fn the_status_says_why_nothing_is_offered() {
    check_reason("fn f() {\n    let va‸lue = 1;\n}\n", &["x"], Trigger::Automatic, "inside a word");
    check_reason(
        "fn f() {\n    g();‸\n}\n",
        &["x"],
        Trigger::Automatic,
        "statement before the cursor is finished",
    );
    for trigger in [Trigger::Automatic, Trigger::Invoked] {
        check_reason("fn f() {\n    let a = ‸\n}\n", &["g(((", "h]]]"], trigger, "syntax errors");
        check_reason("fn f() {\n    let a = ‸\n}\n", &["  "], trigger, "1 blank");
    }
}

#[test]
fn a_reason_goes_with_the_next_offer() {
    let stage = stage();
    let (mut client, caret) = stating(&stage, &[0.01], &json!({}));
    client.inline(URI, caret, Trigger::Automatic);
    assert!(message(&mut client).contains("too unsure"));
    client.inline(URI, caret, Trigger::Invoked);
    assert!(message(&mut client).starts_with("ready"), "{}", message(&mut client));
}

#[test]
fn an_engine_that_fails_is_a_reason() {
    let stage = stage();
    let script = Script { error_on: Some("let a".to_owned()), ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    client.open(URI, "rust", TEXT);
    let id = client.request_inline(URI, client.after(URI, "let a = "), Trigger::Automatic);
    assert!(client.response(id).result.is_err());
    assert!(message(&mut client).contains("the script says so"), "{}", message(&mut client));
}

/// An action that is refused says why, whatever else the server is doing.
#[test]
fn a_refused_action_says_why() {
    let stage = stage();
    let script = Script { step_ms: 60_000.0, ..Script::default() };
    let options = json!({ "files": { "exclude": ["*.pem", "secret.rs"] } });
    let mut client = stage.ready(&script, &Setup::with_options(options));
    client.open(URI, "rust", TEXT);
    let busy = client.request_inline(URI, client.after(URI, "let a = "), Trigger::Automatic);
    client.state("busy");
    let secret = "file:///project/secret.rs";
    client.open(secret, "rust", "fn f() {\n    todo!()\n}\n");
    let at = client.position(secret, 15);
    let arguments = json!([{ "uri": secret, "position": at }]);
    let refused =
        client.call("workspace/executeCommand", json!({ "command": "lacuna.fill", "arguments": arguments }));
    let why = refused.result.unwrap_err();
    assert!(format!("{why:?}").contains("the setting `files.exclude` has `secret.rs`"), "{why:?}");
    client.cancel(busy);
    client.response(busy);
}
