//! Windows: the part of a large text that is parsed, cut where a new item seems to begin.
//!
//! Measured on Rust, a tree takes about 30 bytes a byte of text and repairing the tree of a 4 MB file takes more than
//! 10 ms a key, so above [`WHOLE_BYTES_MAX`] only the surroundings of interest are parsed, by tree-sitter's included
//! ranges: offsets stay those of the document. What is cut in two at a window's rim is an error before and after an
//! edit alike, so comparing counts stays fair.

use super::Source;
use crate::position;
use ropey::Rope;
use std::ops::Range;
use tree_sitter::Tree;

/// The largest text that is parsed whole, in bytes.
pub const WHOLE_BYTES_MAX: usize = 128 << 10;
/// Bytes of a window to either side of what it is for.
const HALF_BYTES: usize = 16 << 10;
/// A window that has less than this around a place is not used for it.
const MARGIN_BYTES: usize = 4 << 10;
/// How far back a window's rim may move to fall where an item begins.
const SEARCH_BYTES: usize = 12 << 10;

/// Whether `tree` is that of a window that knows the surroundings of `near`, or of the whole text.
#[must_use]
pub fn covers(tree: &Tree, text: &Rope, near: &Range<usize>) -> bool {
    let len = text.len_bytes();
    let ranges = tree.included_ranges();
    let Some(window) = ranges.first() else { return true };
    let (start, end) = (window.start_byte, window.end_byte.min(len));
    let whole = start == 0 && end == len;
    if whole || len <= WHOLE_BYTES_MAX {
        // A whole tree of a text that outgrew the limit is given up, and so is a window of one that shrank.
        return whole && len <= WHOLE_BYTES_MAX;
    }
    let low = if start == 0 { 0 } else { start + MARGIN_BYTES };
    let high = if end == len { len } else { end.saturating_sub(MARGIN_BYTES) };
    low <= near.start && near.end <= high && end - start <= 4 * HALF_BYTES + near.len()
}

/// The window around `near`, for a parser's included ranges.
pub(super) fn around(source: &Source<'_>, near: &Range<usize>) -> tree_sitter::Range {
    let text = source.text;
    let start = match near.start.saturating_sub(HALF_BYTES) {
        0 => 0,
        target => item_start(text, target),
    };
    let end = match near.end.saturating_add(HALF_BYTES) {
        target if target >= text.len_bytes() => text.len_bytes(),
        target => item_start(text, target),
    };
    range(source, start..end)
}

fn range(source: &Source<'_>, bytes: Range<usize>) -> tree_sitter::Range {
    let open = bytes.end == source.text.len_bytes();
    let last = tree_sitter::Point::new(u32::MAX as usize, u32::MAX as usize);
    tree_sitter::Range {
        start_byte: bytes.start,
        end_byte: if open { u32::MAX as usize } else { bytes.end },
        start_point: source.point(bytes.start),
        end_point: if open { last } else { source.point(bytes.end) },
    }
}

/// The text in pieces that a walk over all of it can parse one at a time; one piece where it is parsed whole.
pub fn tiles(text: &Rope) -> impl Iterator<Item = Range<usize>> + '_ {
    let len = text.len_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        let target = if len <= WHOLE_BYTES_MAX { len } else { start + 2 * HALF_BYTES };
        let end = if target >= len { len } else { item_start(text, target).max(start + HALF_BYTES) };
        let end = position::floor(text, end);
        let tile = start..end;
        start = end;
        (!tile.is_empty()).then_some(tile)
    })
}

/// At or before `target`: a line at the left margin after a blank line; else one at the left margin; else any line.
fn item_start(text: &Rope, target: usize) -> usize {
    let lowest = target.saturating_sub(SEARCH_BYTES);
    let first = text.byte_to_line(target);
    let starts_item = |line: usize| {
        let byte = text.get_byte(text.line_to_byte(line)).unwrap_or(b'\n');
        !byte.is_ascii_whitespace() && !b")]}".contains(&byte)
    };
    let is_blank = |line: usize| text.line(line).chars().take(64).all(char::is_whitespace);
    let mut at_margin = None;
    for line in (1..=first).rev() {
        let start = text.line_to_byte(line);
        if start < lowest {
            break;
        }
        if starts_item(line) {
            if is_blank(line - 1) {
                return start;
            }
            at_margin = at_margin.or(Some(start));
        }
    }
    at_margin.unwrap_or_else(|| match text.line_to_byte(first) {
        start if start >= lowest => start,
        _ => position::floor(text, target),
    })
}
