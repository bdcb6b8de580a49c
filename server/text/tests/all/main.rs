//! Tests of the text side: input text in, expected text out. `‸` is a cursor, `«…»` a range.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

mod bodies;
mod contexts;
mod documents;
mod edits;
mod insertions;
mod languages;
mod plans;
mod positions;
mod proposals;
mod regions;
mod repairs;
mod splices;
mod triggers;

use lacuna_text::{Document, Language};
use std::ops::Range;

/// A document and the offset of the `‸` in `text`.
fn with_cursor(text: &str, language: Language) -> (Document, usize) {
    let offset = text.find('‸').expect("a cursor");
    (Document::new(&text.replace('‸', ""), language), offset)
}

/// A document and the range between `«` and `»` in `text`.
fn with_range(text: &str, language: Language) -> (Document, Range<usize>) {
    let start = text.find('«').expect("a range's start");
    let end = text.find('»').expect("a range's end") - '«'.len_utf8();
    (Document::new(&text.replace(['«', '»'], ""), language), start..end)
}

/// `text` with a range marked.
fn marked(text: &str, range: &Range<usize>) -> String {
    format!("{}«{}»{}", &text[..range.start], &text[range.clone()], &text[range.end..])
}
