//! The language server in a real Neovim, configured as its manual says; the cases are in `tests/neovim/cases`.

use lacuna_tests::engine::Script;
use lacuna_tests::lacuna_binary;
use lacuna_tests::neovim::{neovim, run_case};

/// Runs a case with the shipped server and model.
fn check(case: &str) {
    check_with_code(case, 0);
}

fn check_with_code(case: &str, code: i32) {
    if neovim().is_none() {
        return;
    }
    let lacuna = lacuna_binary().to_string_lossy();
    run_case(case, env!("CARGO_BIN_EXE_lacuna-tee"), &[&lacuna, "lsp"], code, None);
}

#[test]
fn ghost_text_appears_in_a_rust_file() {
    check("ghost_text_in_rust");
}

#[test]
fn ghost_text_appears_in_a_python_file() {
    check("ghost_text_in_python");
}

#[test]
fn accepting_ghost_text_leaves_what_was_shown() {
    check("accept");
}

#[test]
fn proposals_can_be_cycled_through() {
    check("cycle");
}

#[test]
fn ghost_text_survives_typing_through_it() {
    check("typing_through");
}

#[test]
fn typing_something_else_asks_the_model_again() {
    check("departing");
}

#[test]
fn a_code_action_fills_a_marker_and_shows_its_progress() {
    check("code_action_fills_a_marker");
}

#[test]
fn the_menu_of_code_actions_fills_a_marker() {
    check("the_menu_of_code_actions");
}

#[test]
fn a_selection_is_refined() {
    check("refine");
}

#[test]
fn the_state_of_the_server_is_told() {
    check("status");
}

#[test]
fn switched_off_nothing_is_inferred() {
    check("toggle");
}

#[test]
fn ghost_text_in_the_middle_of_a_line_does_not_repeat_the_rest() {
    check("in_the_middle_of_a_line");
}

#[test]
fn whatever_is_typed_the_last_text_gets_the_ghost() {
    check("typing_fast");
}

#[test]
fn what_is_superseded_is_given_up_in_silence() {
    let script =
        Script { candidates: vec!["candidate)".to_owned()], steps: 600, step_ms: 1.0, ..Script::default() };
    run_case(
        "superseded",
        env!("CARGO_BIN_EXE_lacuna-tee"),
        &[env!("CARGO_BIN_EXE_lacuna-scripted")],
        0,
        Some(&script),
    );
}

#[test]
fn the_server_follows_every_edit() {
    check("in_step");
}

#[test]
fn the_server_follows_every_edit_of_a_file_with_crlf() {
    check("in_step_with_crlf");
}

#[test]
fn a_command_fills_a_marker() {
    check("a_command_fills_a_marker");
}

#[test]
fn a_diagnostic_is_repaired_or_the_reason_said() {
    check("repair");
}

#[test]
fn the_engine_is_started_anew_on_command() {
    check("restart");
}

#[test]
fn settings_take_effect_while_it_runs() {
    check("settings");
}

/// LSP 3.18, `exit`: 1 for a server that nobody asked to shut down.
#[test]
fn the_server_ends_with_an_editor_that_is_killed() {
    check_with_code("killed", 1);
}
