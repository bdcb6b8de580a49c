//! The server's life: starting, failing, recovering, ending.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::{End, Script};
use lacuna_tests::servers::{Stage, shipped, shipped_ready};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

const URI: &str = "file:///project/main.rs";
/// The statement ends on a line of its own, so a name alone breaks no syntax.
const TEXT: &str = "fn main() {\n    let total = \n    ;\n}\n";

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

fn items(client: &mut Client) -> Vec<Value> {
    client.inline(URI, client.after(URI, "total = "), Trigger::Automatic)
}

#[test]
fn it_says_starting_until_the_model_is_loaded_and_answers_empty() {
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script { load_ms: 700.0, ..Script::default() }));
    client.initialize(&Setup::default());
    assert!(!client.state("starting")["message"].as_str().unwrap().is_empty());
    client.open(URI, "rust", TEXT);
    assert_eq!(items(&mut client), Vec::<Value>::new());
    assert_eq!(client.status()["state"], "starting");
    let ready = client.state("ready");
    assert_eq!(ready["model"]["source"], "script");
    assert_eq!(items(&mut client).len(), 1);
}

#[test]
fn a_model_that_does_not_load_is_said_with_its_reason() {
    let script = Script { load_error: Some("the weights are torn".to_owned()), ..Script::default() };
    let stage = stage();
    let mut client = Client::start(&stage.launch(&script));
    client.initialize(&Setup::default());
    let message = client.state("error")["message"].clone();
    assert!(message.as_str().unwrap().contains("the weights are torn"), "{message}");
    client.open(URI, "rust", TEXT);
    assert_eq!(items(&mut client), Vec::<Value>::new());
    client.assert_in_step(URI);
    assert_eq!(client.status()["state"], "error");
    assert_eq!(client.shut_down(), Some(0));
}

/// The same with the shipped binary and a folder that holds no model.
#[test]
fn a_model_folder_that_is_not_there_is_said_by_name() {
    let mut client = Client::start(&shipped());
    client.initialize(&Setup::with_options(json!({"engine": {"model": "/no/such/model"}})));
    let message = client.state("error")["message"].clone();
    assert!(message.as_str().unwrap().contains("/no/such/model"), "{message}");
    // Told of another model, it loads that one.
    let model = lacuna_tests::workspace_root().join("model/mini");
    let settings = json!({"settings": {"lacuna": {"engine": {"model": model}}}});
    client.notify("workspace/didChangeConfiguration", settings);
    client.state("ready");
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn a_model_named_at_the_start_is_loaded_once() {
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script { load_ms: 50.0, ..Script::default() }));
    client.initialize(&Setup::with_options(json!({"engine": {"threads": 2}})));
    client.state("ready");
    client.open(URI, "rust", TEXT);
    items(&mut client);
    client.status();
    // Every load begins with this word; the first one is told before the model is ready.
    let starts = client.notifications("lacuna/status").iter().filter(|it| it["state"] == "starting").count();
    assert_eq!(starts, 1);
}

/// A client that says twice that it is ready gets one engine.
#[test]
fn initialized_a_second_time_changes_nothing() {
    let stage = stage();
    let mut client = stage.ready(&Script { load_ms: 50.0, ..Script::default() }, &Setup::default());
    client.notifications("lacuna/status");
    client.notify("initialized", json!({}));
    client.open(URI, "rust", TEXT);
    assert_eq!(items(&mut client).len(), 1);
    client.status();
    let states = client.notifications("lacuna/status");
    assert!(states.iter().all(|status| status["state"] != "starting"), "{states:?}");
}

#[test]
fn a_model_whose_loading_panics_is_said_too() {
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script { load_panic: true, ..Script::default() }));
    client.initialize(&Setup::default());
    let message = client.state("error")["message"].clone();
    assert!(message.as_str().unwrap().contains("the script says so"), "{message}");
    assert_eq!(client.counter("panics"), 1);
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn an_engine_that_panics_is_restarted_and_counted() {
    let stage = stage();
    let mut client =
        stage.ready(&Script { panic_on: Some("boom".to_owned()), ..Script::default() }, &Setup::default());
    client.open(URI, "rust", TEXT);
    client.type_at(URI, client.after(URI, "let "), "boom_");
    let id = client.request_inline(URI, client.after(URI, "total = "), Trigger::Automatic);
    assert_eq!(client.response(id).code(), -32603);
    client.replace_all(URI, TEXT);
    client.state("ready");
    assert_eq!(items(&mut client).len(), 1, "the next request works");
    assert_eq!((client.counter("panics"), client.counter("engineRestarts")), (1, 1));
    let ends: Vec<Option<End>> = stage.inferences().into_iter().map(|it| it.end).collect();
    assert_eq!(ends, [Some(End::Panicked), Some(End::Finished)]);
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn an_engine_that_has_lost_its_device_is_loaded_anew() {
    let stage = stage();
    let mut client =
        stage.ready(&Script { lost_on: Some("gone".to_owned()), ..Script::default() }, &Setup::default());
    client.open(URI, "rust", TEXT);
    client.type_at(URI, client.after(URI, "let "), "gone_");
    let id = client.request_inline(URI, client.after(URI, "total = "), Trigger::Automatic);
    let refusal = client.response(id).result.unwrap_err();
    assert!(refusal.message.contains("the engine cannot go on: the script says so"), "{refusal:?}");
    client.replace_all(URI, TEXT);
    client.state("ready");
    assert_eq!(items(&mut client).len(), 1, "the next request works");
    assert_eq!((client.counter("panics"), client.counter("engineRestarts")), (0, 1));
}

#[test]
fn an_engine_that_fails_is_said_and_goes_on() {
    let script = Script { error_on: Some("broken".to_owned()), ..Script::default() };
    let stage = stage();
    let mut client = stage.ready(&script, &Setup::default());
    client.open(URI, "rust", TEXT);
    client.type_at(URI, client.after(URI, "let "), "broken_");
    let id = client.request_inline(URI, client.after(URI, "total = "), Trigger::Automatic);
    let refusal = client.response(id).result.unwrap_err();
    assert!(refusal.message.contains("the script says so"), "{refusal:?}");
    client.replace_all(URI, TEXT);
    assert_eq!(items(&mut client).len(), 1, "the next request works");
    assert_eq!(client.counter("engineRestarts"), 0);
}

#[test]
fn the_engine_is_restarted_on_command() {
    let stage = stage();
    let mut client = stage.ready(&Script::default(), &Setup::default());
    client.open(URI, "rust", TEXT);
    client.notifications("lacuna/status");
    assert_eq!(client.command("lacuna.restartEngine", json!([])), Value::Null);
    client.state("starting");
    client.state("ready");
    assert_eq!(items(&mut client).len(), 1);
}

#[test]
fn exit_after_shutdown_ends_with_0() {
    let mut client = shipped_ready(&Setup::default());
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn exit_without_shutdown_ends_with_1() {
    let mut client = shipped_ready(&Setup::default());
    client.notify("exit", Value::Null);
    assert_eq!(client.exit_code(), Some(1));
}

#[test]
fn exit_before_initialize_ends_with_1() {
    let mut client = Client::start(&shipped());
    client.notify("exit", Value::Null);
    assert_eq!(client.exit_code(), Some(1));
}

#[test]
fn a_closed_input_ends_it() {
    let mut client = shipped_ready(&Setup::default());
    client.close_input();
    assert_eq!(client.exit_code(), Some(1));
    let mut unused = Client::start(&shipped());
    unused.close_input();
    assert_eq!(unused.exit_code(), Some(1));
}

#[test]
fn it_ends_while_the_engine_works() {
    let stage = stage();
    let endless = Script { step_ms: 600_000.0, ..Script::default() };
    for by_exit in [true, false] {
        let mut client = stage.ready(&endless, &Setup::default());
        client.open(URI, "rust", TEXT);
        client.request_inline(URI, client.after(URI, "total = "), Trigger::Automatic);
        client.state("busy");
        if by_exit {
            assert_eq!(client.shut_down(), Some(0));
        } else {
            client.close_input();
            assert_eq!(client.exit_code(), Some(1));
        }
    }
}

#[test]
fn it_ends_while_the_model_loads() {
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script { load_ms: 600_000.0, ..Script::default() }));
    client.initialize(&Setup::default());
    assert_eq!(client.shut_down(), Some(0));
}

/// The editor's process ends, but something keeps the pipe open.
#[test]
#[cfg(unix)]
fn it_ends_with_the_process_it_belongs_to() {
    let mut editor = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script::default()));
    client.ready(&Setup { process_id: Some(editor.id()), ..Setup::default() });
    client.open(URI, "rust", TEXT);
    assert_eq!(items(&mut client).len(), 1, "it works as long as that process lives");
    drop(editor.stdin.take());
    editor.wait().unwrap();
    assert_eq!(client.exit_code(), Some(1));
}

/// An editor outside of the server's container, or behind a wrapper, names a process that is not there for the server.
#[test]
#[cfg(unix)]
fn it_serves_an_editor_whose_process_it_cannot_see() {
    let mut gone = Command::new("true").spawn().unwrap();
    let process_id = Some(gone.id());
    gone.wait().unwrap();
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script::default()));
    client.ready(&Setup { process_id, ..Setup::default() });
    client.open(URI, "rust", TEXT);
    assert_eq!(items(&mut client).len(), 1);
    assert_eq!(client.shut_down(), Some(0));
}

/// The one thing a person tries with an engine that hangs.
#[test]
fn restarting_gives_up_the_job_that_runs() {
    let stage = stage();
    let script = Script { step_ms: 600_000.0, ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    client.open(URI, "rust", TEXT);
    let id = client.request_inline(URI, TEXT.find("total = ").unwrap() + 8, Trigger::Automatic);
    client.state("busy");
    client.command("lacuna.restartEngine", json!([]));
    client.state("starting");
    client.state("ready");
    assert_eq!(client.response(id).code(), -32800);
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn both_ways_to_start_it_serve() {
    for args in [&["lsp"][..], &["--stdio"]] {
        let mut launch = shipped();
        launch.args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut client = Client::start(&launch);
        let answer = client.initialize(&Setup::default());
        assert_eq!(answer["serverInfo"]["name"], "lacuna");
        assert_eq!(client.shut_down(), Some(0));
    }
}

#[test]
fn it_offers_what_it_can_to_every_client() {
    let mut client = Client::start(&shipped());
    let capabilities = client.initialize(&Setup::default())["capabilities"].take();
    assert_eq!(capabilities["positionEncoding"], "utf-8");
    assert_eq!(capabilities["textDocumentSync"]["openClose"], true);
    assert_eq!(capabilities["textDocumentSync"]["change"], 2);
    assert!(
        capabilities["inlineCompletionProvider"] == true
            || capabilities["inlineCompletionProvider"].is_object()
    );
    assert_eq!(capabilities["codeActionProvider"]["resolveProvider"], true);
    assert_eq!(capabilities["workspace"]["workspaceFolders"]["supported"], true);
    let commands = capabilities["executeCommandProvider"]["commands"].as_array().unwrap();
    for command in ["fill", "refine", "toggle", "status", "restartEngine"] {
        assert!(commands.contains(&json!(format!("lacuna.{command}"))), "{command}: {commands:?}");
    }
    // A client that says nothing of itself, not even where it is, is served too.
    let mut silent = Client::start(&shipped());
    let answer = silent.call("initialize", json!({"processId": null, "rootUri": null, "capabilities": {}}));
    assert!(answer.result.unwrap()["capabilities"]["inlineCompletionProvider"] != Value::Null);
    assert_eq!(silent.shut_down(), Some(0));
}
