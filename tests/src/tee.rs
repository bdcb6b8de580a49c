//! What `lacuna-tee` writes down of a conversation between an editor and a server, and what a test makes of it.
//!
//! One JSON line a message, `{"dir": "c2s" | "s2c", "msg": message}`; the last one, `{"exit": code}`, says how the server
//! ended.

use crate::client::Direction;
use crate::meta_model::MetaModel;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// A recording that both directions write to.
#[derive(Debug)]
pub struct Recorder(Mutex<File>);

impl Recorder {
    /// A new recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Mutex::new).map(Self)
    }

    /// Adds the body of a message.
    ///
    /// # Errors
    /// When it is no JSON or cannot be written.
    pub fn message(&self, direction: Direction, body: &[u8]) -> io::Result<()> {
        let message: Value = serde_json::from_slice(body)?;
        self.line(&json!({"dir": direction.name(), "msg": message}))
    }

    /// Adds how the server ended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, code: Option<i32>) -> io::Result<()> {
        self.line(&json!({"exit": code}))
    }

    fn line(&self, line: &Value) -> io::Result<()> {
        writeln!(self.0.lock().unwrap_or_else(PoisonError::into_inner), "{line}")
    }
}

/// What starts a server that is recorded: a program and its arguments.
#[must_use]
pub fn recorded(tee: &str, recording: &Path, server: &[&str]) -> Vec<String> {
    let mut command = vec![tee.to_owned(), recording.display().to_string()];
    command.extend(server.iter().map(|&part| part.to_owned()));
    command
}

/// Holds a recording to what every conversation must be: the server ended by itself with `code`, never broke the protocol
/// and answered every request. Where `LACUNA_TRAFFIC` names a folder, the recording is kept there under `name`.
///
/// # Panics
/// When it was none of that; also when the server has not ended within [`crate::client::PATIENCE`].
#[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
pub fn check_recording(recording: &Path, name: &str, code: i32) {
    let deadline = Instant::now() + crate::client::PATIENCE;
    let lines = loop {
        let text = fs::read_to_string(recording).unwrap_or_default();
        let parsed = text.lines().map(serde_json::from_str::<Value>);
        // The line that is being written is not whole yet.
        let lines: Vec<Value> = parsed.map_while(Result::ok).collect();
        if lines.last().is_some_and(|line| line.get("exit").is_some()) {
            break lines;
        }
        assert!(Instant::now() < deadline, "the server of {name} did not end: {:?}", lines.last());
        thread::yield_now();
    };
    if let Some(folder) = std::env::var_os("LACUNA_TRAFFIC").filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).expect("the folder of recordings can be made");
        fs::copy(recording, folder.join(format!("{name}.jsonl"))).expect("the recording can be kept");
    }
    assert_eq!(lines.last(), Some(&json!({"exit": code})), "{name}: how the server ended");
    let messages: Vec<(Direction, Value)> = lines.into_iter().filter_map(message).collect();
    let unanswered = unanswered(&messages);
    assert!(unanswered.is_empty(), "{name}: requests without an answer: {unanswered:?}");
    if let Some(model) = MetaModel::from_environment() {
        let mut found = model.check_traffic(messages);
        found.retain(|violation| violation.direction == Direction::ToClient);
        assert!(found.is_empty(), "{name}: the server broke the protocol: {found:#?}");
    }
}

fn message(mut line: Value) -> Option<(Direction, Value)> {
    let direction = match line["dir"].as_str()? {
        "c2s" => Direction::ToServer,
        _ => Direction::ToClient,
    };
    Some((direction, line["msg"].take()))
}

/// Requests of the editor that the server never answered.
fn unanswered(messages: &[(Direction, Value)]) -> Vec<&Value> {
    let answers: Vec<&Value> = messages
        .iter()
        .filter(|(direction, message)| *direction == Direction::ToClient && message.get("method").is_none())
        .map(|(_, message)| &message["id"])
        .collect();
    let asked = messages.iter().filter(|(direction, message)| {
        *direction == Direction::ToServer && message.get("method").is_some() && message.get("id").is_some()
    });
    asked.map(|(_, message)| message).filter(|message| !answers.contains(&&message["id"])).collect()
}
