//! What stands on offer in a document, following the text: typing an offer on keeps it the same item with no new
//! inference, an edit elsewhere moves it, all else ends it.

use lacuna_text::{Change, Edit, Proposal, Snapshot};
use thiserror::Error;

/// Why nothing is offered where the model was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Nothing {
    /// Every proposal was less sure than who asks wants it.
    #[error("the model was too unsure of what it had (`minConfidence`)")]
    Unsure,
    /// There is none that can be used; why not.
    #[error("{0}")]
    Unusable(String),
}

/// What the engine found: changes, best first, each with the probability of being exactly right that the model states.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The changes.
    pub changes: Vec<(Change, Option<f32>)>,
    /// Why there are none, where there are none.
    pub unusable: String,
}

impl Found {
    /// The changes that are stated with at least the probability `least`, or with none.
    ///
    /// # Errors
    /// Why none is left.
    pub fn believed(self, least: f32) -> Result<Vec<Change>, Nothing> {
        if self.changes.is_empty() {
            return Err(Nothing::Unusable(self.unusable));
        }
        let sure = self.changes.into_iter().filter(|(_, stated)| stated.is_none_or(|stated| stated >= least));
        let sure: Vec<Change> = sure.map(|(change, _)| change).collect();
        if sure.is_empty() { Err(Nothing::Unsure) } else { Ok(sure) }
    }
}

/// Who asks for an offer, and where.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The caret.
    pub caret: usize,
    /// What is about to be written at the caret: the rest of a menu's entry. An offer goes on with it.
    pub ahead: &'a str,
    /// A person asks, and wants alternatives.
    pub invoked: bool,
    /// Least stated probability of what is offered.
    pub least: f32,
}

#[derive(Clone, Debug)]
struct Held {
    proposal: Proposal,
    confidence: Option<f32>,
}

/// Offers for one caret, best first; none is an answer too: nothing is to be offered here.
///
/// Everything that can be used is held, whoever asked: how sure it must be is up to who asks next.
#[derive(Clone, Debug)]
pub struct Standing {
    held: Vec<Held>,
    /// The document's version and the caret that the engine was asked about. That there is nothing, or nothing sure enough,
    /// holds there alone.
    made_at: (u64, usize),
    /// Why nothing is held.
    unusable: String,
    invoked: bool,
    /// Bytes of a menu's entry that the engine was given behind the caret: no model proposed those.
    given: usize,
}

impl Standing {
    /// What an inference brought for who asked.
    ///
    /// Changes that cannot be shown at the caret are left out.
    #[must_use]
    pub fn new(snapshot: &Snapshot, asked: &Asked<'_>, found: Found) -> Self {
        let version = snapshot.version();
        let Found { changes, mut unusable } = found;
        if !changes.is_empty() {
            "what the model has does not fit at the cursor".clone_into(&mut unusable);
        }
        let held = changes.into_iter().filter_map(|(change, confidence)| {
            let change = at_caret(snapshot, asked.caret, change)?;
            Some(Held { proposal: Proposal::new(version, change), confidence })
        });
        Self {
            held: held.collect(),
            made_at: (version, asked.caret),
            unusable,
            invoked: asked.invoked,
            given: asked.ahead.len(),
        }
    }

    /// The same after an edit; `None` when nothing of it holds any more, or the best was taken whole: what to
    /// offer behind that is a new question, not what is left of a longer alternative.
    #[must_use]
    pub fn rebase(&self, edit: &Edit) -> Option<Self> {
        let takes = |proposal: &Proposal| {
            edit.changes().iter().any(|done| *done == proposal.change || *done == with_typed(proposal))
        };
        if self.held.first().is_some_and(|held| takes(&held.proposal)) {
            return None;
        }
        let follow = |held: &Held| Some(Held { proposal: held.proposal.rebase(edit)?, ..*held });
        let held: Vec<Held> = self.held.iter().filter_map(follow).collect();
        (!held.is_empty()).then(|| Self { held, unusable: String::new(), ..*self })
    }

    /// What accepting each offer changes: what was typed of it on the caret's line included, so that it stays the same
    /// item for the client. `None` when it takes an inference to know.
    ///
    /// A person who asks gets alternatives: what was found for an automatic request does not answer that.
    #[must_use]
    pub fn offers(&self, snapshot: &Snapshot, asked: &Asked<'_>) -> Option<Result<Vec<Change>, Nothing>> {
        if asked.invoked && !self.invoked {
            return None;
        }
        let is_as_made = self.made_at == (snapshot.version(), asked.caret);
        if self.held.is_empty() {
            // Nothing at a caret says nothing about what comes behind a menu's entry, nor the other way round.
            let answers = is_as_made && self.given == 0 && asked.ahead.is_empty();
            return answers.then(|| Err(Nothing::Unusable(self.unusable.clone())));
        }
        let serves = |Held { proposal, .. }: &&Held| {
            proposal.version == snapshot.version()
                && proposal.change.range.start == asked.caret
                && proposal.typed.len() + asked.ahead.len() >= self.given
                && proposal.change.insert.starts_with(asked.ahead)
        };
        let changes: Vec<_> = self
            .held
            .iter()
            .filter(serves)
            .map(|held| (with_typed(&held.proposal), held.confidence))
            .collect();
        if changes.is_empty() {
            return None;
        }
        match (Found { changes, unusable: String::new() }).believed(asked.least) {
            // Of a text that has grown the model may be surer.
            Err(_) if !is_as_made => None,
            answer => Some(answer),
        }
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

    const fn asked(caret: usize) -> Asked<'static> {
        Asked { caret, ahead: "", invoked: false, least: 0.0 }
    }

    fn found(changes: &[Change]) -> Found {
        let changes = changes.iter().map(|change| (change.clone(), None)).collect();
        Found { changes, unusable: "no usable candidate".to_owned() }
    }

    /// The texts offered at the caret after some edits, with the range each replaces.
    fn after(text: &str, changes: &[Change], edits: &[Edit], caret: usize) -> Option<Vec<(usize, String)>> {
        let mut document = Document::new(text, Language::PlainText);
        let mut standing = Standing::new(&document, &asked(text.len()), found(changes));
        for edit in edits {
            document.apply(edit).unwrap();
            standing = standing.rebase(edit)?;
        }
        let offers = standing.offers(&document, &asked(caret))?.unwrap_or_default();
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
        let by = |invoked| Asked { invoked, ..asked(2) };
        let automatic = Standing::new(&document, &by(false), found(&[insert(2, "a")]));
        let invoked = Standing::new(&document, &by(true), found(&[insert(2, "a")]));
        assert!(automatic.offers(&document, &by(true)).is_none());
        assert!(invoked.offers(&document, &by(true)).is_some());
        assert!(invoked.offers(&document, &by(false)).is_some());
    }

    #[test]
    fn how_sure_it_must_be_is_up_to_who_asks() {
        let mut document = Document::new("f(", Language::PlainText);
        let by = |caret, least| Asked { least, ..asked(caret) };
        let changes = vec![(insert(2, "ab"), Some(0.4)), (insert(2, "c"), Some(0.2))];
        let all = Found { changes, unusable: String::new() };
        let standing = Standing::new(&document, &by(2, 0.9), all);
        assert_eq!(standing.offers(&document, &by(2, 0.9)), Some(Err(Nothing::Unsure)));
        assert_eq!(standing.offers(&document, &by(2, 0.3)), Some(Ok(vec![insert(2, "ab")])));
        assert_eq!(standing.offers(&document, &by(2, 0.0)).map(|it| it.map(|it| it.len())), Some(Ok(2)));
        let edit = Edit::insert(2, "a");
        document.apply(&edit).unwrap();
        let standing = standing.rebase(&edit).unwrap();
        assert_eq!(standing.offers(&document, &by(3, 0.9)), None, "the model may be surer now");
        let same_item = Change::new(2..3, "ab");
        assert_eq!(standing.offers(&document, &by(3, 0.3)), Some(Ok(vec![same_item])));
    }

    #[test]
    fn what_was_found_behind_a_menu_entry_needs_the_entry() {
        let mut document = Document::new("comp", Language::PlainText);
        let with = |caret, ahead: &'static str| Asked { ahead, ..asked(caret) };
        let standing = Standing::new(&document, &with(4, "are"), found(&[insert(4, "are(one)")]));
        let whole = Some(Ok(vec![insert(4, "are(one)")]));
        assert_eq!(standing.offers(&document, &with(4, "are")), whole);
        assert_eq!(standing.offers(&document, &with(4, "are(")), whole);
        assert_eq!(standing.offers(&document, &with(4, "")), None, "nobody proposed `are` here");
        assert_eq!(standing.offers(&document, &with(4, "ile")), None);
        let edit = Edit::insert(4, "ar");
        document.apply(&edit).unwrap();
        let standing = standing.rebase(&edit).unwrap();
        assert_eq!(standing.offers(&document, &with(6, "")), None);
        let same_item = |end| Some(Ok(vec![Change::new(4..end, "are(one)")]));
        assert_eq!(standing.offers(&document, &with(6, "e")), same_item(6));
        let edit = Edit::insert(6, "e");
        document.apply(&edit).unwrap();
        let standing = standing.rebase(&edit).unwrap();
        assert_eq!(standing.offers(&document, &with(7, "")), same_item(7), "it was taken");
    }

    #[test]
    fn nothing_says_why() {
        let document = Document::new("f(", Language::PlainText);
        let why = |standing: &Standing, caret| standing.offers(&document, &asked(caret));
        let standing = Standing::new(&document, &asked(2), found(&[]));
        assert_eq!(why(&standing, 2), Some(Err(Nothing::Unusable("no usable candidate".to_owned()))));
        assert_eq!(why(&standing, 1), None);
        let standing = Standing::new(&document, &asked(2), found(&[Change::new(0..1, "x")]));
        let Some(Err(Nothing::Unusable(reason))) = why(&standing, 2) else { panic!("{standing:?}") };
        assert!(reason.contains("does not fit"), "{reason}");
    }
}
