//! What stands on offer in a document, following the text: typing an offer on keeps it the same item with no new
//! inference, an edit elsewhere moves it, all else ends it.

use lacuna_text::{Change, Edit, Proposal, Snapshot};

/// Offers for one caret, best first; none is an answer too: nothing is to be offered here.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    proposals: Vec<Proposal>,
    /// Where nothing is to be offered: a version and a caret. Any edit ends that.
    nothing_at: Option<(u64, usize)>,
    invoked: bool,
}

impl Standing {
    /// What an inference for `caret` brought; `invoked` when a person asked for it and wants alternatives.
    ///
    /// Changes that cannot be shown at the caret are left out.
    #[must_use]
    pub fn new(
        snapshot: &Snapshot,
        caret: usize,
        changes: impl IntoIterator<Item = Change>,
        invoked: bool,
    ) -> Self {
        let version = snapshot.version();
        let proposals: Vec<Proposal> = changes
            .into_iter()
            .filter_map(|change| at_caret(snapshot, caret, change))
            .map(|change| Proposal::new(version, change))
            .collect();
        let nothing_at = proposals.is_empty().then_some((version, caret));
        Self { proposals, nothing_at, invoked }
    }

    /// The same after an edit; `None` when nothing of it holds any more, or the best was taken whole: what to
    /// offer behind that is a new question, not what is left of a longer alternative.
    #[must_use]
    pub fn rebase(&self, edit: &Edit) -> Option<Self> {
        let takes = |proposal: &Proposal| {
            edit.changes().iter().any(|done| *done == proposal.change || *done == with_typed(proposal))
        };
        if self.proposals.first().is_some_and(takes) {
            return None;
        }
        let proposals: Vec<Proposal> =
            self.proposals.iter().filter_map(|proposal| proposal.rebase(edit)).collect();
        (!proposals.is_empty()).then_some(Self { proposals, nothing_at: None, invoked: self.invoked })
    }

    /// What accepting each offer at a caret changes: what was typed of it on the caret's line included, so that it stays
    /// the same item for the client. `None` when it takes an inference to know.
    ///
    /// A person who asks gets alternatives: what was found for an automatic request does not answer that.
    #[must_use]
    pub fn offers(&self, snapshot: &Snapshot, caret: usize, invoked: bool) -> Option<Vec<Change>> {
        if invoked && !self.invoked {
            return None;
        }
        if self.nothing_at == Some((snapshot.version(), caret)) {
            return Some(Vec::new());
        }
        let offers: Vec<Change> = self
            .proposals
            .iter()
            .filter(|proposal| proposal.version == snapshot.version() && proposal.change.range.start == caret)
            .map(with_typed)
            .collect();
        (!offers.is_empty()).then_some(offers)
    }
}

/// `change` as one that starts at the caret, where it can be one.
fn at_caret(snapshot: &Snapshot, caret: usize, change: Change) -> Option<Change> {
    let text = |range| snapshot.text().byte_slice(range).to_string();
    let Change { range, insert } = change;
    let one_line = |range: std::ops::Range<usize>| !text(range).contains(['\n', '\r']);
    if range.end < caret || !one_line(range.start.min(caret)..range.end) {
        return None;
    }
    if range.start >= caret {
        let between = text(caret..range.start);
        return Some(Change::new(caret..range.end, format!("{between}{insert}")));
    }
    let kept = text(range.start..caret);
    let rest = insert.strip_prefix(kept.as_str())?.to_owned();
    (!rest.is_empty()).then(|| Change::new(caret..range.end, rest))
}

/// The change with what was typed of it on this line: same start and same text as when it was first offered.
fn with_typed(proposal: &Proposal) -> Change {
    let line = proposal.typed.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let typed = &proposal.typed[line..];
    let Change { range, insert } = &proposal.change;
    Change::new(range.start - typed.len()..range.end, format!("{typed}{insert}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_text::{Document, Language};

    /// The texts offered at the caret after some edits, with the range each replaces.
    fn after(text: &str, changes: &[Change], edits: &[Edit], caret: usize) -> Option<Vec<(usize, String)>> {
        let mut document = Document::new(text, Language::PlainText);
        let mut standing = Standing::new(&document, text.len(), changes.iter().cloned(), false);
        for edit in edits {
            document.apply(edit).unwrap();
            standing = standing.rebase(edit)?;
        }
        let offers = standing.offers(&document, caret, false)?;
        Some(offers.into_iter().map(|change| (change.range.start, change.insert)).collect())
    }

    fn insert(at: usize, text: &str) -> Change {
        Change::new(at..at, text)
    }

    #[test]
    fn typing_through_keeps_the_same_item() {
        let changes = [insert(4, "len() + 1"), insert(4, "last()")];
        let typed = |texts: &[&str], caret| {
            let mut at = 4;
            let edits: Vec<Edit> = texts
                .iter()
                .map(|text| {
                    at += text.len();
                    Edit::insert(at - text.len(), *text)
                })
                .collect();
            after("self", &changes, &edits, caret)
        };
        let item = |text: &str| (4, text.to_owned());
        assert_eq!(typed(&[], 4), Some(vec![item("len() + 1"), item("last()")]));
        assert_eq!(typed(&["l"], 5), Some(vec![item("len() + 1"), item("last()")]));
        assert_eq!(typed(&["l", "e"], 6), Some(vec![item("len() + 1")]));
        assert_eq!(typed(&["len()", " + "], 12), Some(vec![item("len() + 1")]), "word by word");
        assert_eq!(typed(&["x"], 5), None);
        assert_eq!(typed(&["l"], 4), None, "the caret went elsewhere");
        assert_eq!(typed(&["len() + 1"], 13), None, "nothing is left of it");
    }

    #[test]
    fn the_best_that_is_taken_ends_its_alternatives() {
        let changes = [insert(4, "len()"), insert(4, "len() + 1")];
        assert_eq!(after("self", &changes, &[Edit::insert(4, "len()")], 9), None);
        assert_eq!(after("self", &changes, &[Edit::insert(4, "le"), Edit::insert(6, "n()")], 9), None);
        let replaced = Edit::single(Change::new(4..6, "len()"));
        assert_eq!(after("self", &changes, &[Edit::insert(4, "le"), replaced], 9), None);
        assert!(after("self", &changes, &[Edit::insert(4, "len(")], 8).is_some());
        // The other way round it is the best, taken word by word.
        let changes = [insert(4, "len() + 1"), insert(4, "len()")];
        assert_eq!(
            after("self", &changes, &[Edit::insert(4, "len()")], 9),
            Some(vec![(4, "len() + 1".to_owned())])
        );
    }

    #[test]
    fn an_edit_elsewhere_moves_it() {
        let offers = after("a\nself", &[insert(6, "x")], &[Edit::insert(0, "use b;\n")], 13);
        assert_eq!(offers, Some(vec![(13, "x".to_owned())]));
    }

    #[test]
    fn lines_typed_are_no_part_of_the_item() {
        let edit = Edit::insert(2, "a;\n  ");
        assert_eq!(after("f(", &[insert(2, "a;\n  b;")], &[edit], 7), Some(vec![(5, "  b;".to_owned())]));
    }

    #[test]
    fn nothing_holds_until_the_next_edit() {
        assert_eq!(after("f(", &[], &[], 2), Some(vec![]));
        assert_eq!(after("f(", &[], &[], 1), None);
        assert_eq!(after("f(", &[], &[Edit::insert(0, "x")], 3), None);
    }

    #[test]
    fn changes_are_brought_to_the_caret_or_left_out() {
        let document = Document::new("ab  cd\nef", Language::PlainText);
        let shown = |caret, range: std::ops::Range<usize>, text: &str| {
            at_caret(&document, caret, Change::new(range, text)).map(|c| (c.range, c.insert))
        };
        assert_eq!(shown(2, 3..3, "x"), Some((2..3, " x".to_owned())));
        assert_eq!(shown(3, 2..4, " xy"), Some((3..4, "xy".to_owned())));
        assert_eq!(shown(3, 2..4, "xy"), None, "it would change what stands before the caret");
        assert_eq!(shown(2, 2..8, "x"), None, "a client shows one line's replacement only");
        assert_eq!(shown(6, 2..3, "x"), None);
    }

    #[test]
    fn a_person_who_asks_gets_alternatives() {
        let document = Document::new("f(", Language::PlainText);
        let automatic = Standing::new(&document, 2, [insert(2, "a")], false);
        let invoked = Standing::new(&document, 2, [insert(2, "a")], true);
        assert!(automatic.offers(&document, 2, true).is_none());
        assert!(invoked.offers(&document, 2, true).is_some());
        assert!(invoked.offers(&document, 2, false).is_some());
    }
}
