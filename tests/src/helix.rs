//! A real Helix in a terminal of its own (tmux), for an editor that has no inline completion: keys go in, the screen is
//! read back, and `lacuna-tee` records what the server is asked.
#![allow(clippy::expect_used, clippy::panic, reason = "a test helper: failing loudly is its job")]

use crate::client::{Direction, PATIENCE};
use crate::tee::{check_messages, messages, recorded};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;
use tempfile::TempDir;

/// The programs it takes.
#[derive(Debug)]
struct Programs {
    helix: PathBuf,
    tmux: PathBuf,
}

/// Whether the tests can run: `LACUNA_HX` (else `hx`) and `LACUNA_TMUX` (else `tmux`) start. If not, that is said loudly.
///
/// # Panics
/// When they do not start although `LACUNA_HX_REQUIRED` is 1.
#[must_use]
pub fn is_there() -> bool {
    programs().is_some()
}

fn programs() -> Option<&'static Programs> {
    static FOUND: OnceLock<Option<Programs>> = OnceLock::new();
    let find = || {
        let named = |variable: &str, default: &str| {
            let path = std::env::var_os(variable).filter(|path| !path.is_empty());
            PathBuf::from(path.unwrap_or_else(|| default.into()))
        };
        let programs = Programs { helix: named("LACUNA_HX", "hx"), tmux: named("LACUNA_TMUX", "tmux") };
        let starts = |program: &Path, argument: &str| {
            let mut command = Command::new(program);
            let quiet =
                command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            quiet.status().is_ok_and(|status| status.success())
        };
        if starts(&programs.helix, "--version") && starts(&programs.tmux, "-V") {
            return Some(programs);
        }
        let Programs { helix, tmux } = &programs;
        let line = format!(
            "SKIPPED: `{}` or `{}` does not start, the tests in Helix did not run",
            helix.display(),
            tmux.display()
        );
        assert!(std::env::var_os("LACUNA_HX_REQUIRED").is_none_or(|it| it != "1"), "{line}");
        // Written past the test runner's capture, so that whoever runs the tests sees it.
        let _ = writeln!(io::stderr(), "\n{line}");
        None
    };
    FOUND.get_or_init(find).as_ref()
}

/// A running Helix with one file open.
#[derive(Debug)]
pub struct Helix {
    programs: &'static Programs,
    folder: TempDir,
    file: PathBuf,
}

impl Helix {
    /// Opens a Rust file with this text at a line and column (from 1), and waits until the server's model is loaded.
    ///
    /// # Panics
    /// When [`is_there`] says no, and when it does not start.
    #[must_use]
    pub fn open(text: &str, line: usize, column: usize, tee: &str, server: &[&str]) -> Self {
        let programs = programs().expect("asked before");
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("project/.git")).expect("a folder can be made");
        fs::create_dir_all(path("config/helix")).expect("a folder can be made");
        let file = path("project/main.rs");
        fs::write(&file, text).expect("a file can be written");
        let command = recorded(tee, &path("traffic.jsonl"), server);
        // JSON strings and lists of them are TOML, too.
        let languages = format!(
            "[language-server.lacuna]\ncommand = {}\nargs = {}\n\n[[language]]\nname = \"rust\"\nlanguage-servers = [\"lacuna\"]\n",
            json!(command[0]),
            json!(command[1..])
        );
        fs::write(path("config/helix/languages.toml"), languages).expect("a file can be written");
        let helix = Self { programs, file, folder };
        let place = format!("{}:{line}:{column}", helix.file.display());
        let variable = |name: &str, value: &Path| format!("{name}={}", value.display());
        let config = variable("XDG_CONFIG_HOME", &helix.path("config"));
        let cache = variable("XDG_CACHE_HOME", &helix.path("cache"));
        let program = helix.programs.helix.display().to_string();
        helix.tmux(&[
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "40",
            "-e",
            &config,
            "-e",
            &cache,
            &program,
            &place,
        ]);
        helix.wait_for("the model", |helix| {
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
        self.path("traffic.jsonl")
    }

    /// Presses keys, in tmux's names: `Enter`, `C-x`.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types text as it is.
    pub fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// What the terminal shows.
    #[must_use]
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until `found` finds what it looks for.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`].
    pub fn wait_for<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "no sign of {what}:\n{}", self.screen());
        }
    }

    /// Waits until the screen is as wanted.
    pub fn wait_for_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        self.wait_for(what, |helix| wanted(&helix.screen()).then_some(()));
    }

    /// Writes the file and leaves; the file as it then is. The traffic is held against the specification.
    ///
    /// # Panics
    /// When Helix stays, or the server broke the protocol.
    pub fn write_and_quit(&self, name: &str) -> String {
        if !self.screen().contains(" NOR ") {
            self.press(&["Escape"]);
            // What follows an escape at once would be taken for a key with Alt.
            self.wait_for_screen("Normal mode", |screen| screen.contains(" NOR "));
        }
        self.type_text(":wq");
        self.press(&["Enter"]);
        self.wait_for("its end", |helix| (!helix.lives()).then_some(()));
        check_messages(&self.recording(), &format!("helix-{name}"));
        fs::read_to_string(&self.file).expect("the file is there")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lives(&self) -> bool {
        self.command(&["has-session"]).status().is_ok_and(|status| status.success())
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).stderr(Stdio::piped()).output().expect("tmux starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A command for a tmux that shares nothing with one that is running.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.tmux);
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(self.path("tmux"));
        command.args(arguments).env_remove("TMUX").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Helix {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}
