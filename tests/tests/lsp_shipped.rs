//! The main flows with the shipped model: what a person who just installed it gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Encoding, Setup, Trigger};
use lacuna_tests::servers::shipped_ready;
use serde_json::{Value, json};

const RUST: &str = "\
/// A point in the plane.
pub struct Point {
    x: f64,
    y: f64,
}

impl Point {
    /// A point from its coordinates.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The sum of two points.
    pub fn add(self, other: Point) -> Point {
        Point::new(self.x + other.x, self.y + other.y)
    }

    /// The difference of two points.
    pub fn sub(self, other: Point) -> Point {
        Point::new(self.x - other.x, \n    }
}
";

const PYTHON: &str = "\
def read_numbers(path):
    numbers = []
    with open(path) as file:
        for line in file:
            numbers.append(int(line))
    return \n

def read_words(path):
    words = []
    with open(path) as file:
        for line in file:
            words.append(line.strip())
    return words
";

fn open(language: &str, text: &str, setup: &Setup) -> (Client, String) {
    let mut client = shipped_ready(setup);
    let uri = format!("file:///project/main.{language}");
    client.open(&uri, language, text);
    (client, uri)
}

/// There is ghost text at a place; accepted, only that line differs.
fn check_ghost_text(language: &str, text: &str, before: &str) {
    for encoding in Encoding::ALL {
        let (mut client, uri) = open(language, text, &Setup::with_encoding(encoding));
        let caret = client.after(&uri, before);
        let items = client.inline(&uri, caret, Trigger::Automatic);
        assert_eq!(items.len(), 1, "after {before:?}");
        let accepted = client.accepted(&uri, &items[0]);
        assert!(accepted.len() > text.len(), "{items:?}");
        assert_eq!(accepted[..caret], text[..caret], "what stands before the caret stays");
        let rest = text[caret..].split_once('\n').unwrap().1;
        assert!(accepted.ends_with(rest), "what stands on the next lines stays: {accepted}");
        assert_eq!(client.shut_down(), Some(0));
    }
}

#[test]
fn ghost_text_in_a_rust_file() {
    check_ghost_text("rust", RUST, "self.x - other.x, ");
}

#[test]
fn ghost_text_in_a_python_file() {
    check_ghost_text("python", PYTHON, "int(line))\n    return ");
}

#[test]
fn typing_it_keeps_it_and_departing_from_it_asks_the_model_again() {
    let (mut client, uri) = open("rust", RUST, &Setup::default());
    let mut caret = client.after(&uri, "self.x - other.x, ");
    let item = client.inline(&uri, caret, Trigger::Automatic).remove(0);
    let expected = client.accepted(&uri, &item);
    let typed: Vec<char> = expected[caret..].chars().take(3).collect();
    assert_eq!(client.counter("inferencesStarted"), 1);
    for character in typed {
        client.type_at(&uri, caret, &character.to_string());
        caret += character.len_utf8();
        let items = client.inline(&uri, caret, Trigger::Automatic);
        assert_eq!(client.accepted(&uri, &items[0]), expected);
    }
    assert_eq!(client.counter("inferencesStarted"), 1);
    client.type_at(&uri, caret, "§");
    client.inline(&uri, caret + '§'.len_utf8(), Trigger::Automatic);
    let status = client.status();
    assert_eq!(status["counters"]["inferencesStarted"], 2);
    let read = |key: &str| status["last"][key].as_u64().unwrap();
    let new = read("promptTokens") - read("cachedTokens");
    assert!(new <= 32, "{new} tokens were read anew after a few typed characters: {status}");
}

/// Requests given up in the middle of their work leave nothing behind in the model's cache: what is offered depends on the
/// text alone, not on how it came about.
#[test]
fn the_same_text_gets_the_same_offer_whatever_came_before() {
    let (mut fresh, uri) = open("rust", RUST, &Setup::default());
    let caret = fresh.after(&uri, "self.x - other.x, ");
    let expected = fresh.inline(&uri, caret, Trigger::Invoked);
    let (mut client, uri) = open("rust", PYTHON, &Setup::default());
    for round in 0..3 {
        client.replace_all(&uri, &RUST.replace("Point", ["Vector", "Pair", "P"][round]));
        let mut at = client.after(&uri, "self.x - other.x, ");
        let ids: Vec<i64> = "self.y §"
            .chars()
            .map(|letter| {
                client.type_at(&uri, at, &letter.to_string());
                at += letter.len_utf8();
                client.request_inline(&uri, at, Trigger::Automatic)
            })
            .collect();
        for id in ids {
            client.response(id);
        }
        client.replace_all(&uri, RUST);
        assert_eq!(client.inline(&uri, caret, Trigger::Invoked), expected, "round {round}");
    }
}

#[test]
fn asked_for_it_offers_alternatives() {
    let (mut client, uri) = open("rust", RUST, &Setup::default());
    let caret = client.after(&uri, "self.x - other.x, ");
    let items = client.inline(&uri, caret, Trigger::Invoked);
    let mut texts: Vec<String> = items.iter().map(|item| client.accepted(&uri, item)).collect();
    assert!(texts.len() > 1, "{items:?}");
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), items.len(), "each is another one");
}

#[test]
fn a_marker_is_filled_by_a_code_action_and_by_a_command() {
    let text = "/// The larger of two numbers.\nfn max(a: i32, b: i32) -> i32 {\n    if a > b { a } else { ‹› }\n}\n";
    let (mut client, uri) = open("rust", text, &Setup::default());
    let marker = client.after(&uri, "else { ‹");
    let actions = client.actions(&uri, marker..marker, &json!([]));
    let fill = actions.iter().find(|action| action["kind"] == "refactor.rewrite.lacuna.fill").unwrap();
    let resolved = client.resolve(fill).result.unwrap();
    client.apply(&resolved["edit"]).unwrap();
    client.assert_in_step(&uri);
    let filled = client.document(&uri).text.clone();
    assert!(!filled.contains(['‹', '›']) && filled.starts_with(&text[..marker - '‹'.len_utf8()]), "{filled}");
    client.replace_all(&uri, text);
    let position = client.position(&uri, marker);
    let answer = client.command("lacuna.fill", json!([{"uri": uri, "position": position}]));
    assert_eq!(answer["applied"], true, "{answer}");
    assert_eq!(client.document(&uri).text, filled, "both ways write the same");
}

#[test]
fn frames_show_the_text_condensing() {
    let (mut client, uri) = open("rust", RUST, &Setup::with_options(json!({"frames": true})));
    let caret = client.after(&uri, "self.x - other.x, ");
    client.inline(&uri, caret, Trigger::Invoked);
    client.state("ready");
    let frames = client.notifications("lacuna/frame");
    assert!(!frames.is_empty());
    for frame in &frames {
        let cells = frame["cells"].as_array().unwrap();
        assert!(!cells.is_empty() && cells.iter().all(|cell| cell["text"].is_string()), "{frame}");
        assert!(frame["step"].as_u64().unwrap() <= frame["stepsMax"].as_u64().unwrap());
    }
}

#[test]
fn the_status_names_the_model() {
    let mut client = shipped_ready(&Setup::default());
    let status = client.status();
    assert_eq!(status["state"], "ready");
    assert_eq!(status["model"]["source"], "built-in");
    assert!(status["model"]["parameters"].as_u64().unwrap() > 1_000_000);
    let names = ["device", "precision", "threads"];
    assert!(names.iter().all(|name| status["model"][name] != Value::Null), "{status}");
}
