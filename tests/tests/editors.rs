//! `lacuna editors` as a user runs it: what is printed is what the editor reads, what is written is never written over,
//! and a real Neovim finds the plugin that was put down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::neovim::neovim;
use lacuna_tests::{Run, lacuna_binary, workspace_root};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Runs `lacuna editors` for a user with this home.
fn editors(home: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(lacuna_binary());
    command.arg("editors").args(args).env("HOME", home).stdin(Stdio::null());
    let output = command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The first words of the table's lines, without its head.
fn names(home: &Path) -> Vec<String> {
    let run = editors(home, &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.stdout.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Every file below a folder, with its text; not what npm installed.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
            }
        }
    }
    found
}

#[test]
fn what_is_printed_is_a_file_of_the_repository_and_nothing_else() {
    let home = TempDir::new().unwrap();
    let shipped = files(&workspace_root().join("editors"));
    for name in names(home.path()) {
        let run = editors(home.path(), &[&name]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(shipped.values().any(|text| text.contains(&run.stdout)), "{name}: {}", run.stdout);
        assert!(
            run.stderr.starts_with("lacuna: ") && run.stderr.contains("README.md"),
            "{name}: {}",
            run.stderr
        );
    }
    assert_eq!(files(home.path()), BTreeMap::new(), "without --write nothing is written");
}

/// Helix reads TOML; so does cargo, which is the one TOML parser that is surely there.
#[test]
fn the_lines_for_helix_name_the_server() {
    let home = TempDir::new().unwrap();
    let printed = editors(home.path(), &["helix"]).stdout;
    assert!(
        printed.contains("[language-server.lacuna]\ncommand = \"lacuna\"\nargs = [\"lsp\"]\n"),
        "{printed}"
    );
    let manifest = "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n[lib]\npath = \"a\"\n";
    fs::write(home.path().join("a"), "").unwrap();
    let cargo = |text: &str| {
        fs::write(home.path().join("Cargo.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO"));
        command.args(["metadata", "--offline", "--no-deps", "--format-version=1"]).current_dir(home.path());
        command.stdin(Stdio::null()).output().unwrap().status.success()
    };
    let tables = printed.replace("[language-server", "[package.metadata.language-server");
    let tables = tables.replace("[[language]]", "[[package.metadata.language]]");
    assert!(cargo(&format!("{manifest}{tables}")), "{tables}");
    assert!(!cargo(&format!("{manifest}{tables}[")), "and it would be said if it were no TOML");
}

#[test]
fn writing_twice_changes_nothing_and_a_file_that_is_there_is_left() {
    for name in names(&workspace_root()) {
        let home = TempDir::new().unwrap();
        let first = editors(home.path(), &[&name, "--write"]);
        let after = files(home.path());
        if name == "vscode" {
            assert_eq!(first.code, Some(2), "{first:?}");
            assert!(first.stderr.contains("`lacuna editors vscode` prints them"), "{first:?}");
            continue;
        }
        assert_eq!(first.code, Some(0), "{first:?}");
        assert_eq!(first.stdout.matches("wrote ").count(), after.len(), "{first:?}");
        let second = editors(home.path(), &[&name, "--write"]);
        assert_eq!(second.code, Some(0), "{second:?}");
        assert_eq!(files(home.path()), after, "{second:?}");
        let victim = after.keys().next().unwrap();
        fs::write(home.path().join(victim), "mine\n").unwrap();
        let third = editors(home.path(), &[&name, "--write"]);
        assert_eq!((third.code, third.stdout.as_str()), (Some(2), ""), "{third:?}");
        assert!(third.stderr.contains(victim.as_str()), "{third:?}");
        assert_eq!(fs::read_to_string(home.path().join(victim)).unwrap(), "mine\n");
    }
}

/// A file that is empty, or holds comments alone, is no configuration of anybody's.
#[test]
fn a_file_that_says_nothing_is_written_to_and_keeps_its_comments() {
    let places = [
        ("helix", ".config/helix/languages.toml", "# mine\n"),
        ("kate", ".config/kate/lspclient/settings.json", "{}\n"),
        ("sublime", ".config/sublime-text/Packages/User/LanguageServers.sublime-settings", "// mine\n{\n}\n"),
    ];
    for (name, place, comments) in places {
        let home = TempDir::new().unwrap();
        let file = home.path().join(place);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let printed = editors(home.path(), &[name]).stdout;
        for there in ["", " \n", comments] {
            fs::write(&file, there).unwrap();
            let run = editors(home.path(), &[name, "--write"]);
            assert_eq!(run.code, Some(0), "{name}, {there:?}: {run:?}");
            assert!(run.stdout.starts_with(&format!("wrote {}", file.display())), "{run:?}");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.ends_with(&printed), "{name}, {there:?}: {text}");
            assert_eq!(text.contains("mine"), there.contains("mine"), "{text}");
            assert_eq!(text.matches("{}").count(), printed.matches("{}").count(), "{text}");
        }
    }
}

#[test]
fn neovim_finds_the_plugin_that_was_written() {
    let Some(neovim) = neovim() else { return };
    let home = TempDir::new().unwrap();
    assert_eq!(editors(home.path(), &["neovim", "--write"]).code, Some(0));
    let init = home.path().join("init.lua");
    fs::write(&init, editors(home.path(), &["neovim"]).stdout).unwrap();
    assert_eq!(loaded(neovim, home.path(), &init), "{ 2, true, \"help\" }");
}

/// Whether Neovim, started with `init` by a user with this home, has the command, the server and the help of the plugin.
fn loaded(neovim: &Path, home: &Path, init: &Path) -> String {
    let state = "{ vim.fn.exists(':Lacuna'), vim.lsp.is_enabled('lacuna'), vim.bo.filetype }";
    let said = home.join("said");
    let say = format!("+lua vim.fn.writefile({{ vim.inspect({state}) }}, '{}')", said.display());
    let mut command = Command::new(neovim);
    command
        .args(["--headless", "-u"])
        .arg(init)
        .args(["+silent! help lacuna", &say, "+qa!"])
        .env("HOME", home);
    for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(said).unwrap_or_else(|_| panic!("{output:?}")).trim_end().to_owned()
}

/// A checkout of the repository, as far as Neovim needs one: its plugin, committed.
fn checkout(folder: &Path) {
    for (name, text) in files(&workspace_root().join("editors/neovim")) {
        let file = folder.join("editors/neovim").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(folder);
        let output = git.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=all"]);
}

/// What the page has people paste works in a checkout, with nothing to fetch from elsewhere. (For lazy.nvim it is not run.)
#[test]
fn neovim_takes_what_its_page_says_from_a_checkout() {
    let Some(neovim) = neovim() else { return };
    let page = fs::read_to_string(workspace_root().join("editors/neovim/README.md")).unwrap();
    let install = page.split("\n## ").find(|part| part.starts_with("Install")).unwrap();
    let blocks: Vec<&str> =
        install.split("```lua\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.iter().all(|block| block.contains("'/path/to/lacuna")), "{blocks:?}");
    let whole: Vec<&&str> =
        blocks.iter().filter(|block| block.contains("\nrequire('lacuna').setup()")).collect();
    assert_eq!(whole.len(), 2, "the folder, and vim.pack: {blocks:?}");
    for block in whole {
        let home = TempDir::new().unwrap();
        let repository = home.path().join("lacuna");
        checkout(&repository);
        let init = home.path().join("init.lua");
        fs::write(&init, block.replace("/path/to/lacuna", &repository.to_string_lossy())).unwrap();
        assert_eq!(loaded(neovim, home.path(), &init), "{ 2, true, \"help\" }", "{block}");
    }
}

/// Whoever tried Lacuna with `cargo run` has a configuration then, and nothing that it could start.
#[test]
fn a_server_that_editors_would_not_find_is_said() {
    let home = TempDir::new().unwrap();
    let with_path = |path: &Path| {
        let mut command = Command::new(lacuna_binary());
        command.args(["editors", "helix", "--write"]).env("HOME", home.path()).env("PATH", path);
        command.env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = with_path(home.path());
    assert!(said.contains("no `lacuna` on the PATH") && said.contains("cargo install"), "{said}");
    let said = with_path(lacuna_binary().parent().unwrap());
    assert!(!said.contains("on the PATH"), "{said}");
}

#[test]
fn an_unknown_editor_is_bad_input() {
    let home = TempDir::new().unwrap();
    let run = editors(home.path(), &["ed"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("there are neovim, vscode, helix"), "{run:?}");
}
