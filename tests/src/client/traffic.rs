//! Records what goes over the wire, one JSON line a message, and holds it against the meta model of LSP at the end.
//!
//! Lines are `{"dir": "c2s" | "s2c", "ts": seconds, "msg": message}`. They go to the folder named by `LACUNA_TRAFFIC`,
//! else to a temporary one. Bytes that a test sends raw are no message and are left out; a string of more than a
//! mebibyte is cut, so that a test with a huge document does not leave a huge recording.

use crate::meta_model::{MetaModel, Violation};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const STRING_BYTES_MAX: usize = 1 << 20;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    ToServer,
    /// Server to client.
    ToClient,
}

impl Direction {
    /// The word for it in a recording.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToServer => "c2s",
            Self::ToClient => "s2c",
        }
    }
}

/// An open recording.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    lines: BufWriter<File>,
    /// Removed when the recording goes, unless a folder was named.
    _temporary: Option<TempDir>,
}

impl Recording {
    /// A new file, named after the running test.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn start() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let named = std::env::var_os("LACUNA_TRAFFIC").filter(|folder| !folder.is_empty());
        let temporary = named.is_none().then(|| TempDir::new().expect("a temporary folder"));
        let folder = named.map_or_else(
            || temporary.as_ref().map_or_else(PathBuf::new, |it| it.path().to_path_buf()),
            PathBuf::from,
        );
        fs::create_dir_all(&folder).expect("the folder of recordings can be made");
        let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let path = folder.join(format!("{test}-{}-{number}.jsonl", std::process::id()));
        let lines = BufWriter::new(File::create(&path).expect("a recording can be written"));
        Self { path, lines, _temporary: temporary }
    }

    /// Appends a message.
    ///
    /// # Panics
    /// When the disk is full.
    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn add(&mut self, direction: Direction, message: &Value) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut line = json!({"dir": direction.name(), "ts": seconds, "msg": message});
        cut_strings(&mut line);
        // Flushed, so that it tells of a server that hangs too.
        writeln!(self.lines, "{line}").and_then(|()| self.lines.flush()).expect("a recording can be written");
    }

    /// What the server broke of the specification; `None` without a meta model to hold it against.
    ///
    /// # Panics
    /// When the recording cannot be read back.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn violations(&mut self) -> Option<Vec<Violation>> {
        self.lines.flush().expect("a recording can be written");
        let model = MetaModel::from_environment()?;
        Some(of_server(model, &self.path))
    }
}

/// What the server broke in a recording.
#[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
fn of_server(model: &MetaModel, recording: &Path) -> Vec<Violation> {
    let file = File::open(recording).expect("a recording can be read");
    let messages = BufReader::new(file).lines().map(|line| {
        let mut line: Value = serde_json::from_str(&line.expect("UTF-8")).expect("one JSON value a line");
        let direction = if line["dir"] == "c2s" { Direction::ToServer } else { Direction::ToClient };
        (direction, line["msg"].take())
    });
    let found = model.check_traffic(messages);
    found.into_iter().filter(|violation| violation.direction == Direction::ToClient).collect()
}

fn cut_strings(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > STRING_BYTES_MAX => {
            *text = format!("{}… ({} bytes)", text.chars().take(64).collect::<String>(), text.len());
        }
        Value::Array(items) => items.iter_mut().for_each(cut_strings),
        Value::Object(fields) => fields.values_mut().for_each(cut_strings),
        _ => {}
    }
}
