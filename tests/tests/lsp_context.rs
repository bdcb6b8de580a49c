//! Context beyond the file: what the model sees of other documents, and that it stays where the cache wants it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::Stage;
use serde_json::json;

const MAIN: &str = "file:///project/src/main.rs";
const SHAPES: &str = "file:///project/src/shapes.rs";
const OTHER: &str = "file:///project/src/other.rs";

const SHAPES_TEXT: &str = "\
pub struct Rectangle {
    pub width: f64,
    pub height: f64,
}

impl Rectangle {
    pub fn rectangle_area(&self) -> f64 {
        self.width * self.height
    }
}
";
const OTHER_TEXT: &str =
    "pub fn parse_header(line: &str) -> Option<(&str, &str)> {\n    line.split_once(':')\n}\n";
const MAIN_TEXT: &str = "fn print_area(rectangle: &Rectangle) {\n    let width = rectangle.width;\n    let rectangle_area = \n}\n";

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

fn open(stage: &Stage, options: serde_json::Value) -> Client {
    let setup = Setup { folders: vec!["file:///project".to_owned()], ..Setup::with_options(options) };
    let mut client = stage.ready(&Script::default(), &setup);
    client.open(OTHER, "rust", OTHER_TEXT);
    client.open(SHAPES, "rust", SHAPES_TEXT);
    client.open(MAIN, "rust", MAIN_TEXT);
    client
}

fn ask(client: &mut Client) {
    client.inline(MAIN, client.after(MAIN, "rectangle_area = "), Trigger::Invoked);
}

#[test]
fn the_most_similar_code_of_open_documents_is_shown_to_the_model() {
    let stage = stage();
    let mut client = open(&stage, json!({}));
    ask(&mut client);
    let context = &stage.inferences()[0].context;
    assert!(context.contains("self.width * self.height"), "{context:?}");
    assert!(!context.contains("let width = rectangle.width"), "the document itself is no context of its own");
}

#[test]
fn a_budget_of_nothing_shows_nothing() {
    let stage = stage();
    let mut client = open(&stage, json!({"contextTokens": 0}));
    ask(&mut client);
    assert_eq!(stage.inferences()[0].context, "");
}

/// A file of secrets or a language that is off is nobody's context either.
#[test]
fn what_is_switched_off_is_shown_to_no_model() {
    let stage = stage();
    let mut client = open(&stage, json!({"files": {"exclude": ["src/shapes.rs"]}}));
    ask(&mut client);
    let context = &stage.inferences()[0].context;
    assert!(!context.contains("self.width * self.height"), "{context:?}");
}

/// The context is the start of the prompt: were it another at each key, the cache would be worth nothing.
#[test]
fn it_stays_while_one_types() {
    let stage = stage();
    let mut client = open(&stage, json!({}));
    ask(&mut client);
    let caret = client.after(MAIN, "rectangle_area = ");
    for (index, letter) in "width_of_it".char_indices() {
        client.type_at(MAIN, caret + index, &letter.to_string());
        client.inline(MAIN, caret + index + 1, Trigger::Invoked);
    }
    let seen = stage.inferences();
    assert!(seen.len() > 2, "{} inferences", seen.len());
    assert!(seen.iter().all(|inference| inference.context == seen[0].context));
}
