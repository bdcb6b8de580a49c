//! A document: its text as a rope, its language, its syntax tree kept up to date, and cheap snapshots of it.

use crate::edit::{Bias, Change, Edit, EditError};
use crate::language::Language;
use crate::lazy_tree::LazyTree;
use crate::position::{self, Encoding, Position};
use crate::syntax::{self, Source};
use ropey::Rope;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;
use tree_sitter::Tree;

const BOM: &str = "\u{feff}";

/// Why bytes are no document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Not UTF-8.
    #[error(
        "not UTF-8: byte {offset} (0x{byte:02x}) starts no valid character; convert the file to UTF-8 first"
    )]
    NotUtf8 {
        /// The first offending byte's offset in the file.
        offset: usize,
        /// That byte.
        byte: u8,
    },
}

/// What ends a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnding {
    /// `\n`
    #[default]
    Lf,
    /// `\r\n`
    Crlf,
    /// `\r`
    Cr,
}

impl LineEnding {
    /// The bytes of the line break.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
            Self::Cr => "\r",
        }
    }

    /// The line break of the first line; [`LineEnding::Lf`] where there is none.
    #[must_use]
    pub fn detect(text: &Rope) -> Self {
        if text.len_lines() < 2 {
            return Self::Lf;
        }
        let start = text.line_to_byte(1);
        match (start.checked_sub(2).map(|i| text.byte(i)), text.byte(start - 1)) {
            (Some(b'\r'), b'\n') => Self::Crlf,
            (_, b'\r') => Self::Cr,
            _ => Self::Lf,
        }
    }
}

/// Whether a document has a syntax tree, and of how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeState {
    /// The tree is that of the whole text.
    Whole,
    /// The text has more than [`WHOLE_BYTES_MAX`](syntax::WHOLE_BYTES_MAX) bytes: the tree is that of a window around
    /// the last edit. A tree takes some 30 times the text, and repairing a large one takes longer than a keystroke.
    Window,
    /// The language has no grammar.
    NoGrammar,
}

/// An open document; the only thing that changes.
pub struct Document {
    current: Snapshot,
}

/// A document at one moment: cheap to clone, safe to send to another thread, never changing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    text: Rope,
    language: Language,
    tree: Arc<LazyTree>,
    version: u64,
    bom: bool,
    line_ending: LineEnding,
    /// Whether a `\r` without `\n` may be in the text; tree-sitter does not count it as a line break.
    lone_cr: bool,
}

impl Document {
    /// A document from text; a leading byte order mark is kept aside.
    #[must_use]
    pub fn new(text: &str, language: Language) -> Self {
        let (bom, text) = text.strip_prefix(BOM).map_or((false, text), |rest| (true, rest));
        let text = Rope::from_str(text);
        let line_ending = LineEnding::detect(&text);
        let lone_cr = has_lone_cr(&text, 0, text.len_bytes());
        let tree = Arc::default();
        Self { current: Snapshot { text, language, tree, version: 0, bom, line_ending, lone_cr } }
    }

    /// A document from the bytes of a file.
    ///
    /// # Errors
    /// [`DocumentError::NotUtf8`] with the offset of the first byte that is not UTF-8.
    pub fn from_bytes(bytes: &[u8], language: Language) -> Result<Self, DocumentError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(text, language)),
            Err(error) => {
                let offset = error.valid_up_to();
                Err(DocumentError::NotUtf8 { offset, byte: bytes[offset] })
            }
        }
    }

    /// Applies an edit; the version goes up by one. What it touched is parsed when somebody looks at the tree.
    ///
    /// # Errors
    /// An edit that does not fit the text changes nothing.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), EditError> {
        self.current.advance(edit)
    }

    /// Changes the language.
    pub fn set_language(&mut self, language: Language) {
        self.current.language = language;
        self.current.tree = Arc::default();
    }

    /// The document at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.current.clone()
    }

    /// The file's bytes: byte order mark and line ends as they came.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.current.to_bytes()
    }
}

impl std::ops::Deref for Document {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.current
    }
}

impl Snapshot {
    /// The document as it would be after `edit`, one version on; the document itself stays as it is.
    ///
    /// # Errors
    /// An edit that does not fit the text.
    pub fn edited(&self, edit: &Edit) -> Result<Self, EditError> {
        let mut next = self.clone();
        next.advance(edit)?;
        Ok(next)
    }

    /// Applies an edit; one that does not fit changes nothing.
    fn advance(&mut self, edit: &Edit) -> Result<(), EditError> {
        let before = self.text.clone();
        edit.apply(&mut self.text)?;
        if takes_first_break(&before, edit) {
            self.line_ending = LineEnding::detect(&self.text);
        }
        self.version += 1;
        let lone_cr_before = self.lone_cr;
        self.lone_cr |= edit_leaves_lone_cr(&self.text, edit);
        let end = edit.changes().last().map_or(0, |change| change.range.end);
        let before = Source { text: &before, lone_cr: lone_cr_before };
        self.tree = Arc::new(self.tree.after(edit, &before, edit.map_offset(end, Bias::Right)));
        Ok(())
    }

    /// The text, without a byte order mark.
    #[must_use]
    pub const fn text(&self) -> &Rope {
        &self.text
    }

    /// The language.
    #[must_use]
    pub const fn language(&self) -> Language {
        self.language
    }

    /// The syntax tree, where there is one; that of a window only in a large text, see [`Snapshot::tree_near`].
    ///
    /// The first look after an edit parses, for every snapshot of this version at once.
    #[must_use]
    pub fn tree(&self) -> Option<&Tree> {
        self.tree.get(self.language, &self.source())
    }

    /// Whether there is a tree, and of how much.
    #[must_use]
    pub fn tree_state(&self) -> TreeState {
        match self.tree() {
            None => TreeState::NoGrammar,
            Some(_) if self.len() > syntax::WHOLE_BYTES_MAX => TreeState::Window,
            Some(_) => TreeState::Whole,
        }
    }

    /// A tree that knows the surroundings of `range`: the document's, or in a large text one parsed for the occasion.
    #[must_use]
    pub fn tree_near(&self, range: &Range<usize>) -> Option<Cow<'_, Tree>> {
        let tree = self.tree()?;
        if syntax::covers(tree, &self.text, range) {
            return Some(Cow::Borrowed(tree));
        }
        let mut parser = syntax::parser(self.language)?;
        syntax::parse_near(&mut parser, &self.source(), None, range).map(Cow::Owned)
    }

    /// The text as the parser reads it.
    pub(crate) const fn source(&self) -> Source<'_> {
        Source { text: &self.text, lone_cr: self.lone_cr }
    }

    /// How many edits the document has seen.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether the file opens with a byte order mark.
    #[must_use]
    pub const fn has_bom(&self) -> bool {
        self.bom
    }

    /// What ended the first line when the document came to have one: at its opening, or with an edit that replaced the
    /// break there was. [`LineEnding::Lf`] where there is but one line.
    #[must_use]
    pub const fn line_ending(&self) -> LineEnding {
        self.line_ending
    }

    /// Bytes of the text, without a byte order mark.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len_bytes()
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file's bytes: byte order mark and line ends as they came.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() + BOM.len());
        if self.bom {
            bytes.extend_from_slice(BOM.as_bytes());
        }
        for chunk in self.text.chunks() {
            bytes.extend_from_slice(chunk.as_bytes());
        }
        bytes
    }

    /// The byte offset of a position, clamped into the text; see [`position::offset`].
    #[must_use]
    pub fn offset(&self, position: Position, encoding: Encoding) -> usize {
        position::offset(&self.text, position, encoding)
    }

    /// The position of a byte offset; see [`position::position`].
    #[must_use]
    pub fn position(&self, offset: usize, encoding: Encoding) -> Position {
        position::position(&self.text, offset, encoding)
    }
}

/// Whether a text has no first line break to keep after an edit: it had none, or the edit takes it.
fn takes_first_break(before: &Rope, edit: &Edit) -> bool {
    let end = (before.len_lines() > 1).then(|| before.line_to_byte(1));
    end.is_none_or(|end| edit.changes().iter().any(|it| it.range.start < end && end <= it.range.end))
}

/// Whether bytes `start..end` hold a `\r` that no `\n` follows; the byte after `end` is looked at.
fn has_lone_cr(text: &Rope, start: usize, end: usize) -> bool {
    let end = (end + 1).min(text.len_bytes());
    let mut after_cr = false;
    // Rims inside a character are rounded to the whole of it.
    let (first, last) = (text.byte_to_char(start), text.byte_to_char(end));
    let last = if text.char_to_byte(last) < end { last + 1 } else { last };
    for chunk in text.slice(first..last).chunks() {
        if !after_cr && !chunk.as_bytes().contains(&b'\r') {
            continue;
        }
        for &byte in chunk.as_bytes() {
            if after_cr && byte != b'\n' {
                return true;
            }
            after_cr = byte == b'\r';
        }
    }
    after_cr && end == text.len_bytes()
}

/// Whether an edit may have made a lone `\r`: looks at what it inserted and one byte to either side.
fn edit_leaves_lone_cr(after: &Rope, edit: &Edit) -> bool {
    let mut grown = 0;
    let mut shrunk = 0;
    edit.changes().iter().any(|Change { range, insert }| {
        let start = range.start + grown - shrunk;
        grown += insert.len();
        shrunk += range.len();
        has_lone_cr(after, start.saturating_sub(1), start + insert.len())
    })
}
