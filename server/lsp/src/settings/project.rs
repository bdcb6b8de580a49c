//! `lacuna.toml`: the settings a project brings along, at the root of a workspace folder.
//!
//! The file comes with a repository that its reader may not trust, so it can say how Lacuna works *in this project* and
//! nothing about the machine: it sets no `engine.*` (a path that gets parsed, memory, threads), no `log.*` (a path that gets
//! written, code in logs) and no `frames` (traffic with the editor). Its `files.exclude` is added to the user's list and
//! never replaces it, so that no repository can open the user's secrets to the model. What the editor sets wins over it.

use super::warning::Problem;
use serde_json::Value;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The name of the file.
pub const FILE_NAME: &str = "lacuna.toml";

/// Bytes the file may have.
const BYTES_MAX: u64 = 64 << 10;

/// Whether a project may set what `path` (section and key) names.
pub(super) fn may_set(path: &[&str]) -> bool {
    !matches!(path, ["engine" | "log", ..] | ["frames"])
}

/// The text of `lacuna.toml` in `folder`; `None` where there is none.
///
/// # Errors
/// It is there and cannot be read: no regular file, longer than 64 KiB, not UTF-8, or the system refuses.
pub fn read(folder: &Path) -> Result<Option<String>, Problem> {
    let unreadable = |reason: String| Problem::Unreadable { reason };
    let path = folder.join(FILE_NAME);
    match path.metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error.to_string())),
        // A link to a device or a pipe would never end.
        Ok(metadata) if !metadata.is_file() => return Err(unreadable("expected a regular file".to_owned())),
        Ok(_) => {}
    }
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(unreadable("expected UTF-8".to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
        Ok(bytes) if bytes as u64 > BYTES_MAX => {
            Err(unreadable(format!("expected at most {} KiB", BYTES_MAX >> 10)))
        }
        Ok(_) => Ok(Some(text)),
    }
}

/// The values that the text of a `lacuna.toml` holds.
///
/// # Errors
/// It is not TOML. The reason names the line and never quotes the file, which may be a link to something private.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    toml::from_str(text).map_err(|error| {
        let line =
            error.span().map(|span| text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1);
        let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Problem::Unreadable { reason: format!("{at}{}", error.message()) }
    })
}
