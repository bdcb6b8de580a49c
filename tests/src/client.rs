//! A scripted language client over real pipes to a real server process.
//!
//! It is synchronous: a test sends, then waits for the message it wants. Every wait has a deadline and fails with what
//! the server wrote to standard error; nothing sleeps. All traffic is recorded and, when the client goes, held against
//! the meta model of the protocol.
#![allow(clippy::expect_used, clippy::panic, reason = "a test helper: failing loudly is its job")]

mod asking;
mod document;
mod editing;
mod process;
mod replies;
mod setup;
mod traffic;

pub use asking::Trigger;
pub use document::{Document, Encoding};
pub use process::{Launch, PATIENCE};
pub use replies::Edits;
pub use setup::Setup;
pub use traffic::Direction;

use process::{Event, Process};
use replies::Replies;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};
use traffic::Recording;

/// The error of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// JSON-RPC or LSP error code.
    pub code: i64,
    /// What it says to a person.
    pub message: String,
}

/// A response, and how long after its request it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The result or the error.
    pub result: Result<Value, Refusal>,
    /// Time from queueing the request to the arrival of the response.
    pub after: Duration,
}

impl Response {
    /// The error code, 0 for a result.
    #[must_use]
    pub fn code(&self) -> i64 {
        self.result.as_ref().err().map_or(0, |refusal| refusal.code)
    }
}

/// A client and the server it talks to.
#[derive(Debug)]
pub struct Client {
    process: Process,
    recording: Recording,
    encoding: Encoding,
    documents: BTreeMap<String, Document>,
    replies: Replies,
    next_id: i64,
    sent: HashMap<i64, Instant>,
    responses: HashMap<i64, Response>,
    /// Errors that belong to no request (`"id": null`), oldest first.
    nameless: VecDeque<Refusal>,
    notifications: VecDeque<Value>,
    /// Whether the server's output has ended.
    ended: bool,
    /// Whether answers to ids that this client never sent are dropped.
    tolerant: bool,
}

impl Client {
    /// Starts a server; nothing is sent yet.
    #[must_use]
    pub fn start(launch: &Launch) -> Self {
        Self {
            process: Process::start(launch),
            recording: Recording::start(),
            encoding: Encoding::Utf16,
            documents: BTreeMap::new(),
            replies: Replies::default(),
            next_id: 1,
            sent: HashMap::new(),
            responses: HashMap::new(),
            nameless: VecDeque::new(),
            notifications: VecDeque::new(),
            ended: false,
            tolerant: false,
        }
    }

    /// Sends a request; its id.
    pub fn request(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        self.sent.insert(id, Instant::now());
        self.post(&message);
        id
    }

    /// Sends a request and waits for its response.
    pub fn call(&mut self, method: &str, params: Value) -> Response {
        let id = self.request(method, params);
        self.response(id)
    }

    /// Sends a request that must succeed; its result.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        match self.call(method, params).result {
            Ok(result) => result,
            Err(refusal) => panic!("{method} was refused: {refusal:?}; {}", self.process.errors()),
        }
    }

    /// Runs a command of the server; its result.
    pub fn command(&mut self, command: &str, arguments: Value) -> Value {
        self.ask("workspace/executeCommand", json!({"command": command, "arguments": arguments}))
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: Value) {
        let mut message = json!({"jsonrpc": "2.0", "method": method});
        if !params.is_null() {
            message["params"] = params;
        }
        self.post(&message);
    }

    /// Cancels a request.
    pub fn cancel(&mut self, id: i64) {
        self.notify("$/cancelRequest", json!({"id": id}));
    }

    /// Sends a message as it is.
    pub fn message(&mut self, message: &Value) {
        self.post(message);
    }

    /// Sends bytes as they are; they are not recorded.
    pub fn raw(&mut self, bytes: Vec<u8>) {
        self.process.send(bytes);
    }

    /// Expects a response to an id that was sent raw.
    pub fn expect_id(&mut self, id: i64) {
        self.sent.insert(id, Instant::now());
    }

    /// Drops answers to ids that this client never sent, and errors without one: for a test that sends anything.
    /// Its own ids go on from a million.
    pub const fn tolerate_strangers(&mut self) {
        self.tolerant = true;
        self.next_id = 1_000_000;
    }

    /// Waits for the response to a request.
    pub fn response(&mut self, id: i64) -> Response {
        self.wait_until(&format!("the response to request {id}"), |client| client.responses.remove(&id))
    }

    /// The response to a request if it has arrived already.
    pub fn arrived(&mut self, id: i64) -> Option<Response> {
        self.responses.remove(&id)
    }

    /// Waits for an error that belongs to no request; its code.
    pub fn nameless_error(&mut self) -> Refusal {
        self.wait_until("an error with a null id", |client| client.nameless.pop_front())
    }

    /// Waits for a notification, or takes the first one of those that came before; its params.
    pub fn notification(&mut self, method: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_until(&format!("a notification {method}"), |client| {
            let fits = |message: &Value| message["method"] == method && wanted(&message["params"]);
            let index = client.notifications.iter().position(fits)?;
            client.notifications.remove(index).map(|mut message| message["params"].take())
        })
    }

    /// Takes all notifications of a method that have arrived; their params.
    pub fn notifications(&mut self, method: &str) -> Vec<Value> {
        let (wanted, rest): (VecDeque<Value>, _) =
            self.notifications.drain(..).partition(|message| message["method"] == method);
        self.notifications = rest;
        wanted.into_iter().map(|mut message| message["params"].take()).collect()
    }

    /// Waits until the server has asked for this at least so many times.
    pub fn server_asks(&mut self, method: &str, times: usize) {
        self.wait_until(&format!("{times} requests {method} of the server"), |client| {
            (client.replies.of(method).len() >= times).then_some(())
        });
    }

    /// What the client answers when the server asks it something.
    pub fn replies(&mut self) -> &mut Replies {
        &mut self.replies
    }

    /// The encoding that was agreed upon.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The server's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Closes the pipe to the server.
    pub fn close_input(&mut self) {
        self.process.close_input();
    }

    /// Waits for the server to end by itself; its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.wait_until("the end of the server", |client| client.ended.then_some(()));
        self.process.wait()
    }

    /// Ends the server as the specification says; its exit code.
    pub fn shut_down(&mut self) -> Option<i32> {
        self.ask("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        self.exit_code()
    }

    /// Reads messages until `done` has its answer.
    ///
    /// # Panics
    /// When that takes longer than [`PATIENCE`], or the server ends first.
    fn wait_until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = done(self) {
                return found;
            }
            let ended = self.ended;
            match self.process.next(deadline) {
                Some(Event::Message(message, at)) => self.take(message, at),
                Some(Event::End(None)) if !ended => self.ended = true,
                Some(Event::End(reason)) => {
                    let errors = self.process.errors();
                    panic!(
                        "the server's output ended ({reason:?}) while waiting for {what}; it wrote: {errors}"
                    )
                }
                None => panic!("no sign of {what} within {PATIENCE:?}; it wrote: {}", self.process.errors()),
            }
        }
    }

    fn post(&mut self, message: &Value) {
        self.recording.add(Direction::ToServer, message);
        self.process.send(crate::wire::frame_json(message));
    }

    /// Files one message from the server.
    fn take(&mut self, message: Value, at: Instant) {
        let named = message.get("method").is_some();
        if self.tolerant && !named && !message["id"].as_i64().is_some_and(|id| self.sent.contains_key(&id)) {
            // An answer to something raw: that is not in the recording, so this would make no sense there.
            return;
        }
        self.recording.add(Direction::ToClient, &message);
        match (named, message.get("id")) {
            (true, Some(_)) => {
                let answer = self.answer(&message);
                self.post(&answer);
            }
            (true, None) => self.notifications.push_back(message),
            (false, Some(id)) => match id.as_i64() {
                Some(id) => {
                    let sent = self.sent.remove(&id);
                    let sent = sent.unwrap_or_else(|| panic!("an answer nobody waits for: {message}"));
                    let after = at.saturating_duration_since(sent);
                    self.responses.insert(id, Response { result: result(&message), after });
                }
                None => self.nameless.extend(result(&message).err()),
            },
            (false, None) => panic!("neither a request nor a response: {message}"),
        }
    }
}

fn result(message: &Value) -> Result<Value, Refusal> {
    match message.get("error") {
        None => Ok(message["result"].clone()),
        Some(error) => Err(Refusal {
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        }),
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(violations) = self.recording.violations() {
            assert!(violations.is_empty(), "the server broke the protocol: {violations:#?}");
        }
    }
}
