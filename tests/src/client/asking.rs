//! Asking for proposals, and what a document becomes when one is accepted.

use super::{Client, PATIENCE, Response};
use crate::client::process::Event;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How an inline completion came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A person asked for it.
    Invoked = 1,
    /// By typing.
    Automatic = 2,
}

impl Client {
    /// Sends a request for inline completions at a byte; its id.
    pub fn request_inline(&mut self, uri: &str, byte: usize, trigger: Trigger) -> i64 {
        let params = self.inline_params(uri, byte, trigger);
        self.request("textDocument/inlineCompletion", params)
    }

    /// The parameters of such a request.
    #[must_use]
    pub fn inline_params(&self, uri: &str, byte: usize, trigger: Trigger) -> Value {
        let context = json!({"triggerKind": trigger as u8});
        json!({"textDocument": {"uri": uri}, "position": self.position(uri, byte), "context": context})
    }

    /// Inline completions at a byte: the items of a request that must succeed.
    pub fn inline(&mut self, uri: &str, byte: usize, trigger: Trigger) -> Vec<Value> {
        let params = self.inline_params(uri, byte, trigger);
        let mut answer = self.ask("textDocument/inlineCompletion", params);
        match answer["items"].take() {
            Value::Array(items) => items,
            _ => panic!("no list of items: {answer}"),
        }
    }

    /// The whole text of a document after accepting an inline completion or a completion item in it.
    #[must_use]
    pub fn accepted(&self, uri: &str, item: &Value) -> String {
        let (range, new) = match item.get("textEdit") {
            Some(edit) => (&edit["range"], &edit["newText"]),
            None => (&item["range"], &item["insertText"]),
        };
        let document = self.document(uri);
        let offset = |position| document.offset(position, self.encoding);
        let mut text = document.text.clone();
        let new = new.as_str().unwrap_or_else(|| panic!("no text in {item}"));
        text.replace_range(offset(&range["start"])..offset(&range["end"]), new);
        text
    }

    /// The code actions for a span of bytes.
    pub fn actions(&mut self, uri: &str, bytes: std::ops::Range<usize>, diagnostics: &Value) -> Vec<Value> {
        let range = self.document(uri).range(&bytes, self.encoding);
        let context = json!({"diagnostics": diagnostics, "triggerKind": 1});
        let params = json!({"textDocument": {"uri": uri}, "range": range, "context": context});
        let answer = self.ask("textDocument/codeAction", params);
        answer.as_array().cloned().unwrap_or_default()
    }

    /// Has the server work out the edit of a code action.
    pub fn resolve(&mut self, action: &Value) -> Response {
        self.call("codeAction/resolve", action.clone())
    }

    /// Lets time pass while messages are read: for what must stay as it is, such as a processor that idles.
    pub fn listen(&mut self, time: Duration) {
        assert!(time < PATIENCE, "{time:?} is longer than anyone waits");
        let end = Instant::now() + time;
        while let Some(event) = self.process.next(end) {
            match event {
                Event::Message(message, at) => self.take(message, at),
                Event::End(reason) => panic!("the server's output ended: {reason:?}"),
            }
        }
    }
}
