//! Between the protocol's types and the text side's: positions, ranges and changes.
//!
//! A byte order mark is text to the client and set apart by the document: on the first line the client counts it.

use lacuna_text::{Change, Encoding, Position, Snapshot};
use std::ops::Range;
use tower_lsp::gen_lsp_types as lsp;

/// The byte offset of a position of the client's, clamped into the text as the specification has it.
#[must_use]
pub fn offset(snapshot: &Snapshot, position: lsp::Position, encoding: Encoding) -> usize {
    let line = position.line as usize;
    let character = (position.character as usize).saturating_sub(mark(snapshot, line, encoding));
    snapshot.offset(Position::new(line, character), encoding)
}

/// The bytes of a range of the client's; one that ends before it starts is turned around.
#[must_use]
pub fn range(snapshot: &Snapshot, range: lsp::Range, encoding: Encoding) -> Range<usize> {
    let (start, end) = (offset(snapshot, range.start, encoding), offset(snapshot, range.end, encoding));
    start.min(end)..start.max(end)
}

/// The client's position of a byte offset.
#[must_use]
pub fn position(snapshot: &Snapshot, offset: usize, encoding: Encoding) -> lsp::Position {
    let Position { line, character } = snapshot.position(offset, encoding);
    let character = character + mark(snapshot, line, encoding);
    lsp::Position { line: count(line), character: count(character) }
}

/// The client's range of some bytes.
#[must_use]
pub fn lsp_range(snapshot: &Snapshot, range: &Range<usize>, encoding: Encoding) -> lsp::Range {
    lsp::Range {
        start: position(snapshot, range.start, encoding),
        end: position(snapshot, range.end, encoding),
    }
}

/// The client's edit of a change.
#[must_use]
pub fn text_edit(snapshot: &Snapshot, change: &Change, encoding: Encoding) -> lsp::TextEdit {
    lsp::TextEdit { range: lsp_range(snapshot, &change.range, encoding), new_text: change.insert.clone() }
}

/// Whether the client's position lies before the byte order mark.
#[must_use]
pub fn is_before_mark(snapshot: &Snapshot, position: lsp::Position, encoding: Encoding) -> bool {
    position.line == 0 && (position.character as usize) < mark(snapshot, 0, encoding)
}

/// What the client counts of a byte order mark on this line.
fn mark(snapshot: &Snapshot, line: usize, encoding: Encoding) -> usize {
    match (line, snapshot.has_bom(), encoding) {
        (0, true, Encoding::Utf8) => '\u{feff}'.len_utf8(),
        (0, true, Encoding::Utf16 | Encoding::Utf32) => 1,
        _ => 0,
    }
}

/// Lines and characters are below 2³² in every text that fits a message.
fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_text::{Document, Language};

    #[test]
    fn a_byte_order_mark_counts_on_the_first_line_only() {
        let document = Document::new("\u{feff}ab\ncd", Language::PlainText);
        for (encoding, width) in [(Encoding::Utf8, 3), (Encoding::Utf16, 1), (Encoding::Utf32, 1)] {
            let at = |line, character| offset(&document, lsp::Position { line, character }, encoding);
            assert_eq!([at(0, 0), at(0, width), at(0, width + 1), at(1, 1)], [0, 0, 1, 4], "{encoding:?}");
            assert_eq!(position(&document, 1, encoding), lsp::Position { line: 0, character: width + 1 });
            assert_eq!(position(&document, 4, encoding), lsp::Position { line: 1, character: 1 });
        }
    }

    #[test]
    fn a_range_the_wrong_way_round_is_turned() {
        let document = Document::new("abcdef", Language::PlainText);
        let at = |character| lsp::Position { line: 0, character };
        assert_eq!(range(&document, lsp::Range { start: at(4), end: at(2) }, Encoding::Utf8), 2..4);
        assert_eq!(range(&document, lsp::Range { start: at(4), end: at(99) }, Encoding::Utf8), 4..6);
    }
}
