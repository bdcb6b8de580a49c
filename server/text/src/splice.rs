//! Splices: a model's candidate becomes the smallest change that fits the document, or is rejected for a reason.

mod trim;

use crate::document::{LineEnding, Snapshot};
use crate::edit::{Change, Edit};
use crate::plan::{Plan, to_lf};
use crate::region::{Marker, Reason};
use crate::syntax;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use thiserror::Error;
use tree_sitter::{Parser, Tree};

/// A candidate that fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spliced {
    /// What to change, in bytes of the document; line ends are the document's.
    pub change: Change,
    /// What stands in the hole afterwards, with `\n` line ends: the candidate without what repeated its neighbours.
    pub text: String,
    /// ERROR and MISSING nodes of the document at its best without the candidate (hole as it is, empty, or a name).
    pub errors_before: usize,
    /// ERROR and MISSING nodes of the document with it; 0 without a grammar.
    pub errors_after: usize,
}

/// Why a candidate is not offered.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Rejected {
    /// Nothing, or only white space.
    #[error("the candidate is blank")]
    Blank,
    /// All of it stands next to the hole already.
    #[error("the candidate only repeats the code around the hole")]
    Repeats,
    /// It is what the hole holds already; where that is a marker, also what holds it or is a piece of it.
    #[error("the candidate is what is there already")]
    Unchanged,
    /// It does not parse.
    #[error("the candidate adds syntax errors: {after} where there could be {before}")]
    Syntax {
        /// ERROR and MISSING nodes without the candidate.
        before: usize,
        /// ERROR and MISSING nodes with it.
        after: usize,
    },
    /// The document changed since the plan was made.
    #[error("the document is at version {found}, the plan at {expected}; plan again")]
    Stale {
        /// The plan's version.
        expected: u64,
        /// The document's version.
        found: u64,
    },
}

/// Whether `text` leaves the marker that it is to fill: a document with several of them makes them likely.
fn marks_again(plan: &Plan, text: &str) -> bool {
    let spelled = match plan.region.reason {
        Reason::Marker(Marker::Todo) => "do!", // also where another token came before its second half
        Reason::Marker(Marker::Unimplemented) => "implemented!",
        Reason::Marker(Marker::NotImplemented) => "NotImplementedError",
        _ => return false,
    };
    let piece = text.trim_end_matches(';');
    text.contains(spelled) || (piece.len() > 1 && plan.hole.contains(piece))
}

/// Turns a candidate into a change, see [`Splicer::splice`].
///
/// # Errors
/// As [`Splicer::splice`].
pub fn splice(snapshot: &Snapshot, plan: &Plan, candidate: &str) -> Result<Spliced, Rejected> {
    Splicer::new(snapshot, plan).splice(candidate)
}

/// As [`splice`] for a candidate of which nothing may be dropped: its ends are the document's own text or were written between it.
///
/// # Errors
/// As [`Splicer::splice`].
pub fn splice_whole(snapshot: &Snapshot, plan: &Plan, candidate: &str) -> Result<Spliced, Rejected> {
    Splicer::new(snapshot, plan).splice_whole(candidate)
}

/// Turns candidates for one hole into changes: what all of them are held against is parsed once.
pub struct Splicer<'a> {
    judge: Judge<'a>,
}

impl<'a> Splicer<'a> {
    /// For the hole of `plan`, which was made of `snapshot`.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, plan: &'a Plan) -> Self {
        Self { judge: Judge::new(snapshot, plan) }
    }

    /// Turns a candidate into a change.
    ///
    /// What repeats the end of the prefix or the beginning of the suffix is dropped, one-line holes are cut at the first
    /// line break, line ends and indentation characters become the document's. Of several ways to trim the one with the
    /// fewest syntax errors wins.
    ///
    /// # Errors
    /// A [`Rejected`] that says why; [`Rejected::Syntax`] when the tree would hold more ERROR and MISSING nodes than it
    /// could without the candidate.
    pub fn splice(&mut self, candidate: &str) -> Result<Spliced, Rejected> {
        self.splice_as_it_is(candidate).and_then(without_new_errors)
    }

    /// As [`Splicer::splice`], whatever it does to the syntax: for who has other reasons to trust a candidate.
    ///
    /// # Errors
    /// A [`Rejected`] that says why, never [`Rejected::Syntax`].
    pub fn splice_as_it_is(&mut self, candidate: &str) -> Result<Spliced, Rejected> {
        self.check_version()?;
        let candidate = to_lf(candidate);
        if candidate.trim().is_empty() {
            return Err(Rejected::Blank);
        }
        if marks_again(self.judge.plan, candidate.trim()) {
            return Err(Rejected::Unchanged);
        }
        self.choose(trim::variants(self.judge.plan, &candidate))
    }

    /// As [`Splicer::splice`] for a candidate of which nothing may be dropped.
    ///
    /// # Errors
    /// As [`Splicer::splice`].
    pub fn splice_whole(&mut self, candidate: &str) -> Result<Spliced, Rejected> {
        self.check_version()?;
        self.choose(vec![to_lf(candidate)]).and_then(without_new_errors)
    }

    fn check_version(&self) -> Result<(), Rejected> {
        let (expected, found) = (self.judge.plan.version, self.judge.snapshot.version());
        if expected == found { Ok(()) } else { Err(Rejected::Stale { expected, found }) }
    }

    /// The reading with the fewest syntax errors, as a change.
    fn choose(&mut self, variants: Vec<String>) -> Result<Spliced, Rejected> {
        let Judge { snapshot, plan, .. } = self.judge;
        let mut best: Option<(usize, String)> = None;
        for text in variants {
            let errors = self.judge.errors(&text);
            if best.as_ref().is_none_or(|(least, _)| errors < *least) {
                best = Some((errors, text));
            }
        }
        let Some((errors_after, text)) = best else { return Err(Rejected::Repeats) };
        if text == plan.hole {
            return Err(Rejected::Unchanged);
        }
        Ok(Spliced {
            change: minimal(snapshot, &self.judge.change(&text)),
            text,
            errors_before: self.judge.errors_without(),
            errors_after,
        })
    }
}

fn without_new_errors(spliced: Spliced) -> Result<Spliced, Rejected> {
    let Spliced { errors_before: before, errors_after: after, .. } = spliced;
    if after > before { Err(Rejected::Syntax { before, after }) } else { Ok(spliced) }
}

/// How a line may end after a name: nothing, a statement's end, a list's next, a block's begin in two families of languages.
const LINE_ENDS: [&str; 5] = ["", ";", ",", " {", ":"];

/// Counts the syntax errors of the document with different texts in the hole.
struct Judge<'a> {
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    /// The tree without the candidate, and a parser for those with it.
    syntax: Option<(Cow<'a, Tree>, Parser)>,
    /// What [`Judge::errors_without`] found.
    least: Option<usize>,
}

impl<'a> Judge<'a> {
    fn new(snapshot: &'a Snapshot, plan: &'a Plan) -> Self {
        let tree = snapshot.tree_near(&plan.region.range);
        let syntax = tree.and_then(|tree| Some((tree, syntax::parser(snapshot.language())?)));
        Self { snapshot, plan, syntax, least: None }
    }

    /// The change that puts `text` into the hole, in the document's line ends.
    fn change(&self, text: &str) -> Change {
        let whole = format!("{}{text}{}", self.plan.lead, self.plan.tail);
        let insert = match self.snapshot.line_ending() {
            LineEnding::Lf => whole,
            other => whole.replace('\n', other.as_str()),
        };
        Change::new(self.plan.region.range.clone(), insert)
    }

    /// Errors with `text` in the hole; 0 where nothing can be parsed.
    fn errors(&mut self, text: &str) -> usize {
        let change = self.change(text);
        self.errors_with(&change)
    }

    fn errors_with(&mut self, change: &Change) -> usize {
        let Some((tree, parser)) = &mut self.syntax else { return 0 };
        let edit = Edit::single(change.clone());
        let mut text = self.snapshot.text().clone();
        if edit.apply(&mut text).is_err() {
            return 0;
        }
        let new = syntax::reparse_after(parser, &self.snapshot.source(), tree, &edit, &text);
        new.map_or(0, |tree| syntax::error_count(&tree))
    }

    /// The least errors the document has without a candidate: with the hole as it is, empty, or holding a name. The
    /// name tells a broken hole (`let x = ;`) from a document that is broken elsewhere; with what closes the brackets that the
    /// hole's line left open, and an end of the line, it tells what a candidate must not leave open (`let x = f(`).
    fn errors_without(&mut self) -> usize {
        if let Some(least) = self.least {
            return least;
        }
        let range = self.plan.region.range.clone();
        let mut least = self.syntax.as_ref().map_or(0, |(tree, _)| syntax::error_count(tree));
        let closers = closers(self.plan.prefix.rsplit('\n').next().unwrap_or_default());
        let ended = LINE_ENDS.map(|end| format!("x{closers}{end}"));
        for insert in ["", "x"].into_iter().chain(ended.iter().map(String::as_str)) {
            if least > 0 {
                least = least.min(self.errors_with(&Change::new(range.clone(), insert)));
            }
        }
        self.least = Some(least);
        least
    }
}

/// What closes the brackets that `line` leaves open, the innermost first. Brackets in strings count too: such a guess is one
/// more that does not parse.
fn closers(line: &str) -> String {
    let mut open = Vec::new();
    for c in line.chars() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
    }
    open.into_iter().rev().collect()
}

/// The change without what it leaves as it is at either end.
fn minimal(snapshot: &Snapshot, change: &Change) -> Change {
    let old = snapshot.text().byte_slice(change.range.clone()).to_string();
    let new = change.insert.as_str();
    let head: usize =
        old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let same = |(a, b): &(char, char)| a == b;
    let tail: usize =
        old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(same).map(|(a, _)| a.len_utf8()).sum();
    let range = change.range.start + head..change.range.end - tail;
    Change::new(range, &new_rest[..new_rest.len() - tail])
}
