//! Cases that run in a real Neovim: where one is, how a case runs, and what its server said meanwhile.
//!
//! The cases themselves are Lua, in `tests/neovim`: a headless Neovim drives another one, which has a screen and gets keys
//! as from a person. Between that one and the server stands `lacuna-tee`, which records the traffic.

use crate::engine::{SCRIPT_VARIABLE, Script};
use crate::tee::{check_recording, recorded};
use crate::workspace_root;
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The first Neovim with `vim.lsp.inline_completion`.
const VERSION_MIN: (u32, u32) = (0, 12);

/// The Neovim that `LACUNA_NVIM` names, else that on the `PATH`; `None`, loudly, where there is none that is new enough.
///
/// # Panics
/// When there is none although `LACUNA_NVIM_REQUIRED` is 1.
#[must_use]
pub fn neovim() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let named = std::env::var_os("LACUNA_NVIM").filter(|path| !path.is_empty());
        let path = PathBuf::from(named.unwrap_or_else(|| "nvim".into()));
        if version(&path).is_some_and(|version| version >= VERSION_MIN) {
            return Some(path);
        }
        let (major, minor) = VERSION_MIN;
        let line = format!(
            "SKIPPED: `{}` is no Neovim {major}.{minor} or newer, its tests did not run",
            path.display()
        );
        assert!(std::env::var_os("LACUNA_NVIM_REQUIRED").is_none_or(|it| it != "1"), "{line}");
        // Written past the test runner's capture, so that whoever runs the tests sees it.
        let _ = writeln!(io::stderr(), "\n{line}");
        None
    };
    FOUND.get_or_init(find).as_deref()
}

/// Major and minor version; `None` when it does not start or says something else.
fn version(neovim: &Path) -> Option<(u32, u32)> {
    let output = Command::new(neovim).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.strip_prefix("NVIM v")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Runs a case of `tests/neovim/cases`; skips it where there is no Neovim. `server` is what Neovim starts, `code` what
/// that must end with, `script` what an engine plays that plays scripts.
///
/// # Panics
/// When the case fails, when the server broke the protocol or ended otherwise.
#[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
pub fn run_case(case: &str, tee: &str, server: &[&str], code: i32, script: Option<&Script>) {
    let Some(neovim) = neovim() else { return };
    let folder = TempDir::new().expect("a temporary folder");
    let recording = folder.path().join("traffic.jsonl");
    let output = Command::new(neovim)
        .args(["--clean", "-l"])
        .arg(workspace_root().join("tests/neovim/run.lua"))
        .arg(case)
        .env("LACUNA_NVIM", neovim)
        .env(SCRIPT_VARIABLE, json!(script).to_string())
        .env("LACUNA_TEST_FOLDER", folder.path().join("project"))
        .env("LACUNA_TEST_SERVER", json!(recorded(tee, &recording, server)).to_string())
        .stdin(Stdio::null())
        .output()
        .expect("Neovim starts");
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    check_recording(&recording, &format!("neovim-{case}"), code);
}
