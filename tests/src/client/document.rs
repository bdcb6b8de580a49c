//! What the client believes a document holds: plain text, and positions counted the slow and obvious way, so that a
//! test compares the server with something independent of it.

use crate::rng::Rng;
use serde_json::{Value, json};
use std::ops::Range;

/// The unit in which positions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// 16-bit code units.
    Utf16,
    /// Code points.
    Utf32,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Utf8, Self::Utf16, Self::Utf32];

    /// Its name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Utf32 => "utf-32",
        }
    }

    fn units(self, text: &str) -> usize {
        match self {
            Self::Utf8 => text.len(),
            Self::Utf16 => text.encode_utf16().count(),
            Self::Utf32 => text.chars().count(),
        }
    }
}

/// An open document as the client has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Language id.
    pub language: String,
    /// Version, counted up with every change.
    pub version: i64,
    /// The whole text.
    pub text: String,
}

impl Document {
    /// The position of a byte offset.
    #[must_use]
    pub fn position(&self, byte: usize, encoding: Encoding) -> Value {
        let (mut line, mut start) = (0, 0);
        let bytes = self.text.as_bytes();
        for (index, &here) in bytes[..byte].iter().enumerate() {
            // `\r\n` is one line break, counted at its `\n`.
            if here == b'\n' || (here == b'\r' && bytes.get(index + 1) != Some(&b'\n')) {
                line += 1;
                start = index + 1;
            }
        }
        json!({"line": line, "character": encoding.units(&self.text[start..byte])})
    }

    /// The range of a span of bytes.
    #[must_use]
    pub fn range(&self, bytes: &Range<usize>, encoding: Encoding) -> Value {
        json!({"start": self.position(bytes.start, encoding), "end": self.position(bytes.end, encoding)})
    }

    /// The byte offset of a position that lies inside the text.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[expect(clippy::panic, reason = "a test helper: failing loudly is its job")]
    pub fn offset(&self, position: &Value, encoding: Encoding) -> usize {
        let inside = |&byte: &usize| self.text.is_char_boundary(byte);
        (0..=self.text.len())
            .filter(inside)
            .find(|&byte| self.position(byte, encoding) == *position)
            .unwrap_or_else(|| panic!("{position} is not inside the text"))
    }

    /// Replaces a span of bytes; the content change that says so.
    pub fn replace(&mut self, bytes: Range<usize>, new: &str, encoding: Encoding) -> Value {
        let change = json!({"range": self.range(&bytes, encoding), "text": new});
        self.text.replace_range(bytes, new);
        change
    }

    /// Some span that cuts neither a character nor a `\r\n`, at most `longest` bytes long.
    pub fn random_span(&self, rng: &mut Rng, longest: usize) -> Range<usize> {
        let start = self.boundary(rng.below(self.text.len() + 1));
        let end = self.boundary((start + rng.below(longest + 1)).min(self.text.len()));
        start..end.max(start)
    }

    fn boundary(&self, mut byte: usize) -> usize {
        let cuts_break =
            |at: usize| at > 0 && self.text.as_bytes()[at - 1] == b'\r' && self.text[at..].starts_with('\n');
        while !self.text.is_char_boundary(byte) || cuts_break(byte) {
            byte -= 1;
        }
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document { language: "plaintext".to_owned(), version: 1, text: text.to_owned() }
    }

    #[test]
    fn positions_count_in_the_units_of_the_encoding() {
        let text = document("a\r\nb🦀é\rc\nd");
        let end = text.text.find('\r').map(|first| text.text[first + 2..].find('\r').unwrap() + first + 2);
        for (encoding, character) in [(Encoding::Utf8, 7), (Encoding::Utf16, 4), (Encoding::Utf32, 3)] {
            let found = text.position(end.unwrap(), encoding);
            assert_eq!(found, json!({"line": 1, "character": character}), "{encoding:?}");
            assert_eq!(text.offset(&found, encoding), end.unwrap());
        }
        assert_eq!(text.position(text.text.len(), Encoding::Utf8), json!({"line": 3, "character": 1}));
    }

    #[test]
    fn a_replacement_changes_the_text_and_says_where_it_stood() {
        let mut text = document("one\ntwo\n");
        let change = text.replace(4..7, "2", Encoding::Utf16);
        assert_eq!(text.text, "one\n2\n");
        assert_eq!(change["range"]["end"], json!({"line": 1, "character": 3}));
    }
}
