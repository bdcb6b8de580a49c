//! Settings as they reach the server: what is switched off does not work in secret, and what is unknown is said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, PATIENCE, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::Stage;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// The statement ends on a line of its own, so a name alone breaks no syntax.
const TEXT: &str = "let total = \n;\n";

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

fn offers(client: &mut Client, uri: &str) -> usize {
    client.inline(uri, client.after(uri, "total = "), Trigger::Invoked).len()
}

/// With these options the document gets no proposals of any kind, and the engine is not asked.
fn check_silent(options: Value, uri: &str, language: &str) {
    let stage = stage();
    let mut setup = Setup::with_options(options);
    setup.folders = vec!["file:///project".to_owned()];
    let mut client = stage.ready(&Script::default(), &setup);
    client.open(uri, language, TEXT);
    assert_eq!(offers(&mut client, uri), 0, "{uri}");
    let params = json!({"textDocument": {"uri": uri}, "position": {"line": 0, "character": 12}});
    let answer = client.ask("textDocument/completion", params);
    assert!(answer.is_null() || answer["items"] == json!([]), "{answer}");
    client.assert_in_step(uri);
    let other = "file:///project/src/other.rs";
    client.open(other, "rust", TEXT);
    assert_eq!(offers(&mut client, other), 1, "what is not switched off works");
    let seen = stage.inferences();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn a_language_that_is_off_is_not_inferred() {
    check_silent(json!({"languages": {"python": false}}), "file:///project/a.py", "python");
    check_silent(json!({"languages": {"*": false, "rust": true}}), "file:///project/a.go", "go");
}

#[test]
fn a_file_that_is_excluded_is_not_inferred() {
    check_silent(json!({"files": {"exclude": ["gen/**"]}}), "file:///project/gen/a.rs", "rust");
    check_silent(json!({"files": {"include": ["src/**"]}}), "file:///project/tools/a.rs", "rust");
    check_silent(json!({}), "file:///project/.env", "plaintext");
}

#[test]
fn switched_off_nothing_is_inferred_until_it_is_switched_on() {
    let stage = stage();
    let uri = "file:///project/a.rs";
    let mut client = stage.ready(&Script::default(), &Setup::default());
    client.open(uri, "rust", TEXT);
    assert_eq!(client.command("lacuna.toggle", json!([])), json!({"enabled": false}));
    client.state("disabled");
    assert_eq!(offers(&mut client, uri), 0);
    assert_eq!(client.command("lacuna.toggle", json!([{"enabled": false}])), json!({"enabled": false}));
    assert_eq!(client.command("lacuna.toggle", json!([{"enabled": true}])), json!({"enabled": true}));
    assert_eq!(offers(&mut client, uri), 1);
    assert_eq!(client.command("lacuna.toggle", json!([{"language": "rust"}])), json!({"enabled": false}));
    client.type_at(uri, 0, " ");
    assert_eq!(offers(&mut client, uri), 0);
    assert_eq!(stage.inferences().len(), 1);
}

#[test]
fn the_client_is_asked_for_its_settings() {
    let stage = stage();
    let configuration = Some(json!({"languages": {"rust": false}}));
    let mut client = stage.ready(&Script::default(), &Setup { configuration, ..Setup::default() });
    let (rust, python) = ("file:///project/a.rs", "file:///project/a.py");
    client.open(rust, "rust", TEXT);
    client.open(python, "python", "total = \n");
    assert_eq!(offers(&mut client, python), 1);
    assert_eq!(offers(&mut client, rust), 0);
    assert!(!client.replies().of("workspace/configuration").is_empty());
    // The settings change while it runs.
    client.replies().configuration = Some(json!({"languages": {"python": false}}));
    let asked = client.replies().of("workspace/configuration").len();
    client.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    client.server_asks("workspace/configuration", asked + 1);
    // The answer to that question is on its way while the next requests are.
    let takes_effect = (0..200).any(|_| {
        client.type_at(python, 0, " ");
        offers(&mut client, python) == 0
    });
    assert!(takes_effect);
    assert_eq!(offers(&mut client, rust), 1);
}

#[test]
fn settings_pushed_by_the_client_take_effect() {
    let stage = stage();
    let uri = "file:///project/a.rs";
    let mut client = stage.ready(&Script::default(), &Setup::default());
    client.open(uri, "rust", TEXT);
    client.notify("workspace/didChangeConfiguration", json!({"settings": {"lacuna": {"enabled": false}}}));
    client.state("disabled");
    assert_eq!(offers(&mut client, uri), 0);
    client.notify("workspace/didChangeConfiguration", json!({"settings": {"lacuna": {"enabled": true}}}));
    client.state("ready");
    assert_eq!(offers(&mut client, uri), 1);
}

#[test]
fn a_setting_that_does_not_exist_is_said_with_the_nearest_one() {
    let stage = stage();
    let mut client = Client::start(&stage.launch(&Script::default()));
    client.initialize(&Setup::with_options(json!({"candidate": 3, "frames": "often"})));
    let says = |part: &'static str| move |params: &Value| params["message"].as_str().unwrap().contains(part);
    client.notification("window/showMessage", says("did you mean `candidates`"));
    client.state("ready");
}

/// Most editors send the same settings both as the options of the start and as the answer to a question.
#[test]
fn a_fault_is_said_once_and_a_projects_with_its_file() {
    let stage = stage();
    fs::write(stage.folder().join("lacuna.toml"), "steps = 3\n").unwrap();
    let mut client = Client::start(&stage.launch(&Script::default()));
    let settings = json!({"candidate": 3});
    client.initialize(&Setup {
        folders: vec![format!("file://{}", stage.folder().display())],
        configuration: Some(settings.clone()),
        ..Setup::with_options(settings)
    });
    let (mut said, file) = (String::new(), stage.folder().join("lacuna.toml"));
    while !said.contains("`steps`") || !said.contains("`candidate`") {
        let told = client.notification("window/showMessage", |_| true);
        said.push_str(told["message"].as_str().unwrap());
    }
    client.state("ready");
    for told in client.notifications("window/showMessage") {
        said.push_str(told["message"].as_str().unwrap());
    }
    assert!(said.contains(&format!("{}: there is no setting `steps`", file.display())), "{said}");
    assert_eq!(said.matches("`candidate`").count(), 1, "{said}");
}

#[test]
fn a_project_says_what_it_wants_in_its_own_file() {
    let stage = stage();
    fs::write(stage.folder().join("lacuna.toml"), "[languages]\nrust = false\n").unwrap();
    let root = format!("file://{}", stage.folder().display());
    let mut client =
        stage.ready(&Script::default(), &Setup { folders: vec![root.clone()], ..Setup::default() });
    let (inside, outside) = (format!("{root}/a.rs"), "file:///elsewhere/a.rs");
    client.open(&inside, "rust", TEXT);
    client.open(outside, "rust", TEXT);
    assert_eq!(offers(&mut client, &inside), 0);
    assert_eq!(offers(&mut client, outside), 1);
}

/// What one folder's file says is that folder's, whichever comes first.
#[test]
fn a_folder_that_is_off_leaves_the_others_on() {
    for off in [0, 1] {
        let stage = stage();
        let folders: Vec<String> =
            (0..2).map(|n| format!("file://{}/{n}", stage.folder().display())).collect();
        for n in 0..2 {
            let folder = stage.folder().join(n.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("lacuna.toml"), format!("enabled = {}\n", n != off)).unwrap();
        }
        let uris: Vec<String> = folders.iter().map(|folder| format!("{folder}/a.rs")).collect();
        let mut client = stage.ready(&Script::default(), &Setup { folders, ..Setup::default() });
        for (n, uri) in uris.iter().enumerate() {
            client.open(uri, "rust", TEXT);
            assert_eq!(offers(&mut client, uri), usize::from(n != off), "{off} is off: {n}");
        }
        // Asked for in a document that is off, it is switched on there.
        let toggle = json!([{"uri": uris[off]}]);
        assert_eq!(client.command("lacuna.toggle", toggle), json!({"enabled": true}));
        assert_eq!(offers(&mut client, &uris[off]), 1);
        assert_eq!(client.command("lacuna.toggle", json!([])), json!({"enabled": false}));
        client.state("disabled");
    }
}

/// Of a folder that has just come, its file is known before the first document of it is asked about.
#[test]
fn a_folder_that_comes_speaks_before_its_documents_are_looked_at() {
    let stage = stage();
    let mut client = stage.ready(&Script::default(), &Setup::default());
    for n in 0..20 {
        let folder = stage.folder().join(format!("{n}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("lacuna.toml"), "[languages]\nrust = false\n").unwrap();
        let root = format!("file://{}", folder.display());
        let change = |added: bool| {
            let folder = json!([{"uri": root, "name": "it"}]);
            let (added, removed) = if added { (folder, json!([])) } else { (json!([]), folder) };
            json!({"event": {"added": added, "removed": removed}})
        };
        let uri = format!("{root}/a.rs");
        client.notify("workspace/didChangeWorkspaceFolders", change(true));
        client.open(&uri, "rust", TEXT);
        assert_eq!(offers(&mut client, &uri), 0, "folder {n}");
        // Come and gone at once, it is gone.
        client.notify("workspace/didChangeWorkspaceFolders", change(false));
        client.notify("workspace/didChangeWorkspaceFolders", change(true));
        client.notify("workspace/didChangeWorkspaceFolders", change(false));
        assert_eq!(offers(&mut client, &uri), 1, "folder {n}");
    }
}

const RUST_OFF: &str = "[languages]\nrust = false\n";
const RUST_ON: &str = "[languages]\nrust = true\n";

/// A client with a document in a folder whose `lacuna.toml` switches its language off; the document's URI.
fn in_a_project_that_is_off(stage: &Stage, watches_files: bool) -> (Client, String) {
    fs::write(stage.folder().join("lacuna.toml"), RUST_OFF).unwrap();
    let root = format!("file://{}", stage.folder().display());
    let setup = Setup { folders: vec![root.clone()], watches_files, ..Setup::default() };
    let mut client = stage.ready(&Script::default(), &setup);
    if watches_files {
        client.server_asks("client/registerCapability", 1);
    }
    let uri = format!("{root}/a.rs");
    client.open(&uri, "rust", TEXT);
    assert_eq!(offers(&mut client, &uri), 0);
    (client, uri)
}

/// Types on until so many proposals come; a request that the change itself ends is not counted.
fn type_until(client: &mut Client, uri: &str, wanted: usize) {
    let end = Instant::now() + PATIENCE;
    loop {
        client.type_at(uri, 0, " ");
        let params = client.inline_params(uri, client.after(uri, "total = "), Trigger::Invoked);
        let answer = client.call("textDocument/inlineCompletion", params).result;
        if answer.is_ok_and(|answer| answer["items"].as_array().unwrap().len() == wanted) {
            return;
        }
        assert!(Instant::now() < end, "not {wanted} proposals within {PATIENCE:?}");
        client.listen(Duration::from_millis(20));
    }
}

/// A client that watches no files says nothing of them.
#[test]
fn a_projects_file_that_changes_is_noticed_by_itself() {
    let stage = stage();
    let (mut client, uri) = in_a_project_that_is_off(&stage, false);
    let file = stage.folder().join("lacuna.toml");
    // As long as it was, within the same second.
    fs::write(&file, RUST_ON).unwrap();
    type_until(&mut client, &uri, 1);
    fs::write(&file, RUST_OFF).unwrap();
    type_until(&mut client, &uri, 0);
    fs::remove_file(&file).unwrap();
    type_until(&mut client, &uri, 1);
    fs::write(&file, "[langages]\n").unwrap();
    let said = |params: &Value| params["message"].as_str().unwrap().contains("`languages`");
    let told = (0..500).any(|_| {
        client.type_at(&uri, 0, " ");
        client.listen(Duration::from_millis(20));
        client.notifications("window/showMessage").iter().any(said)
    });
    assert!(told, "what is wrong with it is said");
    client.assert_in_step(&uri);
}

/// Who watches files is believed.
#[test]
fn a_projects_file_that_is_watched_is_read_when_the_client_says_so() {
    let stage = stage();
    let (mut client, uri) = in_a_project_that_is_off(&stage, true);
    let file = stage.folder().join("lacuna.toml");
    fs::write(&file, RUST_ON).unwrap();
    for _ in 0..60 {
        client.listen(Duration::from_millis(20));
        assert_eq!(offers(&mut client, &uri), 0);
    }
    let change = json!({"uri": format!("file://{}", file.display()), "type": 2});
    client.notify("workspace/didChangeWatchedFiles", json!({"changes": [change]}));
    assert_eq!(offers(&mut client, &uri), 1);
}

#[test]
fn a_projects_file_is_read_again_with_the_engine() {
    let stage = stage();
    let (mut client, uri) = in_a_project_that_is_off(&stage, true);
    let file = stage.folder().join("lacuna.toml");
    fs::write(&file, RUST_ON).unwrap();
    client.command("lacuna.restartEngine", json!([]));
    client.state("starting");
    assert!((0..10_000).any(|_| client.status()["state"] == "ready"));
    assert_eq!(offers(&mut client, &uri), 1);
}

/// Who asks for a log looks for it, and would look in vain.
#[test]
fn a_log_that_cannot_be_written_is_said() {
    let stage = stage();
    fs::write(stage.folder().join("no-folder"), "").unwrap();
    let file = stage.folder().join("no-folder/lacuna.log");
    let mut client = Client::start(&stage.launch(&Script::default()));
    client.initialize(&Setup::with_options(json!({"log": {"file": file}})));
    client.notification("window/showMessage", |params| {
        params["message"].to_string().contains("no-folder/lacuna.log")
    });
    client.state("ready");
}

/// `completion`: for clients that know no inline completions, unless the user says otherwise.
#[test]
fn the_completion_menu_is_the_fallback() {
    let cases = [("on", true, 1), ("off", true, 0), ("auto", true, 0), ("auto", false, 1), ("off", false, 0)];
    for (setting, inline_completion, expected) in cases {
        let stage = stage();
        let script = Script { candidates: vec!["compute(one, two);".to_owned()], ..Script::default() };
        let setup = Setup { inline_completion, ..Setup::with_options(json!({"completion": setting})) };
        let mut client = stage.ready(&script, &setup);
        let uri = "file:///project/a.rs";
        client.open(uri, "rust", "fn f() {\n    let a = \n}\n");
        let position = client.position(uri, client.after(uri, "let a = "));
        let params = json!({"textDocument": {"uri": uri}, "position": position});
        let answer = client.ask("textDocument/completion", params);
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        assert_eq!(items.len(), expected, "{setting}, {inline_completion}: {answer}");
        if let Some(item) = items.first() {
            assert_eq!(answer["isIncomplete"], true);
            assert_eq!(client.accepted(uri, item), "fn f() {\n    let a = compute(one, two);\n}\n");
            assert!(item["documentation"].to_string().contains("compute(one, two);"), "{item}");
        }
    }
}
