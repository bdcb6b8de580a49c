//! A caret that types in a document of any size: messages made by hand, so that no time goes into the client's own copy
//! of the text, and sent together with a request whose answer is timed.

use lacuna_tests::client::{Client, Response, Trigger};
use lacuna_tests::wire::frame_json;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};

/// Ids of requests made by hand start here, far from the client's own; an integer of the protocol has 31 bits.
const IDS_FROM: i64 = 1 << 30;

/// A place in an open document. Everything typed is ASCII, so its units are the same in every encoding.
#[derive(Clone, Debug)]
pub struct Caret {
    uri: String,
    line: usize,
    column: usize,
    version: i64,
}

impl Caret {
    /// Opens a document; the caret is at its start.
    pub fn open(client: &mut Client, uri: &str, language: &str, text: &str) -> Self {
        client.open(uri, language, text);
        Self { uri: uri.to_owned(), line: 0, column: 0, version: 1 }
    }

    /// Goes to the end of a line of `columns` columns.
    pub const fn go_to(&mut self, line: usize, columns: usize) {
        self.line = line;
        self.column = columns;
    }

    /// The change that types a text here.
    pub fn typed(&mut self, text: &str) -> Value {
        let at = self.position();
        self.replaced(&at.clone(), &at, text)
    }

    /// The change that puts a text in place of what stands in a range that ends on the caret's line; the caret goes
    /// behind it.
    pub fn replaced(&mut self, start: &Value, end: &Value, text: &str) -> Value {
        self.version += 1;
        let line = start["line"].as_u64().map_or(self.line, |line| line as usize);
        let column = start["character"].as_u64().map_or(self.column, |column| column as usize);
        self.line = line + text.matches('\n').count();
        self.column = text.rfind('\n').map_or(column + text.len(), |at| text.len() - at - 1);
        let change = json!({"range": {"start": start, "end": end}, "text": text});
        let document = json!({"uri": self.uri, "version": self.version});
        let params = json!({"textDocument": document, "contentChanges": [change]});
        json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params})
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Value {
        json!({"line": self.line, "character": self.column})
    }

    /// The request for inline completions here.
    #[must_use]
    pub fn question(&self, trigger: Trigger) -> Value {
        let context = json!({"triggerKind": trigger as u8});
        let document = json!({"uri": self.uri});
        let params = json!({"textDocument": document, "position": self.position(), "context": context});
        request("textDocument/inlineCompletion", params)
    }
}

/// A request with an id of its own.
#[must_use]
pub fn request(method: &str, params: Value) -> Value {
    static NEXT: AtomicI64 = AtomicI64::new(IDS_FROM);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// The cheapest request there is: an echo of the server.
#[must_use]
pub fn status_request() -> Value {
    request("workspace/executeCommand", json!({"command": "lacuna.status", "arguments": []}))
}

/// Hands messages to the pipe in one write; their answers are timed from here. The id of the last request.
pub fn send(client: &mut Client, messages: &[Value]) -> i64 {
    let bytes: Vec<u8> = messages.iter().flat_map(frame_json).collect();
    let mut last = 0;
    for id in messages.iter().filter_map(|message| message["id"].as_i64()) {
        client.expect_id(id);
        last = id;
    }
    client.raw(bytes);
    last
}

/// Hands messages to the pipe and waits for the answer to the last request among them.
pub fn ask(client: &mut Client, messages: &[Value]) -> Response {
    let id = send(client, messages);
    client.response(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_behind_what_was_typed() {
        let mut caret = Caret { uri: "file:///a".to_owned(), line: 3, column: 7, version: 1 };
        let change = caret.typed("x\n  y");
        assert_eq!(change["params"]["contentChanges"][0]["range"]["end"], json!({"line": 3, "character": 7}));
        assert_eq!(caret.position(), json!({"line": 4, "character": 3}));
        caret.replaced(&json!({"line": 4, "character": 1}), &json!({"line": 4, "character": 3}), "ab");
        assert_eq!((caret.position(), caret.version), (json!({"line": 4, "character": 3}), 3));
    }
}
