//! Regions: which bytes may change. From a cursor, a range, or a marker found in the text.

mod body;
mod cursor;
mod markers;
mod repair;

use crate::document::Snapshot;
use crate::position;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use thiserror::Error;

/// The shape of a region; it says what a candidate may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegionKind {
    /// Up to the end of the line; no line break.
    Line,
    /// Inside one line, code on its right; no line break.
    Span,
    /// One or more whole lines (indentation of the first aside); may grow and shrink by lines.
    Lines,
    /// The whole content of a body.
    Body,
}

impl RegionKind {
    /// Whether what fills the region may hold line breaks.
    #[must_use]
    pub const fn is_multiline(self) -> bool {
        matches!(self, Self::Lines | Self::Body)
    }
}

/// A text that stands for code still to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marker {
    /// `‹›` or `‹what is meant›`, in any language, text included.
    Angle,
    /// Rust's `todo!()`.
    Todo,
    /// Rust's `unimplemented!()`.
    Unimplemented,
    /// Python's `raise NotImplementedError`.
    NotImplemented,
    /// Python's `...` as a statement.
    Ellipsis,
    /// Python's `pass` as a body's only statement.
    Pass,
    /// A function's body with nothing in it.
    EmptyBody,
}

/// Why a region is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The caller gave a range.
    Selection,
    /// The cursor is inside a line.
    Cursor,
    /// The cursor is on a line with nothing on it.
    EmptyLine,
    /// A marker.
    Marker(Marker),
    /// A compiler's or linter's message is about it.
    Diagnostic,
    /// It is what a function's body still lacks, from the cursor on.
    RestOfBody,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Selection => "the selected range",
            Self::Cursor => "the cursor",
            Self::EmptyLine => "an empty line",
            Self::Diagnostic => "a diagnostic",
            Self::RestOfBody => "the rest of the body",
            Self::Marker(Marker::Angle) => "‹›",
            Self::Marker(Marker::Todo) => "todo!()",
            Self::Marker(Marker::Unimplemented) => "unimplemented!()",
            Self::Marker(Marker::NotImplemented) => "raise NotImplementedError",
            Self::Marker(Marker::Ellipsis) => "...",
            Self::Marker(Marker::Pass) => "pass",
            Self::Marker(Marker::EmptyBody) => "an empty body",
        })
    }
}

/// Why there is no region.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegionError {
    /// The range is not inside the text.
    #[error("the range {start}..{end} is not inside the text of {len} bytes")]
    OutOfBounds {
        /// Where it starts.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Bytes of the text.
        len: usize,
    },
    /// An offset cuts a character in two.
    #[error("byte {offset} is inside a character; offsets must fall between characters")]
    InsideCharacter {
        /// The offset.
        offset: usize,
    },
}

/// The bytes that may change, their shape and how they were found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Region {
    /// Bytes of the document.
    pub range: Range<usize>,
    /// Their shape.
    pub kind: RegionKind,
    /// How they were found.
    pub reason: Reason,
}

impl Region {
    /// The region a cursor means: the marker or empty body it is in or touches; on an empty line that line (kind
    /// [`RegionKind::Lines`], after the indentation); else the rest of the line, or up to the delimiter that closes
    /// what the line opened before the cursor. Where only closing punctuation follows, nothing of it is replaced.
    ///
    /// # Errors
    /// An offset that is outside the text or inside a character.
    pub fn at(snapshot: &Snapshot, offset: usize) -> Result<Self, RegionError> {
        check(snapshot, &(offset..offset))?;
        let tree = snapshot.tree_near(&(offset..offset));
        let tree = tree.as_deref();
        Ok(markers::at(snapshot, tree, offset).unwrap_or_else(|| cursor::region(snapshot, tree, offset)))
    }

    /// The region of ghost text at a cursor: nothing that stands after the cursor is replaced but blanks up to the
    /// line's end. The body of a function with nothing in it ([`Marker::EmptyBody`]) where that is one gap; on an empty
    /// line that line ([`RegionKind::Lines`]); at the end of a line [`RegionKind::Line`]; with code after the cursor an
    /// empty [`RegionKind::Span`].
    ///
    /// # Errors
    /// An offset that is outside the text or inside a character.
    pub fn insertion(snapshot: &Snapshot, offset: usize) -> Result<Self, RegionError> {
        check(snapshot, &(offset..offset))?;
        let tree = snapshot.tree_near(&(offset..offset));
        let empty_body = markers::at(snapshot, tree.as_deref(), offset).filter(|region| {
            region.reason == Reason::Marker(Marker::EmptyBody)
                && crate::plan::to_lf(&region.text(snapshot)).matches('\n').count() <= 2
        });
        Ok(empty_body.unwrap_or_else(|| cursor::insertion(snapshot, offset)))
    }

    /// The region to write anew for a diagnostic at `range`: the smallest expression, statement, parameter or field
    /// around it whose rewriting can help; where the syntax is broken, the statement; without a tree, the lines of
    /// `range`. `None` outside the text and where that would be a whole function or type, or more than 20 lines.
    #[must_use]
    pub fn repair(snapshot: &Snapshot, range: Range<usize>) -> Option<Self> {
        check(snapshot, &range).ok()?;
        let tree = snapshot.tree_near(&range);
        repair::region(snapshot, tree.as_deref(), range)
    }

    /// The region that completes the body of the innermost function around `offset`: all of the body where it is
    /// empty or holds only a marker; else from the cursor to its end, where what stands after the cursor is replaced
    /// and what stands before it is kept. `None` outside functions and in the head of one that has code.
    #[must_use]
    pub fn body(snapshot: &Snapshot, offset: usize) -> Option<Self> {
        check(snapshot, &(offset..offset)).ok()?;
        let tree = snapshot.tree_near(&(offset..offset))?;
        body::region(snapshot, &tree, offset)
    }

    /// The region of a selection: [`RegionKind::Lines`] where it holds a line break, all that a line says, or nothing
    /// at the start of a line,
    /// [`RegionKind::Line`] where it ends with its line, [`RegionKind::Span`] otherwise.
    ///
    /// # Errors
    /// A range that is reversed, outside the text or cuts a character.
    pub fn of_range(snapshot: &Snapshot, range: Range<usize>) -> Result<Self, RegionError> {
        check(snapshot, &range)?;
        let kind = cursor::kind_of(snapshot, &range);
        Ok(Self { range, kind, reason: Reason::Selection })
    }

    /// Every marker of the document in order of position. With a syntax tree, markers in strings and comments do not
    /// count (`‹›` always does); a marker inside another region is left out.
    #[must_use]
    pub fn find_markers(snapshot: &Snapshot) -> Vec<Self> {
        markers::find(snapshot, &(0..snapshot.len()))
    }

    /// Those of them that lie in `range`; only what is near it is parsed.
    #[must_use]
    pub fn find_markers_in(snapshot: &Snapshot, range: &Range<usize>) -> Vec<Self> {
        let inside = |region: &Self| range.start <= region.range.start && region.range.end <= range.end;
        markers::find(snapshot, range).into_iter().filter(inside).collect()
    }

    /// The only marker that begins in the line of `offset`; `None` where there are several, for none of them is meant more
    /// than another.
    #[must_use]
    pub fn sole_marker_of_line(snapshot: &Snapshot, offset: usize) -> Option<Self> {
        check(snapshot, &(offset..offset)).ok()?;
        let tree = snapshot.tree_near(&(offset..offset));
        let mut markers = markers::of_line(snapshot, tree.as_deref(), offset).into_iter();
        markers.next().filter(|_| markers.next().is_none())
    }

    /// The marker that most surely is a hole: the first of the first kind present in the order of [`Marker`].
    #[must_use]
    pub fn find_hole(snapshot: &Snapshot) -> Option<Self> {
        let rank = |region: &Self| match region.reason {
            Reason::Marker(marker) => Some(marker),
            _ => None,
        };
        Self::find_markers(snapshot).into_iter().min_by_key(|region| (rank(region), region.range.start))
    }

    /// The region's present text.
    #[must_use]
    pub fn text(&self, snapshot: &Snapshot) -> String {
        snapshot.text().byte_slice(self.range.clone()).to_string()
    }
}

fn check(snapshot: &Snapshot, range: &Range<usize>) -> Result<(), RegionError> {
    let len = snapshot.len();
    if range.start > range.end || range.end > len {
        return Err(RegionError::OutOfBounds { start: range.start, end: range.end, len });
    }
    for offset in [range.start, range.end] {
        if !position::is_boundary(snapshot.text(), offset) {
            return Err(RegionError::InsideCharacter { offset });
        }
    }
    Ok(())
}
