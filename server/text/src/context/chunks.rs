//! Chunks: a document cut into what can be shown alone, each with the terms it holds.

use super::terms::{Term, each_term};
use crate::document::{Snapshot, TreeState};
use crate::language::Language;
use crate::position;
use ropey::Rope;
use std::ops::Range;
use tree_sitter::Node;

/// What is read of a document: its head.
const READ_BYTES_MAX: usize = 256 << 10;
/// A chunk with more bytes is generated code.
const CHUNK_BYTES_MAX: usize = 6 << 10;
const CHUNK_LINES_MAX: usize = 60;
/// Lines of a chunk where no item says where to cut.
const WINDOW_LINES: usize = 20;
/// A type with more lines is cut into its members.
const TYPE_LINES_MAX: usize = 24;
/// Items with few lines (imports, constants) are gathered up to as many.
const SMALL_LINES: usize = 2;
const GATHERED_LINES: usize = 12;
/// Nodes that hold members.
const MEMBERS: [&str; 6] =
    ["declaration_list", "class_body", "interface_body", "field_declaration_list", "enum_body", "block"];

/// A document's chunks.
pub(super) struct Chunks {
    /// The text they were cut from; a clone of the rope, which says whether it still is.
    text: Rope,
    language: Language,
    chunks: Vec<Chunk>,
    /// The terms of all chunks, one after the other, each once a chunk.
    terms: Vec<Term>,
}

/// Some whole lines.
pub(super) struct Chunk {
    pub(super) bytes: Range<usize>,
    terms: Range<usize>,
}

impl Chunks {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let text = snapshot.text();
        let head = text.byte_slice(..position::floor(text, READ_BYTES_MAX)).to_string();
        let starts = line_starts(&head);
        let mut chunks = Self {
            text: text.clone(),
            language: snapshot.language(),
            chunks: Vec::new(),
            terms: Vec::with_capacity(head.len() / 8),
        };
        let mut seen = Seen::new();
        for lines in cut(snapshot, &starts) {
            let bytes = starts[lines.start]..starts.get(lines.end).copied().unwrap_or(head.len());
            let chunk = &head[bytes.clone()];
            if bytes.len() > CHUNK_BYTES_MAX || chunk.trim().is_empty() {
                continue;
            }
            let first = chunks.terms.len();
            seen.clear();
            each_term(chunk, |term, _| {
                if seen.insert(term) {
                    chunks.terms.push(term);
                }
            });
            chunks.chunks.push(Chunk { bytes, terms: first..chunks.terms.len() });
        }
        chunks
    }

    /// Whether these are the chunks of that snapshot.
    pub(super) fn are_of(&self, snapshot: &Snapshot) -> bool {
        self.language == snapshot.language() && self.text.is_instance(snapshot.text())
    }

    pub(super) const fn language(&self) -> Language {
        self.language
    }

    /// Every chunk with its terms.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Chunk, &[Term])> {
        self.chunks.iter().map(|chunk| (chunk, &self.terms[chunk.terms.clone()]))
    }

    /// A chunk's text as it stands in the document.
    pub(super) fn text(&self, chunk: &Chunk) -> String {
        self.text.byte_slice(chunk.bytes.clone()).to_string()
    }
}

/// The terms of one chunk; emptied in no time, so that every chunk can use it.
struct Seen {
    slots: Vec<(Term, u32)>,
    round: u32,
    count: usize,
}

impl Seen {
    const SLOTS: usize = 1 << 12;

    fn new() -> Self {
        Self { slots: vec![(0, 0); Self::SLOTS], round: 0, count: 0 }
    }

    fn clear(&mut self) {
        self.round += 1;
        self.count = 0;
    }

    /// Whether `term` is new; a chunk of [`CHUNK_BYTES_MAX`] cannot fill more than half of the slots.
    fn insert(&mut self, term: Term) -> bool {
        let mut at = term as usize % Self::SLOTS;
        while self.slots[at].1 == self.round {
            if self.slots[at].0 == term {
                return false;
            }
            at = (at + 1) % Self::SLOTS;
        }
        if self.count == Self::SLOTS / 2 {
            return false;
        }
        self.count += 1;
        self.slots[at] = (term, self.round);
        true
    }
}

/// Where lines start; a `\r` alone starts one too.
fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = Vec::with_capacity(bytes.len() / 32 + 1);
    starts.push(0);
    for (at, &byte) in bytes.iter().enumerate() {
        // One comparison for nearly every byte.
        if byte <= b'\r' && (byte == b'\n' || byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
            starts.push(at + 1);
        }
    }
    starts.pop_if(|start| *start == bytes.len());
    starts
}

/// The lines of each chunk, in order.
fn cut(snapshot: &Snapshot, starts: &[usize]) -> Vec<Range<usize>> {
    if starts.is_empty() {
        return Vec::new();
    }
    let mut items = Items { language: snapshot.language(), starts, found: Vec::new() };
    if snapshot.tree_state() == TreeState::Whole
        && let Some(tree) = snapshot.tree()
    {
        items.of(tree.root_node(), 0);
    }
    if items.found.is_empty() {
        items.found.push(0..starts.len());
    }
    let mut chunks: Vec<Range<usize>> = Vec::new();
    let mut gathers = false;
    for item in items.found {
        let small = item.len() <= SMALL_LINES;
        match chunks.last_mut() {
            Some(last) if gathers && small && item.end - last.start <= GATHERED_LINES => last.end = item.end,
            _ if item.len() > CHUNK_LINES_MAX => chunks.extend(windows(&item)),
            _ => chunks.push(item),
        }
        gathers = small;
    }
    chunks
}

fn windows(lines: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = lines.end;
    lines.clone().step_by(WINDOW_LINES).map(move |start| start..(start + WINDOW_LINES).min(end))
}

struct Items<'a> {
    language: Language,
    starts: &'a [usize],
    found: Vec<Range<usize>>,
}

impl Items<'_> {
    /// The items among the children of `parent`, the first from line `first` on; types that are too long by member.
    fn of(&mut self, parent: Node<'_>, first: usize) {
        let mut cursor = parent.walk();
        // Comments and attributes belong to what follows them.
        let mut pending = Some(first).filter(|_| parent.parent().is_some());
        for node in parent.named_children(&mut cursor) {
            let end = self.line(node.end_byte().saturating_sub(1)) + 1;
            let start = pending.take().unwrap_or_else(|| self.line(node.start_byte()));
            let leads = ["comment", "attribute_item", "decorator", "annotation"];
            if leads.iter().any(|lead| node.kind().contains(lead)) {
                pending = Some(start);
                continue;
            }
            let start = start.max(self.found.last().map_or(0, |last| last.end));
            if start >= end {
                continue;
            }
            let long = end - start > TYPE_LINES_MAX;
            match long.then(|| members(self.language, node, 2)).flatten() {
                Some(members) => self.of(members, start),
                None => self.found.push(start..end),
            }
        }
    }

    fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|&start| start <= byte).saturating_sub(1)
    }
}

/// The node that holds the members of a type or module.
fn members(language: Language, node: Node<'_>, depth: usize) -> Option<Node<'_>> {
    if language.function_kinds().contains(&node.kind()) || node.kind().ends_with("_statement") && depth < 2 {
        return None;
    }
    let mut cursor = node.walk();
    let children: Vec<Node<'_>> = node.named_children(&mut cursor).take(12).collect();
    let held = children.iter().copied().find(|child| MEMBERS.contains(&child.kind()));
    held.or_else(|| {
        let inner = children.into_iter().filter(|_| depth > 1);
        inner.filter_map(|child| members(language, child, depth - 1)).next()
    })
}
