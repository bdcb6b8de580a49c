//! Syntax trees: parsing ropes by chunks and incrementally, in large texts a window at a time, and counting errors.

mod window;

use crate::edit::{Change, Edit};
use crate::language::Language;
use ropey::Rope;
use std::ops::Range;
use tree_sitter::{InputEdit, Node, Parser, Point, Tree, TreeCursor};
pub use window::{WHOLE_BYTES_MAX, covers, tiles};

/// A parser for a language; `None` for plain text, or for a grammar this build cannot load.
#[must_use]
pub fn parser(language: Language) -> Option<Parser> {
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()?).ok()?;
    Some(parser)
}

/// A text as tree-sitter is to read it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The text.
    pub text: &'a Rope,
    /// Whether a `\r` without `\n` may be in it: a line break to the rope, but not to tree-sitter.
    pub lone_cr: bool,
}

/// Parses a text, or in a text of more than [`WHOLE_BYTES_MAX`] bytes a window around `near`. `old`, already edited
/// to fit the text, is reused where it knows the surroundings of `near`. `None` only without a language.
#[must_use]
pub fn parse_near(
    parser: &mut Parser,
    source: &Source<'_>,
    old: Option<&Tree>,
    near: &Range<usize>,
) -> Option<Tree> {
    if let Some(old) = old.filter(|tree| covers(tree, source.text, near)) {
        return reparse(parser, source.text, old);
    }
    let whole = source.text.len_bytes() <= WHOLE_BYTES_MAX;
    let ranges = if whole { Vec::new() } else { vec![window::around(source, near)] };
    parser.set_included_ranges(&ranges).ok()?;
    parse(parser, source.text, None)
}

/// Parses the same part of a text as `old`, which is already edited to fit it.
fn reparse(parser: &mut Parser, text: &Rope, old: &Tree) -> Option<Tree> {
    parser.set_included_ranges(&old.included_ranges()).ok()?;
    parse(parser, text, Some(old))
}

/// Parses the same part of a text as `tree`, which is that of the text before `edit`.
///
/// tree-sitter moves the start of what it reads behind what is inserted right there, at the beginning of a document above
/// all, and would not see it.
#[must_use]
pub fn reparse_after(
    parser: &mut Parser,
    before: &Source<'_>,
    tree: &Tree,
    edit: &Edit,
    text: &Rope,
) -> Option<Tree> {
    let mut old = tree.clone();
    edit_tree(&mut old, before, edit);
    let mut ranges = old.included_ranges();
    if let (Some(now), Some(was)) = (ranges.first_mut(), tree.included_ranges().first()) {
        (now.start_byte, now.start_point) = (was.start_byte, was.start_point);
    }
    parser.set_included_ranges(&ranges).ok()?;
    parse(parser, text, Some(&old))
}

/// Parses what the parser's included ranges name, reading the rope by chunks.
fn parse(parser: &mut Parser, text: &Rope, old: Option<&Tree>) -> Option<Tree> {
    let mut read = |offset: usize, _: Point| -> &[u8] {
        match text.get_chunk_at_byte(offset) {
            Some((chunk, start, _, _)) if offset < text.len_bytes() => &chunk.as_bytes()[offset - start..],
            _ => &[],
        }
    };
    parser.parse_with_options(&mut read, old, None)
}

/// Moves the nodes of `tree` to where `edit` puts them; `before` is the text it was parsed from.
pub fn edit_tree(tree: &mut Tree, before: &Source<'_>, edit: &Edit) {
    // From the back, so that every range is still in the offsets of the text before.
    for Change { range, insert } in edit.changes().iter().rev() {
        let start = before.point(range.start);
        tree.edit(&InputEdit {
            start_byte: range.start,
            old_end_byte: range.end,
            new_end_byte: range.start + insert.len(),
            start_position: start,
            old_end_position: before.point(range.end),
            new_end_position: advance(start, insert),
        });
    }
}

impl Source<'_> {
    /// tree-sitter's row and column, which know `\n` only.
    fn point(&self, offset: usize) -> Point {
        if !self.lone_cr {
            let row = self.text.byte_to_line(offset);
            return Point::new(row, offset - self.text.line_to_byte(row));
        }
        self.text.byte_slice(..offset).chunks().fold(Point::new(0, 0), advance)
    }
}

fn advance(from: Point, text: &str) -> Point {
    match text.rfind('\n') {
        Some(last) => {
            Point::new(from.row + text.bytes().filter(|&b| b == b'\n').count(), text.len() - last - 1)
        }
        None => Point::new(from.row, from.column + text.len()),
    }
}

/// How many ERROR and MISSING nodes the tree holds; only branches that have one are visited.
#[must_use]
pub fn error_count(tree: &Tree) -> usize {
    error_count_in(tree, 0..usize::MAX)
}

/// As [`error_count`], for the nodes that lie in `range` or touch it.
#[must_use]
pub fn error_count_in(tree: &Tree, range: Range<usize>) -> usize {
    let mut count = 0;
    walk(tree, |node| {
        let near = node.start_byte() <= range.end && node.end_byte() >= range.start;
        if near && (node.is_error() || node.is_missing()) {
            count += 1;
        }
        near && node.has_error()
    });
    count
}

/// Visits nodes in source order; `visit` says whether to enter a node.
pub fn walk<'tree>(tree: &'tree Tree, mut visit: impl FnMut(Node<'tree>) -> bool) {
    let mut cursor: TreeCursor<'tree> = tree.walk();
    loop {
        let entered = visit(cursor.node()) && cursor.goto_first_child();
        if entered {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}

/// The smallest node over `range`.
#[must_use]
pub fn node_at(tree: &Tree, range: Range<usize>) -> Option<Node<'_>> {
    tree.root_node().descendant_for_byte_range(range.start, range.end)
}

/// `node` and its ancestors, the innermost first.
pub fn ancestors(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(Some(node), Node::parent)
}
