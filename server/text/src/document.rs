//! A document: its text as a rope, its language, its syntax tree kept up to date, and cheap snapshots of it.

use crate::edit::{Change, Edit, EditError};
use crate::language::Language;
use crate::position::{self, Encoding, Position};
use crate::syntax;
use ropey::Rope;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use thiserror::Error;
use tree_sitter::{Parser, Tree};

/// A text above this many bytes is kept without a syntax tree: a tree takes several times the text.
pub const TREE_BYTES_MAX: usize = 16 << 20;

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

/// Whether a document has a syntax tree, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeState {
    /// The tree is that of the text.
    Fresh,
    /// The parse ran out of its budget: the tree is the last one, its nodes moved by the edits since.
    Stale,
    /// The language has no grammar.
    NoGrammar,
    /// The text has more than [`TREE_BYTES_MAX`] bytes.
    TooLarge,
}

/// An open document; the only thing that changes.
pub struct Document {
    current: Snapshot,
    parser: Option<Parser>,
    parse_budget: Option<Duration>,
}

/// A document at one moment: cheap to clone, safe to send to another thread, never changing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    text: Rope,
    language: Language,
    tree: Option<Tree>,
    tree_state: TreeState,
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
        let (tree, tree_state) = (None, TreeState::NoGrammar);
        let version = 0;
        let current = Snapshot { text, language, tree, tree_state, version, bom, line_ending, lone_cr };
        let mut document = Self { current, parser: syntax::parser(language), parse_budget: None };
        document.reparse(None);
        document
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

    /// Bounds the time [`Document::apply`] may spend on parsing; `None` (the default) lets it finish. After a parse
    /// that ran out the tree is [`TreeState::Stale`] until the next one, or [`Document::finish_parse`], succeeds.
    #[must_use]
    pub const fn with_parse_budget(mut self, budget: Option<Duration>) -> Self {
        self.parse_budget = budget;
        self
    }

    /// Applies an edit and reparses what it touched; the version goes up by one.
    ///
    /// # Errors
    /// An edit that does not fit the text changes nothing.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), EditError> {
        let before = self.current.text.clone();
        edit.apply(&mut self.current.text)?;
        self.current.version += 1;
        let lone_cr_before = self.current.lone_cr;
        self.current.lone_cr |= edit_leaves_lone_cr(&self.current.text, edit);
        if let Some(tree) = &mut self.current.tree {
            syntax::edit_tree(tree, &before, edit, lone_cr_before);
        }
        self.reparse(self.parse_budget);
        Ok(())
    }

    /// Completes a parse that ran out of its budget, however long it takes.
    pub fn finish_parse(&mut self) {
        if self.current.tree_state == TreeState::Stale {
            self.reparse(None);
        }
    }

    /// Changes the language and parses anew.
    pub fn set_language(&mut self, language: Language) {
        self.current.language = language;
        self.current.tree = None;
        self.parser = syntax::parser(language);
        self.reparse(None);
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

    fn reparse(&mut self, budget: Option<Duration>) {
        let current = &mut self.current;
        let Some(parser) = &mut self.parser else {
            current.tree = None;
            current.tree_state = TreeState::NoGrammar;
            return;
        };
        if current.text.len_bytes() > TREE_BYTES_MAX {
            current.tree = None;
            current.tree_state = TreeState::TooLarge;
            return;
        }
        match syntax::parse(parser, &current.text, current.tree.as_ref(), budget) {
            Some(tree) => {
                current.tree = Some(tree);
                current.tree_state = TreeState::Fresh;
            }
            None => current.tree_state = TreeState::Stale,
        }
    }
}

impl std::ops::Deref for Document {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.current
    }
}

impl Snapshot {
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

    /// The syntax tree, where there is one; it may be [`TreeState::Stale`].
    #[must_use]
    pub const fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    /// Whether there is a tree, and how good it is.
    #[must_use]
    pub const fn tree_state(&self) -> TreeState {
        self.tree_state
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

    /// What ended the file's first line when it was opened.
    #[must_use]
    pub const fn line_ending(&self) -> LineEnding {
        self.line_ending
    }

    /// Whether a `\r` that is no part of `\r\n` may be in the text.
    #[must_use]
    pub const fn may_hold_lone_cr(&self) -> bool {
        self.lone_cr
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

    /// The text with one change made, and its tree, parsed incrementally from this one's; `None` without a tree.
    pub(crate) fn tree_with(&self, parser: &mut Parser, change: &Change) -> Option<(Rope, Tree)> {
        let edit = Edit::single(change.clone());
        let mut text = self.text.clone();
        edit.apply(&mut text).ok()?;
        let mut old = self.tree.clone()?;
        syntax::edit_tree(&mut old, &self.text, &edit, self.lone_cr);
        let tree = syntax::parse(parser, &text, Some(&old), None)?;
        Some((text, tree))
    }
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
