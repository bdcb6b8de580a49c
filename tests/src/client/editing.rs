//! Opening, changing and closing documents, with the client's own copy of each kept in step.

use super::{Client, Document, Encoding};
use serde_json::{Value, json};
use std::ops::Range;

impl Client {
    /// Opens a document.
    pub fn open(&mut self, uri: &str, language: &str, text: &str) {
        let document = Document { language: language.to_owned(), version: 1, text: text.to_owned() };
        let item = json!({"uri": uri, "languageId": language, "version": 1, "text": text});
        self.documents.insert(uri.to_owned(), document);
        self.notify("textDocument/didOpen", json!({"textDocument": item}));
    }

    /// Replaces one span of bytes.
    pub fn change(&mut self, uri: &str, bytes: Range<usize>, new: &str) {
        self.change_all(uri, vec![(bytes, new.to_owned())]);
    }

    /// Several replacements in one notification; each counts in the text that the one before it left.
    pub fn change_all(&mut self, uri: &str, edits: Vec<(Range<usize>, String)>) {
        let encoding = self.encoding;
        let document = self.own(uri);
        let changes: Vec<Value> =
            edits.into_iter().map(|(bytes, new)| document.replace(bytes, &new, encoding)).collect();
        document.version += 1;
        let version = document.version;
        self.notify(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}),
        );
    }

    /// Replaces the whole text without a range.
    pub fn replace_all(&mut self, uri: &str, text: &str) {
        let document = self.own(uri);
        text.clone_into(&mut document.text);
        document.version += 1;
        let version = document.version;
        let changes = json!([{"text": text}]);
        self.notify(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": version}, "contentChanges": changes}),
        );
    }

    /// Types a text at a byte, in one change.
    pub fn type_at(&mut self, uri: &str, byte: usize, text: &str) {
        self.change(uri, byte..byte, text);
    }

    /// Closes a document.
    pub fn close(&mut self, uri: &str) {
        self.documents.remove(uri);
        self.notify("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    }

    /// The client's copy of an open document.
    #[must_use]
    pub fn document(&self, uri: &str) -> &Document {
        self.documents.get(uri).unwrap_or_else(|| panic!("{uri} is not open"))
    }

    /// The position of a byte of an open document.
    #[must_use]
    pub fn position(&self, uri: &str, byte: usize) -> Value {
        self.document(uri).position(byte, self.encoding)
    }

    /// The byte offset right after the first occurrence of a text.
    #[must_use]
    pub fn after(&self, uri: &str, needle: &str) -> usize {
        let text = &self.document(uri).text;
        text.find(needle).unwrap_or_else(|| panic!("{needle:?} is not in {text:?}")) + needle.len()
    }

    /// Asks what the server holds of a document and compares it with the client's copy.
    pub fn assert_in_step(&mut self, uri: &str) {
        let held = self.ask("lacuna/document", json!({"uri": uri}));
        assert_same(uri, self.document(uri), &held);
    }

    fn own(&mut self, uri: &str) -> &mut Document {
        self.documents.get_mut(uri).unwrap_or_else(|| panic!("{uri} is not open"))
    }
}

/// Holds what the server says of a document against a copy.
pub(crate) fn assert_same(uri: &str, expected: &Document, held: &Value) {
    assert_eq!(held["uri"], uri);
    assert_eq!(held["version"], expected.version, "version of {uri}");
    assert_eq!(held["languageId"], expected.language.as_str(), "language of {uri}");
    let text = held["text"].as_str().unwrap_or_else(|| panic!("the server holds no text of {uri}: {held}"));
    if text != expected.text {
        let same = text.bytes().zip(expected.text.bytes()).take_while(|(a, b)| a == b).count();
        let line = expected.position(floor(&expected.text, same), Encoding::Utf8);
        panic!(
            "the texts of {uri} differ at byte {same} ({line}): {} and {} bytes",
            text.len(),
            expected.text.len()
        );
    }
}

fn floor(text: &str, mut byte: usize) -> usize {
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}
