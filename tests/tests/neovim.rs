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

/// Runs a case with an engine that plays a script.
fn check_with_script(case: &str, script: &Script) {
    let server = [env!("CARGO_BIN_EXE_lacuna-scripted")];
    run_case(case, env!("CARGO_BIN_EXE_lacuna-tee"), &server, 0, Some(script));
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
fn accepting_in_a_file_with_crlf_keeps_its_line_ends() {
    let candidates = vec!["wert(1);\n    wert(2);\n    wert(3)".to_owned()];
    for case in ["accept_in_a_file_with_crlf", "plugin_accepts_in_a_file_with_crlf"] {
        check_with_script(case, &Script { candidates: candidates.clone(), ..Script::default() });
    }
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
    check_with_script("superseded", &script);
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

#[test]
fn the_plugin_shows_ghost_text_in_rust_accepted_by_word_and_whole() {
    check("plugin_accepts_by_word_and_whole");
}

#[test]
fn the_plugin_shows_ghost_text_in_python_accepted_by_line() {
    check("plugin_in_python");
}

#[test]
fn the_plugin_does_not_repeat_what_stands_behind_the_caret() {
    check("plugin_in_front_of_a_bracket");
}

#[test]
fn the_plugin_accepts_what_was_typed_into() {
    check("plugin_accepts_what_was_typed_into");
}

#[test]
fn the_plugin_cycles_both_ways() {
    check("plugin_cycles");
}

#[test]
fn the_plugin_asks_and_dismisses() {
    check("plugin_asks_and_dismisses");
}

#[test]
fn the_plugin_says_why_nothing_comes() {
    check("plugin_says_why_nothing_comes");
}

#[test]
fn the_plugin_maps_keys_as_told() {
    check("plugin_maps_keys_as_told");
}

#[test]
fn the_plugin_toggles_and_off_nothing_is_inferred() {
    check("plugin_toggles");
}

#[test]
fn the_plugin_refines_a_selection() {
    check("plugin_refines_a_selection");
}

#[test]
fn the_plugin_tells_its_state() {
    check("plugin_tells_its_state");
}

#[test]
fn the_plugin_is_healthy() {
    check("plugin_is_healthy");
}

#[test]
fn the_plugin_says_what_to_do_without_a_server() {
    check("plugin_without_a_server");
}

#[test]
fn the_plugin_says_why_there_is_no_model() {
    let script = Script { load_error: Some("there is no such model".to_owned()), ..Script::default() };
    check_with_script("plugin_without_a_model", &script);
}

#[test]
fn the_plugin_starts_one_server_for_all_folders() {
    check("plugin_has_one_server");
}

#[test]
fn the_plugin_knows_the_folders_of_its_start() {
    check_with_script("plugin_knows_the_folders_of_its_start", &Script::default());
}

#[test]
fn the_plugin_starts_a_server_that_has_ended() {
    check_with_script("plugin_starts_a_server_again", &Script::default());
}

#[test]
fn the_plugin_says_where_it_works() {
    check_with_script("plugin_in_another_buffer", &Script::default());
}

#[test]
fn the_plugin_completes_where_there_is_no_ghost_text() {
    check("plugin_without_inline_completion");
}

#[test]
fn the_plugin_has_help() {
    check("plugin_has_help");
}

#[test]
fn the_plugin_accepts_by_line() {
    let candidates = vec!["größe.wert(1);\n    größe".to_owned()];
    check_with_script("plugin_accepts_by_line", &Script { candidates, ..Script::default() });
}

#[test]
fn the_plugin_fills_a_selection() {
    let candidates = vec!["1 + 2".to_owned()];
    check_with_script("plugin_fills_a_selection", &Script { candidates, ..Script::default() });
}

#[test]
fn the_plugin_shows_the_canvas_condensing() {
    let candidates = vec!["1 + 2".to_owned()];
    check_with_script(
        "plugin_shows_frames",
        &Script { candidates, steps: 20, step_ms: 20.0, ..Script::default() },
    );
}
