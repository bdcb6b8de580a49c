//! Edits as values: sorted changes that apply, compose, invert and map offsets.

use crate::position;
use ropey::Rope;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thiserror::Error;

/// Replace the bytes of `range` by `insert`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// Bytes of the text before the edit.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub insert: String,
}

impl Change {
    /// A change from its two parts.
    #[must_use]
    pub fn new(range: Range<usize>, insert: impl Into<String>) -> Self {
        Self { range, insert: insert.into() }
    }

    fn is_noop(&self) -> bool {
        self.range.is_empty() && self.insert.is_empty()
    }
}

/// Which neighbour an offset stays with when the text around it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bias {
    /// With the text before it: inserted text lands after the offset.
    Left,
    /// With the text after it: inserted text lands before the offset.
    Right,
}

/// Why an edit cannot be built or applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// Two changes touch the same bytes.
    #[error("changes overlap: {first:?} and {second:?}; merge them or apply them one after the other")]
    Overlap {
        /// The earlier range.
        first: Range<usize>,
        /// The later range.
        second: Range<usize>,
    },
    /// A range ends before it starts.
    #[error("the range {start}..{end} ends before it starts")]
    Reversed {
        /// Where it starts.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// A range reaches past the text.
    #[error("the range {start}..{end} reaches past the text of {len} bytes")]
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

/// A set of changes to one text, all in that text's offsets: sorted, disjoint, touching ones merged, no-ops dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edit {
    changes: Vec<Change>,
}

impl Edit {
    /// An edit from changes in any order; insertions at one offset keep their order.
    ///
    /// # Errors
    /// [`EditError::Overlap`] and [`EditError::Reversed`].
    pub fn new(mut changes: Vec<Change>) -> Result<Self, EditError> {
        changes.sort_by_key(|change| (change.range.start, change.range.end));
        let mut edit = Self::default();
        for change in changes {
            let Range { start, end } = change.range;
            if end < start {
                return Err(EditError::Reversed { start, end });
            }
            if let Some(last) = edit.changes.last()
                && start < last.range.end
            {
                return Err(EditError::Overlap { first: last.range.clone(), second: start..end });
            }
            edit.push(change);
        }
        Ok(edit)
    }

    /// An edit of one change; a reversed range is read as the empty range at its end.
    #[must_use]
    pub fn single(change: Change) -> Self {
        let mut edit = Self::default();
        let start = change.range.start.min(change.range.end);
        edit.push(Change { range: start..change.range.end, insert: change.insert });
        edit
    }

    /// Insert `text` at `offset`.
    #[must_use]
    pub fn insert(offset: usize, text: impl Into<String>) -> Self {
        Self::single(Change::new(offset..offset, text))
    }

    /// Delete `range`.
    #[must_use]
    pub fn delete(range: Range<usize>) -> Self {
        Self::single(Change::new(range, ""))
    }

    /// The changes, sorted and disjoint.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Appends a change that starts at or after the end of the last one, merging what touches.
    fn push(&mut self, change: Change) {
        if change.is_noop() {
            return;
        }
        match self.changes.last_mut() {
            Some(last) if last.range.end == change.range.start => {
                last.range.end = change.range.end;
                last.insert.push_str(&change.insert);
            }
            _ => self.changes.push(change),
        }
    }

    /// Whether the edit fits a text: every offset inside it and between characters.
    ///
    /// # Errors
    /// [`EditError::OutOfBounds`] and [`EditError::InsideCharacter`].
    pub fn check(&self, text: &Rope) -> Result<(), EditError> {
        let len = text.len_bytes();
        for Change { range, .. } in &self.changes {
            if range.end > len {
                return Err(EditError::OutOfBounds { start: range.start, end: range.end, len });
            }
            for offset in [range.start, range.end] {
                if !position::is_boundary(text, offset) {
                    return Err(EditError::InsideCharacter { offset });
                }
            }
        }
        Ok(())
    }

    /// Applies the edit to a rope, all or nothing.
    ///
    /// # Errors
    /// As [`Edit::check`]; the text is then unchanged.
    pub fn apply(&self, text: &mut Rope) -> Result<(), EditError> {
        self.check(text)?;
        // From the back, so that the earlier offsets stay true.
        for Change { range, insert } in self.changes.iter().rev() {
            let start = text.byte_to_char(range.start);
            let end = text.byte_to_char(range.end);
            text.remove(start..end);
            text.insert(start, insert);
        }
        Ok(())
    }

    /// The edit that takes the changed text back to `before`, the text this edit applies to.
    ///
    /// # Errors
    /// As [`Edit::check`].
    pub fn invert(&self, before: &Rope) -> Result<Self, EditError> {
        self.check(before)?;
        let mut inverse = Self::default();
        let mut grown = 0;
        let mut shrunk = 0;
        for Change { range, insert } in &self.changes {
            let start = range.start + grown - shrunk;
            let removed = before.byte_slice(range.clone()).to_string();
            inverse.push(Change::new(start..start + insert.len(), removed));
            grown += insert.len();
            shrunk += range.len();
        }
        Ok(inverse)
    }

    /// Where `offset` of the text before lies in the text after. Inside or at the rim of a replaced range
    /// [`Bias::Left`] is the start of what replaced it and [`Bias::Right`] its end.
    #[must_use]
    pub fn map_offset(&self, offset: usize, bias: Bias) -> usize {
        let mut grown = 0;
        let mut shrunk = 0;
        for Change { range, insert } in &self.changes {
            if offset < range.start {
                break;
            }
            if offset <= range.end {
                let start = range.start + grown - shrunk;
                return match bias {
                    Bias::Left => start,
                    Bias::Right => start + insert.len(),
                };
            }
            grown += insert.len();
            shrunk += range.len();
        }
        offset + grown - shrunk
    }

    /// Where a range lies after the edit, keeping out text inserted at its rims; empty where all of it is gone.
    #[must_use]
    pub fn map_range(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.map_offset(range.start, Bias::Right);
        let end = self.map_offset(range.end, Bias::Left);
        start.min(end)..end.max(start.min(end))
    }

    /// One edit that does what `self` and then `next` do; `next` is in the offsets of the text after `self`.
    #[must_use]
    pub fn compose(&self, next: &Self) -> Self {
        compose::compose(self, next)
    }
}

/// Composition over streams of keep, delete and insert.
mod compose {
    use super::{Change, Edit};

    enum Op<'a> {
        Keep(usize),
        Delete(usize),
        Insert(&'a str),
    }

    /// An edit as operations; after the last one everything is kept.
    fn ops(edit: &Edit) -> Vec<Op<'_>> {
        let mut at = 0;
        let mut ops = Vec::with_capacity(edit.changes.len() * 3);
        for change in &edit.changes {
            ops.push(Op::Keep(change.range.start - at));
            ops.push(Op::Insert(&change.insert));
            ops.push(Op::Delete(change.range.len()));
            at = change.range.end;
        }
        ops
    }

    struct Composer {
        edit: Edit,
        /// Offset in the first text.
        at: usize,
    }

    impl Composer {
        fn keep(&mut self, bytes: usize) {
            // The keep that stands for the rest of the text has no length.
            self.at = self.at.saturating_add(bytes);
        }

        fn delete(&mut self, bytes: usize) {
            self.edit.push(Change::new(self.at..self.at + bytes, ""));
            self.at += bytes;
        }

        fn insert(&mut self, text: &str) {
            self.edit.push(Change::new(self.at..self.at, text));
        }
    }

    /// Cuts after `bytes`, or after the character that holds that byte.
    fn split(text: &str, bytes: usize) -> (&str, &str) {
        let mut at = bytes.min(text.len());
        while !text.is_char_boundary(at) {
            at += 1;
        }
        text.split_at(at)
    }

    pub(super) fn compose(first: &Edit, second: &Edit) -> Edit {
        let mut output = Composer { edit: Edit::default(), at: 0 };
        let mut left = ops(first).into_iter();
        let mut pending: Option<Op<'_>> = None;
        for op in ops(second) {
            let mut need = match op {
                Op::Insert(text) => {
                    output.insert(text);
                    continue;
                }
                Op::Keep(bytes) | Op::Delete(bytes) => bytes,
            };
            let deletes = matches!(op, Op::Delete(_));
            while need > 0 {
                // Past the last operation of the first edit everything is kept.
                match pending.take().or_else(|| left.next()).unwrap_or(Op::Keep(usize::MAX)) {
                    Op::Delete(bytes) => output.delete(bytes),
                    Op::Keep(bytes) => {
                        let taken = bytes.min(need);
                        if deletes {
                            output.delete(taken)
                        } else {
                            output.keep(taken)
                        }
                        pending = Some(Op::Keep(bytes - taken)).filter(|_| bytes > taken);
                        need -= taken;
                    }
                    Op::Insert(text) => {
                        let (head, tail) = split(text, need);
                        if !deletes {
                            output.insert(head);
                        }
                        pending = Some(Op::Insert(tail)).filter(|_| !tail.is_empty());
                        need = need.saturating_sub(head.len());
                    }
                }
            }
        }
        for op in pending.into_iter().chain(left) {
            match op {
                Op::Keep(bytes) => output.keep(bytes),
                Op::Delete(bytes) => output.delete(bytes),
                Op::Insert(text) => output.insert(text),
            }
        }
        output.edit
    }
}
