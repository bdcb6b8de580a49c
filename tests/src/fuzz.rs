//! Frames to throw at a server: random bytes, random JSON, and valid traffic with something wrong in it.

use crate::rng::Rng;
use crate::wire::frame;
use serde_json::{Map, Value, json};

/// Names that mean something to a language server, and some that do not.
const METHODS: &[&str] = &[
    "textDocument/didOpen",
    "textDocument/didChange",
    "textDocument/didClose",
    "textDocument/didSave",
    "textDocument/inlineCompletion",
    "textDocument/completion",
    "textDocument/codeAction",
    "codeAction/resolve",
    "workspace/executeCommand",
    "workspace/didChangeConfiguration",
    "workspace/didChangeWorkspaceFolders",
    "window/workDoneProgress/cancel",
    "lacuna/document",
    "$/cancelRequest",
    "$/setTrace",
    "initialize",
    "initialized",
    "textDocument/hover",
    "no/such/method",
    "",
];

const STRINGS: &[&str] = &[
    "",
    "rust",
    "python",
    "file:///fuzz/a.rs",
    "file:///fuzz/b.py",
    "untitled:x",
    "not a uri",
    "☃🦀",
    "\0",
    "\r\n",
    "lacuna.fill",
    "lacuna.toggle",
    "lacuna.status",
    "fn f() {\n    todo!()\n}\n",
    "../../..",
    "utf-8",
];

const NUMBERS: &[i64] =
    &[0, 1, -1, 2, 3, 7, 255, 65_536, i32::MAX as i64, u32::MAX as i64, i64::MAX, i64::MIN];

/// Makes frames from a seed and from messages that were valid.
#[derive(Debug)]
pub struct Fuzzer {
    rng: Rng,
    valid: Vec<Value>,
}

impl Fuzzer {
    /// Mutates these messages.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn new(seed: u64, valid: Vec<Value>) -> Self {
        assert!(!valid.is_empty(), "nothing to mutate");
        Self { rng: Rng::new(seed), valid }
    }

    /// The bytes to send next: mostly one frame, sometimes less or more.
    pub fn bytes(&mut self) -> Vec<u8> {
        match self.rng.below(20) {
            0 => self.noise(),
            1 => {
                let message = self.message();
                self.broken_frame(&message)
            }
            2 | 3 => {
                let mut body = self.message().to_string().into_bytes();
                self.scratch(&mut body);
                frame(&body)
            }
            4 => [self.bytes(), self.bytes()].concat(),
            _ => frame(self.message().to_string().as_bytes()),
        }
    }

    /// A message: as it was, mutated, or made up. Never one that ends the server by right.
    fn message(&mut self) -> Value {
        let mut message = match self.rng.below(10) {
            0..=1 => self.rng.pick(&self.valid).clone(),
            2..=7 => {
                let mut message = self.rng.pick(&self.valid).clone();
                for _ in 0..=self.rng.below(3) {
                    self.mutate(&mut message);
                }
                message
            }
            _ => {
                json!({"jsonrpc": "2.0", "id": self.value(1), "method": self.rng.pick(METHODS), "params": self.value(4)})
            }
        };
        if matches!(message["method"].as_str(), Some("exit" | "shutdown")) {
            message["method"] = json!("textDocument/didSave");
        }
        message
    }

    /// Changes one place of a message, wherever it lies.
    fn mutate(&mut self, value: &mut Value) {
        let deeper = !self.rng.chance(25);
        match value {
            Value::Object(fields) if deeper && !fields.is_empty() => self.mutate_object(fields),
            Value::Array(items) if deeper && !items.is_empty() => {
                let index = self.rng.below(items.len());
                match self.rng.below(6) {
                    0 => drop(items.remove(index)),
                    1 => items.push(items[index].clone()),
                    _ => self.mutate(&mut items[index]),
                }
            }
            Value::String(text) if deeper => {
                let piece = *self.rng.pick(STRINGS);
                text.push_str(piece);
            }
            Value::Number(_) if deeper => *value = json!(self.rng.pick(NUMBERS)),
            other => *other = self.value(3),
        }
    }

    fn mutate_object(&mut self, fields: &mut Map<String, Value>) {
        let index = self.rng.below(fields.len());
        let Some(key) = fields.keys().nth(index).cloned() else { return };
        match self.rng.below(8) {
            0 => drop(fields.remove(&key)),
            1 => {
                let taken = fields.remove(&key).unwrap_or_default();
                fields.insert((*self.rng.pick(STRINGS)).to_owned(), taken);
            }
            _ => {
                if let Some(field) = fields.get_mut(&key) {
                    self.mutate(field);
                }
            }
        }
    }

    /// Any JSON, `depth` deep at most.
    fn value(&mut self, depth: usize) -> Value {
        match self.rng.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.rng.chance(50)),
            2 | 3 => json!(self.rng.pick(NUMBERS)),
            4 => json!(self.rng.bits() as f64 / 1e9),
            5 => json!(self.rng.pick(STRINGS)),
            6 => (0..self.rng.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let keys = ["uri", "textDocument", "position", "range", "start", "line", "text", "token"];
                let fields = (0..self.rng.below(5))
                    .map(|_| ((*self.rng.pick(&keys)).to_owned(), self.value(depth - 1)));
                Value::Object(fields.collect())
            }
        }
    }

    /// Flips, drops, doubles or cuts bytes.
    fn scratch(&mut self, body: &mut Vec<u8>) {
        for _ in 0..=self.rng.below(4) {
            if body.is_empty() {
                return;
            }
            let at = self.rng.below(body.len());
            match self.rng.below(4) {
                0 => body[at] = self.rng.bits() as u8,
                1 => drop(body.remove(at)),
                2 => body.insert(at, body[at]),
                _ => body.truncate(at),
            }
        }
    }

    /// A frame whose header does not fit its body. The length is never far too long: that would swallow valid frames,
    /// which is right of the server and tells nothing.
    fn broken_frame(&mut self, message: &Value) -> Vec<u8> {
        let body = message.to_string();
        let header = match self.rng.below(6) {
            0 => format!("Content-Length: {}\r\n\r\n", body.len().saturating_sub(1 + self.rng.below(8))),
            1 => "Content-Length: -1\r\n\r\n".to_owned(),
            2 => "Content-Length: 99999999999999999999\r\n\r\n".to_owned(),
            3 => format!("Content-Type: x\r\nCONTENT-LENGTH:{}\n\n", body.len()),
            4 => "\r\n\r\n\r\n".to_owned(),
            _ => format!("Content-Length: {}\r\n\r\n", body.len() + self.rng.below(16)),
        };
        [header.as_bytes(), body.as_bytes()].concat()
    }

    fn noise(&mut self) -> Vec<u8> {
        (0..self.rng.below(200)).map(|_| self.rng.bits() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_frames_and_none_ends_the_server() {
        let valid =
            vec![json!({"jsonrpc": "2.0", "id": 1, "method": "lacuna/document", "params": {"uri": "a"}})];
        let frames = |seed| {
            let mut fuzzer = Fuzzer::new(seed, valid.clone());
            (0..500).map(|_| fuzzer.bytes()).collect::<Vec<_>>()
        };
        assert_eq!(frames(1), frames(1));
        assert_ne!(frames(1), frames(2));
        let all = frames(3).concat();
        let text = String::from_utf8_lossy(&all);
        assert!(
            text.contains("lacuna/document") && !text.contains("\"exit\"") && !text.contains("\"shutdown\"")
        );
    }
}
