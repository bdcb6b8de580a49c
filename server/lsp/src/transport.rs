//! Standard input to the service, the service's answers to standard output.
//!
//! Not the fork's own `Server`: that one ends at the first malformed message and queues at most 100. Here one thread
//! reads and calls the service in the order of arrival, each call then runs as a task of its own, so that one that
//! panics answers an error and none waits for another; one thread writes.

pub mod frames;

use crate::front::Front;
use frames::{Frame, Frames};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufWriter, Write};
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tower::Service;
use tower_lsp::ClientSocket;
use tower_lsp::jsonrpc::{Error, ErrorCode, Id, Request, Response};

/// Messages that wait to be written; who has more to say waits.
const OUTGOING_MAX: usize = 256;

/// Where serialised messages are sent to be written.
pub type Outgoing = mpsc::Sender<Vec<u8>>;

/// Starts the thread that writes what comes to the sender; it ends when every sender is gone.
pub fn spawn_writer(output: impl Write + Send + 'static) -> io::Result<(Outgoing, thread::JoinHandle<()>)> {
    let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(OUTGOING_MAX);
    let writer = thread::Builder::new().name("lacuna-writer".to_owned()).spawn(move || {
        let mut output = BufWriter::new(output);
        while let Some(body) = receiver.blocking_recv() {
            let mut written = frames::write(&mut output, &body);
            // What is already waiting goes out in the same system call.
            while let (Ok(()), Ok(body)) = (&written, receiver.try_recv()) {
                written = frames::write(&mut output, &body);
            }
            if written.and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    })?;
    Ok((sender, writer))
}

/// Reads messages and runs the service until `exit` or the end of the input.
pub struct Transport {
    front: Front,
    outgoing: Outgoing,
    runtime: Handle,
    /// Answers to requests that the server made; one is gone as soon as the task behind it is polled.
    answers: mpsc::UnboundedSender<Response>,
    panics: Arc<AtomicU64>,
}

impl Transport {
    /// Connects the service and its client side to the writer. `panics` counts handlers that panicked.
    pub fn new(
        front: Front,
        socket: ClientSocket,
        outgoing: Outgoing,
        runtime: Handle,
        panics: Arc<AtomicU64>,
    ) -> Self {
        let (mut requests, mut sink) = socket.split();
        let (answers, mut answered) = mpsc::unbounded_channel();
        let out = outgoing.clone();
        runtime.spawn(async move {
            while let Some(request) = requests.next().await {
                send(&out, &request).await;
            }
        });
        runtime.spawn(async move {
            while let Some(response) = answered.recv().await {
                if sink.send(response).await.is_err() {
                    return;
                }
            }
        });
        Self { front, outgoing, runtime, answers, panics }
    }

    /// Serves until `exit` or the end of the input.
    pub fn run(mut self, input: impl BufRead) {
        let mut frames = Frames::new(input);
        loop {
            match frames.read() {
                Ok(Some(Frame::Body(body))) => {
                    if self.message(&body).is_break() {
                        return;
                    }
                }
                Ok(Some(Frame::Fault(fault))) => {
                    tracing::warn!(%fault, "skipped input");
                    let code = match fault {
                        frames::Fault::TooLong(_) => ErrorCode::InvalidRequest,
                        _ => ErrorCode::ParseError,
                    };
                    self.refuse(Id::Null, code, fault.to_string());
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "standard input cannot be read");
                    return;
                }
            }
        }
    }

    fn message(&mut self, body: &[u8]) -> ControlFlow<()> {
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(error) => {
                self.refuse(Id::Null, ErrorCode::ParseError, format!("the message is not JSON: {error}"));
                return ControlFlow::Continue(());
            }
        };
        let id = value.get("id").and_then(|id| serde_json::from_value::<Id>(id.clone()).ok());
        let is_response = value.get("method").is_none()
            && (value.get("result").is_some() || value.get("error").is_some())
            && id.is_some();
        if is_response {
            if let Ok(response) = serde_json::from_value(value) {
                let _ = self.answers.send(response);
            }
            return ControlFlow::Continue(());
        }
        match serde_json::from_value::<Request>(value) {
            Ok(request) if !request.method().is_empty() => self.call(request),
            _ => {
                let why = "the message is no JSON-RPC request, notification or response".to_owned();
                self.refuse(id.unwrap_or(Id::Null), ErrorCode::InvalidRequest, why);
                ControlFlow::Continue(())
            }
        }
    }

    fn call(&mut self, request: Request) -> ControlFlow<()> {
        let exits = request.method() == "exit";
        // Short. Some clients wait for no answer: what they send next finds the server ready, and the end of the stream
        // finds it shut down. A cancellation waits behind no other task.
        let at_once = exits || matches!(request.method(), "initialize" | "shutdown" | "$/cancelRequest");
        let id = request.id().cloned();
        // What the front does in order of arrival happens in `call`; a defect there must not end the server either.
        let panics = Arc::clone(&self.panics);
        let future = match std::panic::catch_unwind(AssertUnwindSafe(|| self.front.call(request))) {
            Ok(future) => future,
            Err(_) => {
                panics.fetch_add(1, Ordering::Relaxed);
                if let Some(id) = id {
                    self.refuse(id, ErrorCode::InternalError, PANICKED.to_owned());
                }
                return ControlFlow::Continue(());
            }
        };
        let outgoing = self.outgoing.clone();
        let task = async move {
            let answer = match AssertUnwindSafe(future).catch_unwind().await {
                Ok(answer) => answer.ok().flatten(),
                Err(_) => {
                    panics.fetch_add(1, Ordering::Relaxed);
                    id.map(|id| {
                        Response::from_error(id, error(ErrorCode::InternalError, PANICKED.to_owned()))
                    })
                }
            };
            if let Some(answer) = answer {
                send(&outgoing, &answer).await;
            }
        };
        if at_once {
            self.runtime.block_on(task);
        } else {
            self.runtime.spawn(task);
        }
        if exits { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn refuse(&self, id: Id, code: ErrorCode, message: String) {
        let response = Response::from_error(id, error(code, message));
        let outgoing = self.outgoing.clone();
        self.runtime.spawn(async move { send(&outgoing, &response).await });
    }
}

const PANICKED: &str =
    "an internal error (a defect in Lacuna); the server goes on, please report it with the log";

fn error(code: ErrorCode, message: String) -> Error {
    Error { code, message: message.into(), data: None }
}

async fn send(outgoing: &Outgoing, message: &impl serde::Serialize) {
    let body = serde_json::to_vec(message).unwrap_or_else(|failure| {
        tracing::error!(%failure, "a message could not be serialised");
        json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32603, "message": failure.to_string()}})
            .to_string()
            .into_bytes()
    });
    let _ = outgoing.send(body).await;
}
