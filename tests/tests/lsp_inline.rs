//! Inline completion: what is offered where, and how an offer follows the text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Encoding, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::Stage;
use serde_json::{Value, json};

const URI: &str = "file:///project/main.rs";

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

fn answering(texts: &[&str]) -> Script {
    Script { candidates: texts.iter().map(|&text| text.to_owned()).collect(), ..Script::default() }
}

/// Splits a text at its `‸`.
fn with_caret(marked: &str) -> (String, usize) {
    let caret = marked.find('‸').unwrap();
    (marked.replace('‸', ""), caret)
}

/// A client with a document, and where its caret is.
fn open(stage: &Stage, script: &Script, marked: &str) -> (Client, usize) {
    open_in(Encoding::Utf8, stage, script, marked)
}

fn open_in(encoding: Encoding, stage: &Stage, script: &Script, marked: &str) -> (Client, usize) {
    let mut client = stage.ready(script, &Setup::with_encoding(encoding));
    let (text, caret) = with_caret(marked);
    client.open(URI, "rust", &text);
    (client, caret)
}

/// The texts that the document may become by accepting an offer of this engine.
fn offered(marked: &str, script: &Script, trigger: Trigger) -> Vec<String> {
    offered_in(Encoding::Utf8, marked, script, trigger)
}

fn offered_in(encoding: Encoding, marked: &str, script: &Script, trigger: Trigger) -> Vec<String> {
    let stage = stage();
    let (mut client, caret) = open_in(encoding, &stage, script, marked);
    let items = client.inline(URI, caret, trigger);
    let texts = items.iter().map(|item| client.accepted(URI, item)).collect();
    if items.is_empty() {
        assert_eq!(stage.inferences().len(), 0, "nothing is offered, so nothing is inferred: {marked}");
    }
    texts
}

/// With the caret at `‸`, the engine's `text` is offered such that the document becomes `expected`.
#[track_caller]
fn check(marked: &str, text: &str, expected: &str) {
    for encoding in Encoding::ALL {
        let offered = offered_in(encoding, marked, &answering(&[text]), Trigger::Automatic);
        assert_eq!(offered, [expected], "{marked} in {}", encoding.name());
    }
}

#[test]
fn the_rest_of_a_line_is_offered() {
    check("fn f() {\n    let a = ‸\n}\n", "g(1);", "fn f() {\n    let a = g(1);\n}\n");
    check("fn f() {\r\n    let a = ‸\r\n}\r\n", "g(1);", "fn f() {\r\n    let a = g(1);\r\n}\r\n");
    check(
        "fn f() {\n    let a = \"🦀\"; let b = ‸\n}\n",
        "a;",
        "fn f() {\n    let a = \"🦀\"; let b = a;\n}\n",
    );
}

#[test]
fn line_ends_and_byte_order_marks_stay_what_they_are() {
    check("\u{feff}use a; const B: i32 = ‸", "1;", "\u{feff}use a; const B: i32 = 1;");
    check("fn f() {\r    let a = ‸\r}\r", "g(1);", "fn f() {\r    let a = g(1);\r}\r");
    check("fn f() {\r\n    ‸\r\n}\r\n", "g(1);\nh(2);", "fn f() {\r\n    g(1);\r\n    h(2);\r\n}\r\n");
}

/// Neovim splits what is shown and accepted at `\n` alone: a `\r` before it would end up in its buffer.
#[test]
fn neovim_gets_its_line_ends_bare() {
    for (name, expected) in [("Neovim", "g(1);\n    h(2);"), ("other", "g(1);\r\n    h(2);")] {
        let stage = stage();
        let setup = Setup { name, ..Setup::default() };
        let mut client = stage.ready(&answering(&["g(1);\nh(2);"]), &setup);
        client.open(URI, "rust", "fn f() {\r\n    \r\n}\r\n");
        let caret = client.after(URI, "{\r\n    ");
        let items = client.inline(URI, caret, Trigger::Automatic);
        assert_eq!(items[0]["insertText"], expected, "{name}");
        // What the editor then reports is the line break of the file, and it goes on with the offer.
        client.type_at(URI, caret, "g(1);\r\n    h");
        let items = client.inline(URI, caret + 12, Trigger::Automatic);
        assert_eq!(items[0]["insertText"], "    h(2);", "{name}");
        assert_eq!(stage.inferences().len(), 1, "{name}");
    }
}

#[test]
fn what_follows_the_caret_is_not_repeated() {
    check("fn f() {\n    let a = ‸;\n}\n", "g(1);", "fn f() {\n    let a = g(1);\n}\n");
    check("fn f() {\n    g(‸);\n}\n", "a, b);", "fn f() {\n    g(a, b);\n}\n");
    check("fn f() {\n    let a = [g(‸)];\n}\n", "1)]", "fn f() {\n    let a = [g(1)];\n}\n");
}

#[test]
fn what_would_break_the_syntax_is_not_offered() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["g(((", "h();"]), "fn f() {\n    let a = ‸\n}\n");
    let items = client.inline(URI, caret, Trigger::Automatic);
    let texts: Vec<String> = items.iter().map(|item| client.accepted(URI, item)).collect();
    assert_eq!(texts, ["fn f() {\n    let a = h();\n}\n"]);
}

#[test]
fn asked_for_it_offers_several_and_by_itself_one() {
    let script = answering(&["one();", "two();", "three();"]);
    let marked = "fn f() {\n    let a = ‸\n}\n";
    let with = |call: &str| format!("fn f() {{\n    let a = {call};\n}}\n");
    assert_eq!(offered(marked, &script, Trigger::Automatic), [with("one()")]);
    assert_eq!(offered(marked, &script, Trigger::Invoked), ["one()", "two()", "three()"].map(with));
}

#[test]
fn quiet_places_are_filled_only_when_asked_for() {
    let places = [
        "fn f() {\n    let va‸lue = 1;\n}\n",
        "fn f() {\n    let ‸value = 1;\n}\n",
        "fn f() {\n    g();\n}‸\n",
        "fn f() {\n    g();‸\n}\n",
        "const A: &str = include_str!(\"dir/‸\");\n",
    ];
    for marked in places {
        let script = answering(&["x"]);
        assert_eq!(offered(marked, &script, Trigger::Automatic), Vec::<String>::new(), "{marked}");
        let stage = stage();
        let (mut client, caret) = open(&stage, &script, marked);
        client.inline(URI, caret, Trigger::Invoked);
        assert_eq!(stage.inferences().len(), 1, "asked for, the engine is: {marked}");
    }
}

/// An offer typed through, character by character or word by word, stays what it was without a new inference.
fn check_typed_through(pieces: &[&str]) {
    let stage = stage();
    let (mut client, mut caret) =
        open(&stage, &answering(&["compute(first, second);"]), "fn f() {\n    let a = ‸\n}\n");
    let items = client.inline(URI, caret, Trigger::Automatic);
    let expected = client.accepted(URI, &items[0]);
    for piece in pieces {
        client.type_at(URI, caret, piece);
        caret += piece.len();
        let items = client.inline(URI, caret, Trigger::Automatic);
        assert_eq!(items.len(), 1, "after {piece:?}");
        assert_eq!(client.accepted(URI, &items[0]), expected, "after {piece:?}");
        assert_eq!(items[0]["insertText"], "compute(first, second);", "it stays the same item");
    }
    assert_eq!(stage.inferences().len(), 1);
    assert_eq!(client.counter("inferencesStarted"), 1);
    assert_eq!(client.counter("typedThrough"), pieces.len() as u64);
}

#[test]
fn typing_through_an_offer_keeps_it() {
    check_typed_through(&["c", "o", "m", "p", "u", "t", "e", "(", "f"]);
}

#[test]
fn accepting_an_offer_word_by_word_keeps_it() {
    check_typed_through(&["compute", "(first", ", "]);
}

/// Everything a burst of typing brings in one change, with the request only at its end.
#[test]
fn typing_through_between_two_requests_keeps_it() {
    check_typed_through(&["comp", "ute(first, sec"]);
}

#[test]
fn an_offer_dies_when_the_text_departs_from_it() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["compute();"]), "fn f() {\n    let a = ‸\n}\n");
    client.inline(URI, caret, Trigger::Automatic);
    client.type_at(URI, caret, "x");
    client.inline(URI, caret + 1, Trigger::Automatic);
    let seen = stage.inferences();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].tail.ends_with("let a = x"), "{:?}", seen[1].tail);
}

#[test]
fn a_request_repeated_without_a_change_infers_once() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["compute();"]), "fn f() {\n    let a = ‸\n}\n");
    let first = client.inline(URI, caret, Trigger::Automatic);
    let second = client.inline(URI, caret, Trigger::Automatic);
    assert_eq!(first, second);
    assert_eq!(stage.inferences().len(), 1);
}

#[test]
fn an_edit_elsewhere_keeps_the_offer_in_its_place() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["compute();"]), "fn f() {\n    let a = ‸\n}\n");
    client.inline(URI, caret, Trigger::Automatic);
    client.type_at(URI, 0, "// 🦀 a comment\n");
    let caret = client.after(URI, "let a = ");
    let items = client.inline(URI, caret, Trigger::Automatic);
    assert!(client.accepted(URI, &items[0]).contains("let a = compute();\n"));
    assert_eq!(stage.inferences().len(), 1);
}

/// LSP 3.18, `SelectedCompletionInfo`: the proposal goes on where the selected entry of the suggest list ends.
#[test]
fn the_selected_entry_of_the_suggest_list_is_continued() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["(one, two);"]), "fn f() {\n    let a = comp‸\n}\n");
    let word = client.document(URI).range(&(caret - 4..caret), client.encoding());
    let mut params = client.inline_params(URI, caret, Trigger::Automatic);
    params["context"]["selectedCompletionInfo"] = json!({"range": word, "text": "compute"});
    let answer = client.ask("textDocument/inlineCompletion", params);
    let seen = stage.inferences();
    assert!(seen[0].tail.ends_with("let a = compute"), "{:?}", seen[0].tail);
    let item = &answer["items"][0];
    assert!(client.accepted(URI, item).contains("let a = compute(one, two);\n"), "{answer}");
    client.assert_in_step(URI);
}

/// Of a list that was closed again nothing is left: what the model wrote behind its entry is no word of its own.
#[test]
fn an_entry_that_was_not_taken_is_not_offered() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["(one, two);"]), "fn f() {\n    let a = comp‸\n}\n");
    let word = client.document(URI).range(&(caret - 4..caret), client.encoding());
    let mut params = client.inline_params(URI, caret, Trigger::Automatic);
    params["context"]["selectedCompletionInfo"] = json!({"range": word, "text": "compute"});
    for _ in 0..2 {
        let answer = client.ask("textDocument/inlineCompletion", params.clone());
        assert!(
            client.accepted(URI, &answer["items"][0]).contains("let a = compute(one, two);\n"),
            "{answer}"
        );
    }
    assert_eq!(stage.inferences().len(), 1, "the same entry is the same question");
    let items = client.inline(URI, caret, Trigger::Automatic);
    assert!(client.accepted(URI, &items[0]).contains("let a = comp(one, two);\n"), "{items:?}");
    assert_eq!(stage.inferences().len(), 2);
}

#[test]
fn emacs_sends_a_null_where_others_send_nothing() {
    let stage = stage();
    let (mut client, caret) = open(&stage, &answering(&["g();"]), "fn f() {\n    let a = ‸\n}\n");
    let mut params = client.inline_params(URI, caret, Trigger::Automatic);
    params["context"]["selectedCompletionInfo"] = Value::Null;
    let answer = client.ask("textDocument/inlineCompletion", params);
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(1), "{answer}");
}

/// A client that has asked for a proposal of four steps.
fn watching(stage: &Stage, frames: bool) -> (Client, usize) {
    let script = Script { steps: 4, step_ms: 5.0, ..answering(&["g();"]) };
    let mut client = stage.ready(&script, &Setup::with_options(json!({"frames": frames})));
    client.open(URI, "rust", "fn f() {\n    let a = \n}\n");
    let caret = client.after(URI, "let a = ");
    client.inline(URI, caret, Trigger::Automatic);
    (client, caret)
}

#[test]
fn frames_show_each_step_in_order() {
    let stage = stage();
    let (mut client, caret) = watching(&stage, true);
    for step in 1..=4 {
        let frame = client.notification("lacuna/frame", |_| true);
        assert_eq!((&frame["step"], &frame["stepsMax"]), (&json!(step), &json!(4)));
        assert_eq!((&frame["uri"], &frame["version"]), (&json!(URI), &json!(1)));
        assert_eq!(frame["range"]["start"], client.position(URI, caret));
        assert_eq!(frame["cells"][0]["text"], "g();");
        assert_eq!(frame["cells"][0]["state"], if step == 4 { "accepted" } else { "noise" });
    }
}

/// A place behind the entry is none in the document, until the client has taken it.
#[test]
fn no_frames_come_of_a_hole_behind_a_menus_entry() {
    let stage = stage();
    let script = Script { steps: 4, ..answering(&["(one);"]) };
    let mut client = stage.ready(&script, &Setup::with_options(json!({"frames": true})));
    client.open(URI, "rust", "fn f() {\n    let a = comp\n}\n");
    let caret = client.after(URI, "let a = comp");
    let word = client.document(URI).range(&(caret - 4..caret), client.encoding());
    let mut params = client.inline_params(URI, caret, Trigger::Automatic);
    params["context"]["selectedCompletionInfo"] = json!({"range": word, "text": "compute"});
    let answer = client.ask("textDocument/inlineCompletion", params);
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(1), "{answer}");
    client.status();
    assert_eq!(client.notifications("lacuna/frame"), Vec::<Value>::new());
}

#[test]
fn no_frames_come_unless_they_are_wanted() {
    let stage = stage();
    let (mut client, _) = watching(&stage, false);
    client.status();
    assert_eq!(client.notifications("lacuna/frame"), Vec::<Value>::new());
}

#[test]
fn the_status_says_busy_while_the_engine_works_and_what_it_cost() {
    let stage = stage();
    let script = Script { steps: 5, step_ms: 10.0, ..answering(&["g();"]) };
    let (mut client, caret) = open(&stage, &script, "fn f() {\n    let a = ‸\n}\n");
    client.inline(URI, caret, Trigger::Automatic);
    client.state("busy");
    client.state("ready");
    let status = client.status();
    assert_eq!(status["counters"]["requests"], 1);
    assert_eq!(status["counters"]["inferencesFinished"], 1);
    assert!(status["last"]["promptTokens"].as_u64().unwrap() > 0, "{status}");
    assert!(status["last"]["totalMs"].as_f64().unwrap() >= status["last"]["engineMs"].as_f64().unwrap());
}
