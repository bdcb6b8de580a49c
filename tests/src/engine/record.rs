//! What the timed engine was asked, as JSON lines that a test reads from outside of the server's process.

use lacuna_engine::InfillRequest;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Characters of the prefix's end and the suffix's start that are kept.
const EXCERPT_CHARS: usize = 200;

/// How an inference ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With candidates.
    Finished,
    /// Because nobody wanted it any more.
    Cancelled,
    /// With an error.
    Failed,
    /// With a panic.
    Panicked,
}

/// One inference, as written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// The end of the prefix.
    pub tail: String,
    /// The start of the suffix.
    pub head: String,
    /// All of the far context.
    pub context: String,
    /// What the new code is to do, where the request says.
    pub instruction: Option<String>,
    /// Candidates wanted, where the request says.
    pub candidates: Option<usize>,
    /// When it started, since the Unix epoch.
    pub started: Duration,
    /// When it ended, since the Unix epoch.
    pub ended: Option<Duration>,
    /// How it ended; `None` while it runs.
    pub end: Option<End>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
enum Line {
    Start {
        number: u64,
        at_us: u64,
        tail: String,
        head: String,
        context: String,
        instruction: Option<String>,
        candidates: Option<usize>,
    },
    End {
        number: u64,
        at_us: u64,
        end: End,
    },
}

/// Where the engine writes; may be nowhere.
#[derive(Debug)]
pub struct Record {
    file: Option<File>,
    next: Cell<u64>,
}

impl Record {
    /// Appends to a file: an engine that is loaded again goes on where the one before it stopped.
    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn open(path: Option<&Path>) -> Self {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let known = path.map_or(0, |path| if path.exists() { read_record(path).len() } else { 0 });
        Self {
            file: path.map(|path| open(path).expect("the record can be written")),
            next: Cell::new(known as u64),
        }
    }

    /// Notes that an inference starts.
    pub fn start(&self, request: &InfillRequest) -> Running<'_> {
        let number = self.next.replace(self.next.get() + 1);
        let skipped = request.prefix.chars().count().saturating_sub(EXCERPT_CHARS);
        self.write(&Line::Start {
            number,
            at_us: now_us(),
            tail: request.prefix.chars().skip(skipped).collect(),
            head: request.suffix.chars().take(EXCERPT_CHARS).collect(),
            context: request.context.clone(),
            instruction: request.instruction.clone(),
            candidates: request.sampling.candidates,
        });
        Running { record: self, number, ended: false }
    }

    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    fn write(&self, line: &Line) {
        if let Some(mut file) = self.file.as_ref() {
            let text = serde_json::to_string(line).expect("plain data");
            file.write_all(format!("{text}\n").as_bytes()).expect("the record can be written");
        }
    }
}

/// An inference that has not ended; dropped without an end it panicked.
#[derive(Debug)]
pub struct Running<'a> {
    record: &'a Record,
    number: u64,
    ended: bool,
}

impl Running<'_> {
    /// Notes how it ended.
    pub fn end(mut self, end: End) {
        self.ended = true;
        self.record.write(&Line::End { number: self.number, at_us: now_us(), end });
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.record.write(&Line::End { number: self.number, at_us: now_us(), end: End::Panicked });
        }
    }
}

/// Every inference of a record, oldest first; an absent file holds none.
///
/// # Panics
/// When it holds something else.
#[must_use]
#[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
pub fn read_record(path: &Path) -> Vec<Inference> {
    let mut inferences: BTreeMap<u64, Inference> = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        match serde_json::from_str(line).expect("a line of a record") {
            Line::Start { number, at_us, tail, head, context, instruction, candidates } => {
                let started = Duration::from_micros(at_us);
                let inference = Inference {
                    tail,
                    head,
                    context,
                    instruction,
                    candidates,
                    started,
                    ended: None,
                    end: None,
                };
                inferences.insert(number, inference);
            }
            Line::End { number, at_us, end } => {
                let inference = inferences.get_mut(&number).expect("an end follows its start");
                inference.ended = Some(Duration::from_micros(at_us));
                inference.end = Some(end);
            }
        }
    }
    inferences.into_values().collect()
}

/// Microseconds since the Unix epoch: the only clock that two processes share.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
