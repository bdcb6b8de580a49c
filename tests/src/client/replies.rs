//! What the client answers when the server asks: settings, progress tokens, registrations, edits.

use super::Client;
use serde_json::{Value, json};

/// What happens to an edit the server wants applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edits {
    /// Applied when its version is the one the client has, as editors do.
    #[default]
    Apply,
    /// Refused.
    Refuse,
}

/// The client's side of server requests, and what it learned from them.
#[derive(Debug, Default)]
pub struct Replies {
    /// The value of the section `lacuna`.
    pub configuration: Option<Value>,
    /// What to do with edits.
    pub edits: Edits,
    /// Every request of the server, oldest first.
    pub seen: Vec<Value>,
}

impl Replies {
    /// The requests of one method that came so far; their params.
    #[must_use]
    pub fn of(&self, method: &str) -> Vec<&Value> {
        self.seen
            .iter()
            .filter(|request| request["method"] == method)
            .map(|request| &request["params"])
            .collect()
    }
}

impl Client {
    /// The response to a request of the server.
    pub(super) fn answer(&mut self, request: &Value) -> Value {
        self.replies.seen.push(request.clone());
        let params = &request["params"];
        let result = match request["method"].as_str().unwrap_or_default() {
            "workspace/configuration" => {
                let items = params["items"].as_array().map_or(0, Vec::len);
                json!(vec![self.replies.configuration.clone().unwrap_or(Value::Null); items])
            }
            "workspace/applyEdit" => self.answer_edit(&params["edit"]),
            "window/workDoneProgress/create"
            | "client/registerCapability"
            | "client/unregisterCapability"
            | "window/showMessageRequest" => Value::Null,
            other => {
                let error = json!({"code": -32601, "message": format!("this client does not know {other}")});
                return json!({"jsonrpc": "2.0", "id": request["id"], "error": error});
            }
        };
        json!({"jsonrpc": "2.0", "id": request["id"], "result": result})
    }

    fn answer_edit(&mut self, edit: &Value) -> Value {
        if self.replies.edits == Edits::Refuse {
            return json!({"applied": false, "failureReason": "this client refuses edits"});
        }
        match self.apply(edit) {
            Ok(()) => json!({"applied": true}),
            Err(reason) => json!({"applied": false, "failureReason": reason}),
        }
    }

    /// Applies a workspace edit to the client's copies and tells the server, as an editor does.
    ///
    /// # Errors
    /// A document that is not open, or an edit for another version of it; then nothing of that document changes.
    pub fn apply(&mut self, edit: &Value) -> Result<(), String> {
        for change in edit["documentChanges"].as_array().ok_or("no documentChanges in the edit")? {
            let uri = change["textDocument"]["uri"].as_str().ok_or("no uri in the edit")?;
            let document = self.documents.get(uri).ok_or_else(|| format!("{uri} is not open"))?;
            let version = &change["textDocument"]["version"];
            if *version != document.version {
                return Err(format!(
                    "the edit is for version {version}, the document has {}",
                    document.version
                ));
            }
            let mut edits = Vec::new();
            for edit in change["edits"].as_array().ok_or("no edits")? {
                let start = document.offset(&edit["range"]["start"], self.encoding);
                let end = document.offset(&edit["range"]["end"], self.encoding);
                edits.push((start..end, edit["newText"].as_str().ok_or("no newText")?.to_owned()));
            }
            // All ranges count in the text as it was, so the last one goes first.
            edits.sort_by_key(|(bytes, _)| std::cmp::Reverse(bytes.start));
            self.change_all(uri, edits);
        }
        Ok(())
    }
}
