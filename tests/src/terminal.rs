//! A terminal for editors that want one (tmux): keys go in as a person presses them, the screen is read back.
#![allow(clippy::expect_used, reason = "a test helper: failing loudly is its job")]

use crate::client::PATIENCE;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program in a terminal of its own, ended with it.
#[derive(Debug)]
pub struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
}

impl Terminal {
    /// Starts a program in a terminal of 120 by 40, with these variables beside the usual ones.
    ///
    /// # Panics
    /// When tmux does not.
    #[must_use]
    pub fn start(folder: &Path, variables: &[(&str, String)], command: &[&str]) -> Self {
        let terminal = Self { tmux: tmux(), socket: folder.join("tmux") };
        let variables: Vec<String> =
            variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments = vec!["new-session", "-d", "-x", "120", "-y", "40"];
        for variable in &variables {
            arguments.extend(["-e", variable]);
        }
        arguments.extend(command);
        terminal.tmux(&arguments);
        terminal
    }

    /// Presses keys, in tmux's names: `Enter`, `C-x`.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types text as it is.
    pub fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// What it shows.
    #[must_use]
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until `found` finds what it looks for.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`].
    pub fn wait_for<T>(&self, what: &str, found: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < deadline, "no sign of {what}:\n{}", self.screen());
        }
    }

    /// Waits until the screen is as wanted.
    pub fn wait_for_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        self.wait_for(what, || wanted(&self.screen()).then_some(()));
    }

    /// Waits until the program has ended.
    pub fn wait_for_end(&self) {
        self.wait_for("its end", || (!self.lives()).then_some(()));
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
        let mut command = Command::new(&self.tmux);
        command.args(["-u", "-f", "/dev/null", "-S"]).arg(&self.socket);
        command.args(arguments).env_remove("TMUX").env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

/// The tmux that `LACUNA_TMUX` names, else that on the `PATH`.
#[must_use]
pub fn tmux() -> PathBuf {
    named("LACUNA_TMUX", "tmux")
}

/// The program that a variable names, else that on the `PATH`.
#[must_use]
pub fn named(variable: &str, default: &str) -> PathBuf {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    PathBuf::from(path.unwrap_or_else(|| default.into()))
}

/// Whether a program ends well with these arguments.
#[must_use]
pub fn runs(program: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let quiet = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
