//! The open documents: the only owner of their texts, changed by the front alone, in order of arrival.

use crate::convert;
use crate::standing::Standing;
use crate::turns::Turns;
use lacuna_text::{Change, Document, Edit, Encoding, Language, Snapshot};
use serde::Deserialize;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tower_lsp::gen_lsp_types as lsp;

/// Documents above this are followed, but no model reads them: a whole-file dump is no code that somebody writes.
pub const INFERENCE_BYTES_MAX: usize = 8 << 20;
/// Edits remembered of a document, for answers that come when the text has moved on.
const EDITS_MAX: usize = 64;
/// Bytes they insert in all: a client that replaces a whole document by each change is not kept in copies.
const EDIT_BYTES_MAX: usize = 256 << 10;
/// Added to a document's opening when its text is replaced by one that cannot be an edit of it.
const REOPENED: u64 = 1 << 32;
/// Closed documents kept for what they tell of the others.
const CLOSED_MAX: usize = 16;
/// Bytes of a closed document worth keeping.
const CLOSED_BYTES_MAX: usize = 1 << 20;

/// One change of `textDocument/didChange`; without a range it is the whole text.
///
/// A type of our own: the generated one takes a change with a malformed range for a whole text.
#[derive(Clone, Debug, Deserialize)]
pub struct ContentChange {
    /// What is replaced, in the document as the changes before this one left it.
    pub range: Option<lsp::Range>,
    /// By what.
    pub text: String,
}

/// A document at one moment, as a request sees it.
#[derive(Clone, Debug)]
pub struct View {
    /// Its name.
    pub uri: lsp::Uri,
    /// The client's name of its language.
    pub language_id: Arc<str>,
    /// The client's version.
    pub version: i32,
    /// Which opening of the document this is: versions start anew with each.
    pub opening: u64,
    /// Its text and tree.
    pub snapshot: Snapshot,
}

/// Another document, for what it tells of the one that is worked on.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its name.
    pub uri: lsp::Uri,
    /// The client's name of its language.
    pub language_id: Arc<str>,
    /// Its text and tree.
    pub snapshot: Snapshot,
}

struct Open {
    document: Document,
    language_id: Arc<str>,
    version: i32,
    opening: u64,
    standing: Option<Standing>,
    edits: VecDeque<Edit>,
    turns: Turns,
}

/// All documents, and the unit of their positions.
#[derive(Default)]
pub struct Documents {
    open: HashMap<lsp::Uri, Open>,
    /// Names of open documents, the one edited or asked about last in front.
    recent: VecDeque<lsp::Uri>,
    closed: VecDeque<Other>,
    encoding: Encoding,
    openings: u64,
    switches: u64,
}

impl Documents {
    /// Sets the unit of positions, before any document is opened.
    pub const fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// Opens a document; one that is open already gets the new text.
    pub fn open(&mut self, item: lsp::TextDocumentItem) {
        self.openings += 1;
        self.closed.retain(|other| other.uri != item.uri);
        let language_id: &str = &serde_json::to_value(&item.language_id)
            .ok()
            .and_then(|id| id.as_str().map(str::to_owned))
            .unwrap_or_default();
        let open = Open {
            document: Document::new(&item.text, Language::from_id(language_id)),
            language_id: language_id.into(),
            version: item.version,
            opening: self.openings,
            standing: None,
            edits: VecDeque::new(),
            turns: Turns::default(),
        };
        self.touch(&item.uri);
        self.open.insert(item.uri, open);
    }

    /// Applies changes, each to what the one before left. `false` when the document is not open.
    pub fn change(&mut self, uri: &lsp::Uri, version: i32, changes: Vec<ContentChange>) -> bool {
        let encoding = self.encoding;
        let Some(open) = self.open.get_mut(uri) else { return false };
        if version < open.version {
            tracing::warn!(have = open.version, came = version, "a document's version went back");
        }
        open.version = version;
        for change in changes {
            open.apply(change, encoding);
        }
        self.touch(uri);
        true
    }

    /// Closes a document; what it held is remembered a while as context for others. `false` when it is not open.
    pub fn close(&mut self, uri: &lsp::Uri) -> bool {
        let Some(open) = self.open.remove(uri) else { return false };
        self.recent.retain(|other| other != uri);
        if open.document.len() <= CLOSED_BYTES_MAX && open.document.version() > 0 {
            self.closed.push_front(open.other(uri));
            self.closed.truncate(CLOSED_MAX);
        }
        true
    }

    /// A document as it is now.
    #[must_use]
    pub fn view(&self, uri: &lsp::Uri) -> Option<View> {
        self.open.get(uri).map(|open| open.view(uri))
    }

    /// The turns of a document's requests.
    pub fn turns(&mut self, uri: &lsp::Uri) -> Option<&mut Turns> {
        self.open.get_mut(uri).map(|open| &mut open.turns)
    }

    /// Takes down what stands on offer everywhere: who asks next asks by other rules, or another model.
    pub fn take_down(&mut self) {
        for open in self.open.values_mut() {
            open.standing = None;
        }
    }

    /// Ends the turns of requests in documents that are not `allowed` any more: their work is not wanted. One that came
    /// behind the change of settings of this number is answered by what that leaves.
    pub fn end_turns(&mut self, change: u64, allowed: impl Fn(&lsp::Uri, &str) -> bool) {
        for (uri, open) in &mut self.open {
            if open.turns.settings < change && !allowed(uri, &open.language_id) {
                open.turns = Turns::default();
            }
        }
    }

    /// What stands on offer, if the document is still as `view` saw it.
    #[must_use]
    pub fn standing(&self, view: &View) -> Option<&Standing> {
        self.current(view)?.standing.as_ref()
    }

    /// Puts up what was found for `view`, brought up to date with what was typed since; `false` when the text has
    /// moved on.
    pub fn offer(&mut self, view: &View, standing: Standing) -> bool {
        let Some(open) = self.open.get_mut(&view.uri).filter(|open| open.opening == view.opening) else {
            return false;
        };
        let behind = open.document.version() - view.snapshot.version();
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let Some(first) = open.edits.len().checked_sub(behind) else { return false };
        let held = open.edits.iter().skip(first).try_fold(standing, |held, edit| held.rebase(edit));
        // What was found for an older text does not take the place of what was found since.
        if behind == 0 || open.standing.is_none() {
            open.standing = held;
        }
        behind == 0
    }

    /// Whether the document is still as `view` saw it.
    #[must_use]
    pub fn is_current(&self, view: &View) -> bool {
        self.current(view).is_some()
    }

    fn current(&self, view: &View) -> Option<&Open> {
        self.open
            .get(&view.uri)
            .filter(|open| open.opening == view.opening && open.document.version() == view.snapshot.version())
    }

    /// Other documents, the most recently edited first: those that are open, then those that were.
    #[must_use]
    pub fn others(&self, uri: &lsp::Uri, most: usize) -> Vec<Other> {
        let open = self.recent.iter().filter_map(|name| Some(self.open.get(name)?.other(name)));
        open.chain(self.closed.iter().cloned()).filter(|other| other.uri != *uri).take(most).collect()
    }

    /// How often the work went from one document to another.
    #[must_use]
    pub const fn switches(&self) -> u64 {
        self.switches
    }

    fn touch(&mut self, uri: &lsp::Uri) {
        if self.recent.front() == Some(uri) {
            return;
        }
        self.switches += 1;
        self.recent.retain(|other| other != uri);
        self.recent.push_front(uri.clone());
    }
}

impl Open {
    fn view(&self, uri: &lsp::Uri) -> View {
        View {
            uri: uri.clone(),
            language_id: Arc::clone(&self.language_id),
            version: self.version,
            opening: self.opening,
            snapshot: self.document.snapshot(),
        }
    }

    fn other(&self, uri: &lsp::Uri) -> Other {
        Other {
            uri: uri.clone(),
            language_id: Arc::clone(&self.language_id),
            snapshot: self.document.snapshot(),
        }
    }

    fn apply(&mut self, change: ContentChange, encoding: Encoding) {
        let Some(range) = change.range else { return self.replace(&change.text) };
        let before_mark = |position| convert::is_before_mark(&self.document, position, encoding);
        if before_mark(range.start) || before_mark(range.end) {
            // What happens around a byte order mark is too rare for more than doing it right.
            let mut text = String::from_utf8_lossy(&self.document.to_bytes()).into_owned();
            let mark = '\u{feff}'.len_utf8();
            let raw = |position| match before_mark(position) {
                true => 0,
                false => convert::offset(&self.document, position, encoding) + mark,
            };
            let (start, end) = (raw(range.start), raw(range.end));
            text.replace_range(start.min(end)..start.max(end), &change.text);
            return self.replace(&text);
        }
        let bytes = convert::range(&self.document, range, encoding);
        let edit = Edit::single(Change::new(bytes, change.text));
        if let Err(error) = self.document.apply(&edit) {
            // Offsets come from the text itself, so this is a defect; the text stays as it was.
            tracing::error!(%error, "a change did not fit its document");
            return;
        }
        self.standing = self.standing.take().and_then(|standing| standing.rebase(&edit));
        self.edits.push_back(edit);
        while self.edits.len() > EDITS_MAX || inserted(&self.edits) > EDIT_BYTES_MAX {
            self.edits.pop_front();
        }
    }

    /// A whole new text: an edit of all of it, so that versions go on.
    fn replace(&mut self, text: &str) {
        if self.document.has_bom() != text.starts_with('\u{feff}') {
            self.document = Document::new(text, self.document.language());
            // Its versions start anew, so it is another opening to whoever saw the old text; the count of openings
            // never gets to where these are.
            self.opening += REOPENED;
            self.edits.clear();
        } else {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let edit = Edit::single(Change::new(0..self.document.len(), text));
            if let Err(error) = self.document.apply(&edit) {
                tracing::error!(%error, "a text did not replace its document");
            }
            self.edits.clear();
        }
        self.standing = None;
    }
}

/// Bytes that edits insert.
fn inserted(edits: &VecDeque<Edit>) -> usize {
    edits.iter().flat_map(Edit::changes).map(|change| change.insert.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Edits remembered after each of `texts` was inserted at the beginning of a document.
    fn remembered(texts: &[String]) -> usize {
        let mut documents = Documents::default();
        let uri = lsp::Uri::from("file:///a.rs".to_owned());
        let item = serde_json::json!({ "uri": uri, "languageId": "rust", "version": 0, "text": "" });
        documents.open(serde_json::from_value(item).unwrap());
        for text in texts {
            let range = Some(lsp::Range::default());
            assert!(documents.change(&uri, 1, vec![ContentChange { range, text: text.clone() }]));
        }
        documents.open[&uri].edits.len()
    }

    #[test]
    fn the_edits_remembered_are_few_and_small() {
        assert_eq!(remembered(&vec!["x".to_owned(); 3]), 3);
        assert_eq!(remembered(&vec!["x".to_owned(); 100]), EDITS_MAX);
        assert_eq!(remembered(&vec!["x".repeat(100_000); 10]), 2);
        assert_eq!(remembered(&["x".to_owned(), "x".repeat(EDIT_BYTES_MAX + 1)]), 0);
    }
}
