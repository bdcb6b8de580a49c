//! A real Emacs in a terminal of its own, with the files of `editors/emacs`: keys go in, the screen is read back, and
//! `lacuna-tee` records what the server is asked.
#![allow(clippy::expect_used, reason = "a test helper: failing loudly is its job")]

use crate::client::Direction;
use crate::engine::{SCRIPT_VARIABLE, Script};
use crate::tee::{check_messages, messages, recorded};
use crate::terminal::{Terminal, named, runs, tmux};
use crate::{say, workspace_root};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;

/// A client of the protocol in Emacs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// lsp-mode 10, which shows ghost text.
    LspMode,
    /// Eglot, which is part of Emacs.
    Eglot,
}

impl Client {
    const fn name(self) -> &'static str {
        match self {
            Self::LspMode => "lsp-mode",
            Self::Eglot => "eglot",
        }
    }

    /// What an Emacs that has it evaluates.
    const fn probe(self) -> &'static str {
        match self {
            Self::LspMode => "(progn (require 'lsp-mode) (require 'lsp-inline-completion))",
            Self::Eglot => "(require 'eglot)",
        }
    }
}

/// Whether tests with a client can run: `LACUNA_EMACS` (else `emacs`) starts and has it, and tmux is there. If not, that is
/// said loudly.
///
/// # Panics
/// When it cannot although `LACUNA_EMACS_REQUIRED` is 1.
#[must_use]
pub fn is_there(client: Client) -> bool {
    static LSP_MODE: OnceLock<bool> = OnceLock::new();
    static EGLOT: OnceLock<bool> = OnceLock::new();
    let found = match client {
        Client::LspMode => &LSP_MODE,
        Client::Eglot => &EGLOT,
    };
    *found.get_or_init(|| {
        if runs(&emacs(), &["-Q", "--batch", "--eval", client.probe()]) && runs(&tmux(), &["-V"]) {
            return true;
        }
        let (emacs, tmux) = (emacs(), tmux());
        let line = format!(
            "SKIPPED: `{}` has no {} or `{}` does not start, its tests in Emacs did not run",
            emacs.display(),
            client.name(),
            tmux.display()
        );
        assert!(std::env::var_os("LACUNA_EMACS_REQUIRED").is_none_or(|it| it != "1"), "{line}");
        say(&format!("\n{line}"));
        false
    })
}

fn emacs() -> PathBuf {
    named("LACUNA_EMACS", "emacs")
}

/// A running Emacs with one file open.
#[derive(Debug)]
pub struct Emacs {
    /// Where it runs.
    pub terminal: Terminal,
    client: Client,
    folder: TempDir,
}

impl Emacs {
    /// Opens a Python file at a line and column (from 1), and waits until the server's engine, which plays `script`, is
    /// loaded.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn open(
        client: Client,
        text: &str,
        place: (usize, usize),
        tools: [&str; 2],
        script: &Script,
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("project")).expect("a folder can be made");
        fs::create_dir_all(path("home")).expect("a folder can be made");
        fs::write(path("project/main.py"), text).expect("a file can be written");
        let [tee, server] = tools;
        let root = workspace_root();
        let shipped = root.join(format!("editors/emacs/lacuna-{}.el", client.name()));
        let variables = [
            ("HOME", path("home").display().to_string()),
            // No other server of the language, and no `rass` that would start one.
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("LACUNA_TEST_FILE", shipped.display().to_string()),
            ("LACUNA_TEST_SERVER", json!(recorded(tee, &path("traffic.jsonl"), &[server])).to_string()),
            (SCRIPT_VARIABLE, json!(script).to_string()),
        ];
        let program = emacs().display().to_string();
        let init = root.join("tests/emacs/init.el").display().to_string();
        let (at, file) = (format!("+{}:{}", place.0, place.1), path("project/main.py").display().to_string());
        let command = [program.as_str(), "-nw", "-Q", "-l", &init, &at, &file];
        let terminal = Terminal::start(folder.path(), &variables, &command);
        let emacs = Self { terminal, client, folder };
        emacs.terminal.wait_for("the model", || {
            let is_ready = |(_, message): &(Direction, Value)| {
                message["method"] == "lacuna/status" && message["params"]["state"] == "ready"
            };
            messages(&emacs.recording()).iter().any(is_ready).then_some(())
        });
        emacs
    }

    /// Where the traffic is written down.
    #[must_use]
    pub fn recording(&self) -> PathBuf {
        self.folder.path().join("traffic.jsonl")
    }

    /// Runs a command by its name.
    pub fn command(&self, name: &str) {
        self.terminal.press(&["M-x"]);
        // Emacs puts what a package has to say behind the prompt.
        let prompt =
            |screen: &str| screen.trim_end().lines().last().is_some_and(|line| line.starts_with("M-x"));
        self.terminal.wait_for_screen("the prompt", prompt);
        self.terminal.type_text(name);
        self.terminal.press(&["Enter"]);
    }

    /// Writes the file and leaves; the file as it then is. The traffic is held against the specification.
    ///
    /// # Panics
    /// When Emacs stays, or the server broke the protocol.
    #[must_use]
    pub fn write_and_quit(&self, name: &str) -> String {
        self.terminal.press(&["C-x", "C-s"]);
        self.terminal.wait_for_screen("the written file", |screen| screen.contains("Wrote "));
        self.terminal.press(&["C-x", "C-c"]);
        self.terminal.wait_for_end();
        check_messages(&self.recording(), &format!("emacs-{}-{name}", self.client.name()));
        fs::read_to_string(self.folder.path().join("project/main.py")).expect("the file is there")
    }
}
