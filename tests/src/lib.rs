//! What the end-to-end tests share: where the workspace is, how to run the real binary over real pipes, a scripted
//! language client, an engine that plays a script, and the check of recorded traffic against the specification.

pub mod client;
pub mod emacs;
pub mod engine;
pub mod fuzz;
pub mod helix;
pub mod meta_model;
pub mod neovim;
pub mod rng;
pub mod servers;
pub mod tee;
pub mod terminal;
pub mod timing;
pub mod wire;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The folder that holds the workspace's `Cargo.toml`.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map_or_else(|| tests.to_path_buf(), Path::to_path_buf)
}

/// The `lacuna` binary, built once per test run with the profile of the tests.
///
/// # Panics
/// When it does not build: then no end-to-end test can say anything.
#[must_use]
pub fn lacuna_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

#[expect(clippy::expect_used, clippy::panic, reason = "a test helper: failing loudly is its job")]
fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "-p", "lacuna-cli", "--message-format=json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.current_dir(workspace_root()).stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "the binary does not build");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in lines.lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if message["target"]["name"] == "lacuna"
            && let Some(executable) = message["executable"].as_str()
        {
            return PathBuf::from(executable);
        }
    }
    panic!("cargo built no binary called lacuna")
}

/// One finished run of the binary.
#[derive(Debug)]
pub struct Run {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `lacuna` with `args` in `folder`, piped, without colours, and waits for its end.
///
/// # Panics
/// When the process cannot be started.
#[must_use]
#[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
pub fn lacuna(folder: &Path, args: &[&str]) -> Run {
    let output: Output = Command::new(lacuna_binary())
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The path of a committed fixture.
#[must_use]
pub fn fixture(path: &str) -> PathBuf {
    workspace_root().join("fixtures").join(path)
}

/// Says a line to whoever runs the tests, past the runner's capture: for figures and for what was skipped.
pub fn say(line: &str) {
    let mut stderr = std::io::stderr();
    // Nobody there to read it is no reason to fail.
    let _ = writeln!(stderr, "{line}");
}
