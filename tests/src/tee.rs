//! What `lacuna-tee` writes down of a conversation between an editor and a server, and what a test makes of it.
//!
//! One JSON line a message, `{"dir": "c2s" | "s2c", "msg": message}`; the last one, `{"exit": code}`, says how the server
//! ended.

use crate::client::{Direction, PATIENCE};
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

/// Holds a recording to what every conversation must be, [`check_messages`], and the server's end to `code`.
///
/// # Panics
/// When it was otherwise; also when the server has not ended within [`PATIENCE`].
pub fn check_recording(recording: &Path, name: &str, code: i32) {
    let deadline = Instant::now() + PATIENCE;
    let exit = loop {
        if let Some(exit) = lines(recording).pop().filter(|line| line.get("exit").is_some()) {
            break exit;
        }
        assert!(Instant::now() < deadline, "the server of {name} did not end");
        thread::yield_now();
    };
    check_messages(recording, name);
    let messages = messages(recording);
    let requests = unanswered(&messages);
    assert!(requests.is_empty(), "{name}: requests without an answer: {requests:?}");
    assert_eq!(exit, json!({"exit": code}), "{name}: how the server ended");
}

/// Holds a recording to the specification. Where `LACUNA_TRAFFIC` names a folder, the recording is kept there under `name`.
///
/// # Panics
/// When the server broke the protocol.
#[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
pub fn check_messages(recording: &Path, name: &str) {
    if let Some(folder) = std::env::var_os("LACUNA_TRAFFIC").filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder).expect("the folder of recordings can be made");
        fs::copy(recording, folder.join(format!("{name}.jsonl"))).expect("the recording can be kept");
    }
    if let Some(model) = MetaModel::from_environment() {
        let mut found = model.check_traffic(messages(recording));
        found.retain(|violation| violation.direction == Direction::ToClient);
        assert!(found.is_empty(), "{name}: the server broke the protocol: {found:#?}");
    }
}

/// The messages so far.
#[must_use]
pub fn messages(recording: &Path) -> Vec<(Direction, Value)> {
    lines(recording).into_iter().filter_map(message).collect()
}

/// The answers to a method so far, each the whole message, oldest first.
#[must_use]
pub fn answers(recording: &Path, method: &str) -> Vec<Value> {
    let messages = messages(recording);
    let asked = |(direction, message): &&(Direction, Value)| {
        *direction == Direction::ToServer && message["method"] == method
    };
    let ids: Vec<&Value> = messages.iter().filter(asked).map(|(_, message)| &message["id"]).collect();
    let answers = messages.iter().filter(|message| is_answer(message) && ids.contains(&&message.1["id"]));
    answers.map(|(_, message)| message.clone()).collect()
}

fn lines(recording: &Path) -> Vec<Value> {
    let text = fs::read_to_string(recording).unwrap_or_default();
    // The line that is being written is not whole yet.
    text.lines().map(serde_json::from_str).map_while(Result::ok).collect()
}

/// Whether it is an answer of the server.
fn is_answer((direction, message): &(Direction, Value)) -> bool {
    *direction == Direction::ToClient && message.get("method").is_none()
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
    let answers = messages.iter().filter(|message| is_answer(message));
    let answered: Vec<&Value> = answers.map(|(_, message)| &message["id"]).collect();
    let asked = messages.iter().filter(|(direction, message)| {
        *direction == Direction::ToServer && message.get("method").is_some() && message.get("id").is_some()
    });
    asked.map(|(_, message)| message).filter(|message| !answered.contains(&&message["id"])).collect()
}
