//! Proposals that follow the user: typing what is proposed shrinks it, edits elsewhere move it, all else ends it.

use crate::edit::{Bias, Change, Edit};
use serde::{Deserialize, Serialize};

/// A change on offer, at a version of its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The document's version the change applies to.
    pub version: u64,
    /// What accepting does.
    pub change: Change,
    /// What the user has typed of it so far; it stands just before the change.
    pub typed: String,
}

impl Proposal {
    /// A proposal nobody has typed into yet.
    #[must_use]
    pub const fn new(version: u64, change: Change) -> Self {
        Self { version, change, typed: String::new() }
    }

    /// The proposal after one edit of the document (the version goes up by one); `None` when it no longer holds.
    ///
    /// Typing at the start of the replaced range must spell the proposal on; erasing what was typed gives it back;
    /// erasing within the replaced range shrinks the range; edits that touch neither only move it.
    #[must_use]
    pub fn rebase(&self, edit: &Edit) -> Option<Self> {
        let mut next = Self { version: self.version + 1, ..self.clone() };
        // From the back: what comes before a change does not move when that change is made.
        for change in edit.changes().iter().rev() {
            next = next.after(change)?;
        }
        Some(next)
    }

    fn after(&self, change: &Change) -> Option<Self> {
        let own = &self.change.range;
        let their = &change.range;
        let typed_start = own.start - self.typed.len();
        let pure_insert_at_end = their.is_empty() && their.start == own.end && !own.is_empty();
        if their.start > own.end || pure_insert_at_end {
            return Some(self.clone());
        }
        if their.end < typed_start || their.is_empty() && their.end == typed_start && !self.typed.is_empty() {
            return Some(self.moved(change));
        }
        if their.start == own.start && their.end <= own.end {
            return self.typed_on(change);
        }
        if their.start > own.start && their.end <= own.end && change.insert.is_empty() {
            let mut next = self.clone();
            next.change.range.end -= their.len();
            return Some(next);
        }
        self.erased(change)
    }

    fn moved(&self, change: &Change) -> Self {
        let edit = Edit::single(change.clone());
        let range = &self.change.range;
        let start = edit.map_offset(range.start, Bias::Right);
        let mut next = self.clone();
        next.change.range = start..start + range.len();
        next
    }

    /// `change` replaces the beginning of the range by the beginning of the proposal.
    fn typed_on(&self, change: &Change) -> Option<Self> {
        let rest = self.change.insert.strip_prefix(change.insert.as_str())?;
        let own = &self.change.range;
        let start = own.start + change.insert.len();
        let range = start..start + own.len() - change.range.len();
        if rest.is_empty() && range.is_empty() {
            return None;
        }
        let typed = format!("{}{}", self.typed, change.insert);
        Some(Self { version: self.version, change: Change::new(range, rest), typed })
    }

    /// `change` erases the end of what was typed.
    fn erased(&self, change: &Change) -> Option<Self> {
        let own = &self.change.range;
        let erased = change.range.len();
        if change.range.end != own.start || erased > self.typed.len() || !change.insert.is_empty() {
            return None;
        }
        let (typed, back) = self.typed.split_at_checked(self.typed.len() - erased)?;
        let range = change.range.start..own.end - erased;
        let insert = format!("{back}{}", self.change.insert);
        Some(Self { version: self.version, change: Change::new(range, insert), typed: typed.to_owned() })
    }
}
