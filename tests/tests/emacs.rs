//! The language server in a real Emacs, with the files that are shipped for lsp-mode and for Eglot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::emacs::{Client, Emacs, is_there};
use lacuna_tests::engine::Script;
use lacuna_tests::tee::answers;

const BEFORE: &str = "\
def area(width, height):
    return width * height


def volume(width, height, depth):
    return";
const AFTER: &str = "\n\n\ndef weight(volume, density):\n    return volume * density\n";
/// Behind [`BEFORE`].
const END: (usize, usize) = (6, 11);
const PROPOSAL: &str = "area(width, height) * depth";

/// Opens a text in Emacs; `None` where there is none with this client.
fn open(client: Client, text: &str, place: (usize, usize), candidates: &[&str]) -> Option<Emacs> {
    let tools = [env!("CARGO_BIN_EXE_lacuna-tee"), env!("CARGO_BIN_EXE_lacuna-scripted")];
    let candidates = candidates.iter().map(|&text| text.to_owned()).collect();
    let script = Script { candidates, ..Script::default() };
    is_there(client).then(|| Emacs::open(client, text, place, tools, &script))
}

fn text() -> String {
    format!("{BEFORE}{AFTER}")
}

fn with(proposal: &str) -> String {
    format!("{BEFORE} {proposal}{AFTER}")
}

#[test]
fn lsp_mode_shows_ghost_text_that_is_accepted() {
    let Some(emacs) = open(Client::LspMode, &text(), END, &[PROPOSAL]) else { return };
    emacs.terminal.type_text(" ");
    emacs.terminal.wait_for_screen("ghost text", |screen| screen.contains(PROPOSAL));
    emacs.terminal.press(&["M-Enter"]);
    assert_eq!(emacs.write_and_quit("accept"), with(PROPOSAL));
}

#[test]
fn lsp_mode_takes_ghost_text_away_when_something_else_is_typed() {
    let Some(emacs) = open(Client::LspMode, &text(), END, &["{last}_of_it"]) else { return };
    emacs.terminal.type_text(" ");
    emacs.terminal.wait_for_screen("ghost text", |screen| screen.contains("return return_of_it"));
    emacs.terminal.type_text("depth");
    emacs.terminal.wait_for_screen("other ghost text", |screen| screen.contains("return depthdepth_of_it"));
    assert!(!emacs.terminal.screen().contains("return_of_it"));
    assert_eq!(emacs.write_and_quit("other"), with("depth"), "ghost text is no text");
}

#[test]
fn lsp_mode_cycles() {
    let Some(emacs) = open(Client::LspMode, &text(), END, &[PROPOSAL, "height"]) else { return };
    emacs.terminal.type_text(" ");
    emacs.terminal.wait_for_screen("ghost text", |screen| screen.contains(PROPOSAL));
    emacs.command("lsp-inline-completion-display");
    emacs.terminal.wait_for_screen("two proposals", |screen| screen.contains("Completion 1/2"));
    emacs.terminal.press(&["C-n"]);
    emacs.terminal.wait_for_screen("the other proposal", |screen| screen.contains("Completion 2/2"));
    emacs.terminal.press(&["M-Enter"]);
    assert_eq!(emacs.write_and_quit("cycle"), with("height"));
}

#[test]
fn lsp_mode_fills_a_marker_with_a_code_action() {
    fills_a_marker(Client::LspMode, "lsp-execute-code-action"); // the only one runs at once
}

#[test]
fn lsp_mode_switched_off_nothing_is_inferred() {
    let Some(emacs) = open(Client::LspMode, &text(), END, &[PROPOSAL]) else { return };
    emacs.command("lacuna-toggle");
    emacs.terminal.wait_for_screen("off", |screen| screen.contains("Lacuna is off"));
    emacs.terminal.type_text(" ");
    let ghosts = || answers(&emacs.recording(), "textDocument/inlineCompletion").pop();
    let answer = emacs.terminal.wait_for("an answer", ghosts);
    assert_eq!(answer["result"]["items"].as_array().map(Vec::len), Some(0), "{answer}");
    emacs.command("lacuna-toggle");
    emacs.terminal.wait_for_screen("on", |screen| screen.contains("Lacuna is on"));
    emacs.terminal.type_text(" ");
    emacs.terminal.wait_for_screen("ghost text", |screen| screen.contains(PROPOSAL));
    emacs.terminal.press(&["C-g"]);
    emacs.terminal.wait_for_screen("no ghost text", |screen| !screen.contains(PROPOSAL));
    assert_eq!(emacs.write_and_quit("toggle"), format!("{BEFORE}  {AFTER}"));
}

#[test]
fn eglot_completes() {
    let Some(emacs) = open(Client::Eglot, &text(), END, &[PROPOSAL]) else { return };
    emacs.terminal.type_text(" ");
    emacs.command("completion-at-point");
    emacs.terminal.wait_for_screen("the item in the text", |screen| screen.contains(PROPOSAL));
    assert_eq!(emacs.write_and_quit("complete"), with(PROPOSAL));
}

#[test]
fn eglot_completes_a_word_that_is_begun() {
    let Some(emacs) = open(Client::Eglot, &text(), END, &["a(width, height) * depth"]) else { return };
    emacs.terminal.type_text(" are");
    emacs.command("completion-at-point");
    emacs.terminal.wait_for_screen("the item in the text", |screen| screen.contains(PROPOSAL));
    assert_eq!(emacs.write_and_quit("word"), with(PROPOSAL));
}

#[test]
fn eglot_fills_a_marker_with_a_code_action() {
    fills_a_marker(Client::Eglot, "lacuna-fill");
}

#[test]
fn eglot_refines_the_region() {
    let Some(emacs) = open(Client::Eglot, &with("depth"), (END.0, END.1 + 1), &[PROPOSAL]) else { return };
    emacs.terminal.press(&["C-Space", "C-e"]);
    emacs.command("lacuna-refine");
    emacs.terminal.wait_for_screen("the other text", |screen| screen.contains(PROPOSAL));
    assert_eq!(emacs.write_and_quit("refine"), with(PROPOSAL));
}

fn fills_a_marker(client: Client, command: &str) {
    let Some(emacs) = open(client, &with("‹›"), (END.0, END.1 + 2), &[PROPOSAL]) else { return };
    emacs.command(command);
    emacs.terminal.wait_for_screen("the filled marker", |screen| screen.contains(PROPOSAL));
    assert_eq!(emacs.write_and_quit("action"), with(PROPOSAL));
}
