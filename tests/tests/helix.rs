//! The language server in a real Helix: completion items and code actions, as it has no inline completion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::helix::{Helix, is_there};
use lacuna_tests::lacuna_binary;
use lacuna_tests::tee::answers;
use serde_json::Value;

const POINT: &str = "\
/// A point in the plane.
pub struct Point {
    x: f64,
    y: f64,
}

impl Point {
    /// The sum of two points.
    pub fn add(self, other: Point) -> Point {
        Point::new(self.x + other.x, self.y + other.y)
    }

    /// The difference of two points.
    pub fn sub(self, other: Point) -> Point {
        Point::new(self.x - other.x
    }
}
";
const LINE: usize = 15;

/// Opens a text in Helix; `None` where there is none.
fn open(text: &str, line: usize, column: usize) -> Option<Helix> {
    let lacuna = || lacuna_binary().to_string_lossy();
    is_there().then(|| Helix::open(text, line, column, env!("CARGO_BIN_EXE_lacuna-tee"), &[&lacuna(), "lsp"]))
}

/// The latest completion item of the server.
fn item(helix: &Helix) -> Option<Value> {
    let answers = answers(&helix.recording(), "textDocument/completion");
    answers.last().map(|answer| answer["result"]["items"][0].clone()).filter(Value::is_object)
}

/// [`POINT`] with `typed` behind its unfinished line, once the item is accepted. Columns are bytes: Helix takes utf-8.
fn with_item(typed: &str, item: &Value) -> String {
    let edit = &item["textEdit"];
    let (start, end) = (&edit["range"]["start"], &edit["range"]["end"]);
    assert_eq!(
        (start["line"].as_u64(), end["line"].as_u64()),
        (Some(LINE as u64 - 1), Some(LINE as u64 - 1))
    );
    let column = |position: &Value| usize::try_from(position["character"].as_u64().unwrap()).unwrap();
    let mut lines: Vec<String> = POINT.lines().map(str::to_owned).collect();
    let line = &mut lines[LINE - 1];
    line.push_str(typed);
    line.replace_range(column(start)..column(end), edit["newText"].as_str().unwrap());
    lines.join("\n") + "\n"
}

/// Asks for completions behind the comma; the item, once it is in the menu on the screen.
fn ask(helix: &Helix) -> Value {
    helix.terminal.type_text("A, ");
    helix.terminal.wait_for_screen("the typed text", |screen| screen.contains("other.x, "));
    let before = helix.terminal.screen();
    helix.terminal.press(&["C-x"]);
    let item = helix.terminal.wait_for("a completion item", || item(helix));
    wait_for_menu(helix, &item, &before);
    item
}

fn wait_for_menu(helix: &Helix, item: &Value, before: &str) {
    // A menu may cut a long label.
    let label: String = item["label"].as_str().unwrap().chars().take(8).collect();
    let count = |screen: &str| screen.matches(&label).count();
    helix.terminal.wait_for_screen("the item in the menu", |screen| count(screen) > count(before));
}

#[test]
fn a_completion_item_is_shown_and_accepted() {
    let Some(helix) = open(POINT, LINE, 1) else { return };
    let expected = with_item(", ", &ask(&helix));
    helix.terminal.press(&["C-n", "Enter"]);
    assert_eq!(helix.write_and_quit("completion"), expected);
}

#[test]
fn a_completion_item_stays_while_it_is_typed() {
    let Some(helix) = open(POINT, LINE, 1) else { return };
    let first = ask(&helix);
    let expected = with_item(", ", &first);
    let typed: String = first["textEdit"]["newText"].as_str().unwrap().chars().take(2).collect();
    helix.terminal.type_text(&typed);
    helix.terminal.wait_for_screen("what is typed", |screen| screen.contains(&format!("other.x, {typed}")));
    helix.terminal.press(&["C-n", "Enter"]);
    assert_eq!(helix.write_and_quit("typing"), expected);
}

/// Its selection is never empty: a caret is a selection of one character.
#[test]
fn a_code_action_fills_a_marker() {
    let before =
        "/// The larger of two numbers.\nfn max(a: i32, b: i32) -> i32 {\n    if a > b { a } else { ";
    let after = " }\n}\n";
    let Some(helix) = open(&format!("{before}‹›{after}"), 3, 27) else { return };
    helix.terminal.type_text(" a");
    helix.terminal.wait_for_screen("the menu", |screen| screen.contains("Lacuna: fill here"));
    helix.terminal.press(&["Enter"]);
    helix
        .terminal
        .wait_for_screen("the filled marker", |screen| !screen.contains('‹') && !screen.contains('›'));
    let text = helix.write_and_quit("action");
    let filled = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    assert!(filled.is_some_and(|filled| !filled.trim().is_empty()), "{text}");
}
