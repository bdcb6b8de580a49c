//! The server as a child process: two threads move its pipes, so that no wait here can block for ever.

use super::traffic::Direction;
use crate::wire;
use serde_json::Value;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test fails: far above what is normal on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables on top of the test's own.
    pub env: Vec<(String, String)>,
    /// A folder that must be there as long as the server runs.
    pub folder: Option<Arc<TempDir>>,
}

/// What the process did.
#[derive(Debug)]
pub enum Event {
    /// It sent a message.
    Message(Value, Instant),
    /// Its output ended: with the reason if that was not clean.
    End(Option<String>),
}

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<Sender<Vec<u8>>>,
    output: Receiver<Event>,
    errors: Arc<Mutex<String>>,
    _folder: Option<Arc<TempDir>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    #[expect(clippy::panic, clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn start(launch: &Launch) -> Self {
        let mut child = Command::new(&launch.program)
            .args(&launch.args)
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", launch.program.display()));
        let input = writer(child.stdin.take().expect("piped"));
        let output = reader(child.stdout.take().expect("piped"));
        let errors = collector(child.stderr.take().expect("piped"));
        Self { child, input: Some(input), output, errors, _folder: launch.folder.clone() }
    }

    /// Queues bytes for its standard input; never blocks.
    pub fn send(&self, bytes: Vec<u8>) {
        if let Some(input) = &self.input {
            // A server that ended is noticed where the test waits for it.
            let _ = input.send(bytes);
        }
    }

    /// Closes its standard input once everything queued is written.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// What it does next, if it does anything before `deadline`.
    #[must_use]
    pub fn next(&self, deadline: Instant) -> Option<Event> {
        match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Event::End(None)),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn errors(&self) -> String {
        self.errors.lock().map(|errors| errors.clone()).unwrap_or_default()
    }

    /// Waits for its end, which must come by itself; the exit code, `None` when a signal ended it.
    ///
    /// # Panics
    /// When it does not end.
    #[expect(clippy::panic, reason = "a test helper: failing loudly is its job")]
    pub fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        // Its output ends no later than the process, so this waits for the event instead of asking again and again.
        while let Some(event) = self.next(deadline) {
            if matches!(event, Event::End(_)) {
                break;
            }
        }
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            thread::yield_now();
        }
        panic!("the server did not end by itself; it wrote: {}", self.errors())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn writer(mut stdin: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, receiver) = channel::<Vec<u8>>();
    thread::spawn(move || {
        for bytes in receiver {
            if stdin.write_all(&bytes).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

fn reader(stdout: impl Read + Send + 'static) -> Receiver<Event> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let end = loop {
            let body = match wire::read_frame(&mut stdout) {
                Ok(Some(body)) => body,
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            };
            let at = Instant::now();
            let event = match serde_json::from_slice(&body) {
                Ok(message) => Event::Message(message, at),
                Err(error) => break Some(format!("{} sent no JSON: {error}", Direction::ToClient.name())),
            };
            if sender.send(event).is_err() {
                return;
            }
        };
        let _ = sender.send(Event::End(end));
    });
    receiver
}

fn collector(mut stderr: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let errors = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&errors);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = stderr.read(&mut buffer) {
            if count == 0 {
                return;
            }
            if let Ok(mut errors) = shared.lock() {
                errors.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    });
    errors
}
