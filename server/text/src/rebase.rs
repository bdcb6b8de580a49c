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
    /// What the edit leaves before the replaced range must spell a beginning of the proposal: typing on shrinks it,
    /// erasing what was typed gives it back, and so does a completion that replaces what was typed by more of it. What
    /// an editor closes by itself behind the cursor (`(` becomes `()`) is taken into the replaced range; erasing within
    /// that range shrinks it; edits that touch neither only move it.
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
        if typed_start <= their.start && their.start <= own.start && their.end <= own.end {
            return self.retyped(change);
        }
        if their.start > own.start && their.end <= own.end && change.insert.is_empty() {
            let mut next = self.clone();
            next.change.range.end -= their.len();
            return Some(next);
        }
        None
    }

    fn moved(&self, change: &Change) -> Self {
        let edit = Edit::single(change.clone());
        let range = &self.change.range;
        let start = edit.map_offset(range.start, Bias::Right);
        let mut next = self.clone();
        next.change.range = start..start + range.len();
        next
    }

    /// `change` replaces the end of what was typed, the beginning of the range, or some of both.
    fn retyped(&self, change: &Change) -> Option<Self> {
        let own = &self.change.range;
        let typed_start = own.start - self.typed.len();
        let kept = self.typed.get(..change.range.start - typed_start)?;
        // What was typed after the change, and how much of the range it takes.
        let behind = self.typed.get((change.range.end - typed_start).min(self.typed.len())..)?;
        let taken = change.range.end.saturating_sub(own.start);
        let whole = format!("{}{}", self.typed, self.change.insert);
        let mut typed = format!("{kept}{}{behind}", change.insert);
        let mut closed = 0;
        if !whole.starts_with(&typed) {
            let rest = whole.strip_prefix(kept).filter(|_| behind.is_empty())?;
            closed = auto_closed(&change.insert, rest, own.len() > taken)?;
            typed.truncate(typed.len() - closed);
        }
        let rest = whole.strip_prefix(&typed)?;
        let start = typed_start + typed.len();
        let range = start..start + closed + own.len() - taken;
        if rest.is_empty() && range.is_empty() {
            return None;
        }
        Some(Self { version: self.version, change: Change::new(range, rest), typed })
    }
}

/// Bytes at the end of `insert` that an editor put behind the cursor by itself while the user typed a beginning of
/// `rest`: what closes the bracket or quote just typed, or, before something already `enclosed`, a line of its own.
fn auto_closed(insert: &str, rest: &str, enclosed: bool) -> Option<usize> {
    let same = insert.chars().zip(rest.chars()).take_while(|(a, b)| a == b);
    let (typed, added) = insert.split_at(same.map(|(c, _)| c.len_utf8()).sum());
    let closer = match typed.chars().next_back()? {
        '(' => ")",
        '[' => "]",
        '{' => "}",
        '"' => "\"",
        '\'' => "'",
        '`' => "`",
        _ => "",
    };
    let pair = !closer.is_empty() && added == closer && rest[typed.len()..].contains(closer);
    let is_blank = |text: &str| text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
    let line =
        enclosed && added.starts_with(['\n', '\r']) && typed.starts_with(['\n', '\r']) && is_blank(insert);
    (pair || line).then_some(added.len())
}
