//! A real Helix in a terminal of its own (tmux), for an editor that has no inline completion: keys go in, the screen is
//! read back, and `lacuna-tee` records what the server is asked.
#![allow(clippy::expect_used, clippy::panic, reason = "a test helper: failing loudly is its job")]

use crate::client::Direction;
use crate::tee::{check_messages, messages, recorded};
use crate::terminal::{Terminal, named, runs, tmux};
use crate::{say, workspace_root};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Whether the tests can run: `LACUNA_HX` (else `hx`) and `LACUNA_TMUX` (else `tmux`) start. If not, that is said loudly.
///
/// # Panics
/// When they do not start although `LACUNA_HX_REQUIRED` is 1.
#[must_use]
pub fn is_there() -> bool {
    helix().is_some()
}

fn helix() -> Option<&'static PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let (helix, tmux) = (named("LACUNA_HX", "hx"), tmux());
        if runs(&helix, &["--version"]) && runs(&tmux, &["-V"]) {
            return Some(helix);
        }
        let (helix, tmux) = (helix.display(), tmux.display());
        let line = format!("SKIPPED: `{helix}` or `{tmux}` does not start, the tests in Helix did not run");
        assert!(std::env::var_os("LACUNA_HX_REQUIRED").is_none_or(|it| it != "1"), "{line}");
        say(&format!("\n{line}"));
        None
    };
    FOUND.get_or_init(find).as_ref()
}

/// A running Helix with one file open.
#[derive(Debug)]
pub struct Helix {
    /// Where it runs.
    pub terminal: Terminal,
    folder: TempDir,
}

impl Helix {
    /// Opens a Rust file with this text at a line and column (from 1), configured by the file that is shipped, and waits
    /// until the server's model is loaded.
    ///
    /// # Panics
    /// When [`is_there`] says no, and when it does not start.
    #[must_use]
    pub fn open(text: &str, line: usize, column: usize, tee: &str, server: &[&str]) -> Self {
        let helix = helix().expect("asked before");
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("project/.git")).expect("a folder can be made");
        fs::create_dir_all(path("config/helix")).expect("a folder can be made");
        fs::write(path("project/main.rs"), text).expect("a file can be written");
        let command = recorded(tee, &path("traffic.jsonl"), server);
        fs::write(path("config/helix/languages.toml"), shipped(&command)).expect("a file can be written");
        let place = format!("{}:{line}:{column}", path("project/main.rs").display());
        let variables = [
            ("XDG_CONFIG_HOME", path("config").display().to_string()),
            ("XDG_CACHE_HOME", path("cache").display().to_string()),
            // No other server of the language: what it proposes is not ours to test.
            ("PATH", "/usr/bin:/bin".to_owned()),
        ];
        let program = helix.display().to_string();
        let terminal = Terminal::start(folder.path(), &variables, &[&program, &place]);
        let helix = Self { terminal, folder };
        helix.terminal.wait_for("the model", || {
            let is_ready = |(_, message): &(Direction, Value)| {
                message["method"] == "lacuna/status" && message["params"]["state"] == "ready"
            };
            messages(&helix.recording()).iter().any(is_ready).then_some(())
        });
        helix
    }

    /// Where the traffic is written down.
    #[must_use]
    pub fn recording(&self) -> PathBuf {
        self.folder.path().join("traffic.jsonl")
    }

    /// Writes the file and leaves; the file as it then is. The traffic is held against the specification.
    ///
    /// # Panics
    /// When Helix stays, or the server broke the protocol.
    pub fn write_and_quit(&self, name: &str) -> String {
        if !self.terminal.screen().contains(" NOR ") {
            self.terminal.press(&["Escape"]);
            // What follows an escape at once would be taken for a key with Alt.
            self.terminal.wait_for_screen("Normal mode", |screen| screen.contains(" NOR "));
        }
        self.terminal.type_text(":wq");
        self.terminal.press(&["Enter"]);
        self.terminal.wait_for_end();
        check_messages(&self.recording(), &format!("helix-{name}"));
        fs::read_to_string(self.folder.path().join("project/main.rs")).expect("the file is there")
    }
}

/// The configuration that is shipped, with another command.
fn shipped(command: &[String]) -> String {
    let path = workspace_root().join("editors/helix/languages.toml");
    let text = fs::read_to_string(path).expect("it is shipped");
    let ours = "command = \"lacuna\"\nargs = [\"lsp\"]\n";
    assert!(text.contains(ours), "how the server is started: {text}");
    // JSON strings and lists of them are TOML, too.
    text.replace(ours, &format!("command = {}\nargs = {}\n", json!(command[0]), json!(command[1..])))
}
