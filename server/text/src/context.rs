//! Context beyond the file: the pieces of other documents that share most names with what surrounds a hole.
//!
//! Neighbours are cut into chunks (functions, types, else windows of lines). A chunk scores by the names it shares
//! with the lines around the hole, rare ones more (inverse document frequency over the chunks at hand), those of the
//! hole's own line more, and divided by its length. A chunk that shares too little is never shown.

mod chunks;
mod rank;
mod terms;
mod wanted;

use crate::document::Snapshot;
use crate::language::Language;
use crate::plan::Measure;
use chunks::Chunks;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;
use wanted::Wanted;

/// Neighbours after these are not looked at.
const NEIGHBOURS_MAX: usize = 32;
/// Documents an [`Index`] keeps cut.
const KEPT_MAX: usize = 2 * NEIGHBOURS_MAX;
/// The hole that context is wanted for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The document's name; a neighbour of the same name is the document itself.
    pub name: &'a str,
    /// The document.
    pub snapshot: &'a Snapshot,
    /// The bytes to fill; clamped into the text.
    pub hole: Range<usize>,
}

/// Another document.
#[derive(Clone, Copy, Debug)]
pub struct Neighbour<'a> {
    /// What a reader calls it: a path from the root of the workspace, say.
    pub name: &'a str,
    /// The document.
    pub snapshot: &'a Snapshot,
}

/// A piece of another document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snippet {
    /// The document's name.
    pub name: String,
    /// Its lines without common indentation, with `\n` between them and none at the end.
    pub text: String,
    /// How similar it is; comparable within one answer.
    pub score: f32,
}

/// The most similar pieces of `neighbours`, which come most recently used first, within `tokens_max` tokens of what
/// [`render`] makes of them. The most similar comes last, where it is nearest to the code; the same input gives the
/// same answer. Empty where nothing is similar. Nothing of the query's own document is ever in it.
#[must_use]
pub fn snippets(
    query: &Query<'_>,
    neighbours: &[Neighbour<'_>],
    tokens_max: usize,
    measure: &dyn Measure,
) -> Vec<Snippet> {
    Index::default().snippets(query, neighbours, tokens_max, measure)
}

/// The snippets as text: each under a comment that names its document, a blank line after each.
#[must_use]
pub fn render(snippets: &[Snippet], language: Language) -> String {
    snippets.iter().map(|snippet| piece(&snippet.name, &snippet.text, language)).collect()
}

fn piece(name: &str, text: &str, language: Language) -> String {
    let name = name.replace(char::is_control, " ");
    format!("{} from {name}\n{text}\n\n", language.line_comment().unwrap_or("//"))
}

/// Neighbours kept cut between queries, as long as their text stays; answers as [`snippets`] does.
///
/// Holds the text of at most 64 documents, which costs little while they are open: ropes share their parts.
#[derive(Default)]
pub struct Index {
    kept: HashMap<String, (u64, Chunks)>,
    queries: u64,
}

impl Index {
    /// As the function [`snippets`].
    pub fn snippets(
        &mut self,
        query: &Query<'_>,
        neighbours: &[Neighbour<'_>],
        tokens_max: usize,
        measure: &dyn Measure,
    ) -> Vec<Snippet> {
        let wanted = Wanted::new(query);
        if tokens_max == 0 || wanted.terms.is_empty() {
            return Vec::new();
        }
        let others: Vec<&Neighbour<'_>> = neighbours
            .iter()
            .filter(|other| {
                other.name != query.name && !other.snapshot.text().is_instance(query.snapshot.text())
            })
            .take(NEIGHBOURS_MAX)
            .collect();
        self.update(&others);
        let documents: Vec<(&str, &Chunks)> =
            others.iter().filter_map(|other| Some((other.name, &self.kept.get(other.name)?.1))).collect();
        let ranked = rank::rank(&wanted, &documents, query.snapshot.language());
        rank::choose(&ranked, query, tokens_max, measure)
    }

    /// Drops what is kept of a document that was closed.
    pub fn forget(&mut self, name: &str) {
        self.kept.remove(name);
    }

    /// Cuts those that are new or have changed.
    fn update(&mut self, others: &[&Neighbour<'_>]) {
        self.queries += 1;
        for other in others {
            match self.kept.get_mut(other.name) {
                Some((used, chunks)) if chunks.are_of(other.snapshot) => *used = self.queries,
                _ => {
                    self.kept.insert(other.name.to_owned(), (self.queries, Chunks::new(other.snapshot)));
                }
            }
        }
        while self.kept.len() > KEPT_MAX {
            let oldest = self.kept.iter().min_by_key(|(name, (used, _))| (*used, *name));
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
            self.kept.remove(&name);
        }
    }
}
