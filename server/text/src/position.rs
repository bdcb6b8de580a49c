//! LSP positions to byte offsets and back: the only file that knows UTF-16 and UTF-32 (LSP 3.17, "Position").
//!
//! Line ends are `\n`, `\r\n` and `\r`, as LSP has it. Out-of-range positions are clamped, never an error: past a
//! line's end is the line's end (before its line break), past the last line is the end of the text, and inside a
//! character or a surrogate pair is the start of that character.

use ropey::{Rope, RopeSlice};
use serde::{Deserialize, Serialize};

/// The unit of [`Position::character`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// Bytes.
    #[serde(rename = "utf-8")]
    Utf8,
    /// 16-bit code units, LSP's default.
    #[default]
    #[serde(rename = "utf-16")]
    Utf16,
    /// Code points.
    #[serde(rename = "utf-32")]
    Utf32,
}

/// A zero-based line and a zero-based offset in it, in the units of an [`Encoding`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Zero-based line.
    pub line: usize,
    /// Zero-based offset from the line's start.
    pub character: usize,
}

impl Position {
    /// A position from its two numbers, both zero-based.
    #[must_use]
    pub const fn new(line: usize, character: usize) -> Self {
        Self { line, character }
    }
}

/// The byte offset of `position`, clamped as LSP wants it.
#[must_use]
pub fn offset(text: &Rope, position: Position, encoding: Encoding) -> usize {
    if position.line >= text.len_lines() {
        return text.len_bytes();
    }
    let start = text.line_to_byte(position.line);
    let line = without_break(text.line(position.line));
    let within = match encoding {
        Encoding::Utf8 => floor_char(line, position.character.min(line.len_bytes())),
        Encoding::Utf16 => {
            let units = position.character.min(line.len_utf16_cu());
            // Inside a surrogate pair ropey answers the character that holds the unit, which is the rule.
            line.char_to_byte(line.utf16_cu_to_char(units))
        }
        Encoding::Utf32 => line.char_to_byte(position.character.min(line.len_chars())),
    };
    start + within
}

/// The position of a byte offset; past the end it is the end, inside a character that character's start, between
/// `\r` and `\n` the end of the line.
#[must_use]
pub fn position(text: &Rope, offset: usize, encoding: Encoding) -> Position {
    let offset = floor(text, offset);
    let line = text.byte_to_line(offset);
    let slice = without_break(text.line(line));
    let within = (offset - text.line_to_byte(line)).min(slice.len_bytes());
    let character = match encoding {
        Encoding::Utf8 => within,
        Encoding::Utf16 => slice.char_to_utf16_cu(slice.byte_to_char(within)),
        Encoding::Utf32 => slice.byte_to_char(within),
    };
    Position { line, character }
}

/// The greatest character boundary at or before `offset`, at most the length of the text.
#[must_use]
pub fn floor(text: &Rope, offset: usize) -> usize {
    floor_char(text.slice(..), offset.min(text.len_bytes()))
}

/// Whether `offset` is inside the text and between two characters.
#[must_use]
pub fn is_boundary(text: &Rope, offset: usize) -> bool {
    offset <= text.len_bytes() && floor(text, offset) == offset
}

fn floor_char(slice: RopeSlice<'_>, offset: usize) -> usize {
    slice.char_to_byte(slice.byte_to_char(offset))
}

/// A line without its line break.
#[must_use]
pub fn without_break(line: RopeSlice<'_>) -> RopeSlice<'_> {
    let bytes = line.len_bytes();
    let breaks =
        match (bytes.checked_sub(2).map(|i| line.byte(i)), bytes.checked_sub(1).map(|i| line.byte(i))) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (_, Some(b'\n' | b'\r')) => 1,
            _ => 0,
        };
    line.byte_slice(..bytes - breaks)
}
