//! Syntax trees: parsing ropes by chunks, incrementally and under a budget, and counting what does not parse.

use crate::edit::{Change, Edit};
use crate::language::Language;
use ropey::Rope;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};
use tree_sitter::{InputEdit, Node, ParseOptions, Parser, Point, Tree, TreeCursor};

/// A parser for a language; `None` for plain text, or for a grammar this build cannot load.
#[must_use]
pub fn parser(language: Language) -> Option<Parser> {
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()?).ok()?;
    Some(parser)
}

/// Parses `text`, reusing `old` (already edited to fit it); `None` when `budget` ran out first.
#[must_use]
pub fn parse(parser: &mut Parser, text: &Rope, old: Option<&Tree>, budget: Option<Duration>) -> Option<Tree> {
    let mut read = |offset: usize, _: Point| -> &[u8] {
        match text.get_chunk_at_byte(offset) {
            Some((chunk, start, _, _)) if offset < text.len_bytes() => &chunk.as_bytes()[offset - start..],
            _ => &[],
        }
    };
    let Some(budget) = budget else {
        return parser.parse_with_options(&mut read, old, None);
    };
    let deadline = Instant::now() + budget;
    let mut progress = |_: &tree_sitter::ParseState| {
        if Instant::now() < deadline { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let tree = parser.parse_with_options(&mut read, old, Some(options));
    if tree.is_none() {
        parser.reset();
    }
    tree
}

/// Moves the nodes of `tree` to where `edit` puts them; `before` is the text it was parsed from. With `lone_cr` the
/// text may hold a `\r` that is no line break to tree-sitter though it is one to the rope.
pub fn edit_tree(tree: &mut Tree, before: &Rope, edit: &Edit, lone_cr: bool) {
    // From the back, so that every range is still in the offsets of the text before.
    for Change { range, insert } in edit.changes().iter().rev() {
        let start = point(before, range.start, lone_cr);
        tree.edit(&InputEdit {
            start_byte: range.start,
            old_end_byte: range.end,
            new_end_byte: range.start + insert.len(),
            start_position: start,
            old_end_position: point(before, range.end, lone_cr),
            new_end_position: advance(start, insert),
        });
    }
}

/// tree-sitter's row and column, which know `\n` only.
fn point(text: &Rope, offset: usize, lone_cr: bool) -> Point {
    if !lone_cr {
        let row = text.byte_to_line(offset);
        return Point::new(row, offset - text.line_to_byte(row));
    }
    text.byte_slice(..offset).chunks().fold(Point::new(0, 0), advance)
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

/// Whether `offset` lies in a string or a comment.
#[must_use]
pub fn in_text(tree: &Tree, offset: usize) -> bool {
    node_at(tree, offset..offset)
        .is_some_and(|node| ancestors(node).any(|node| is_text(node) && node.start_byte() < offset))
}

/// Whether a node is a comment or a literal text.
#[must_use]
pub fn is_text(node: Node<'_>) -> bool {
    let kind = node.kind();
    node.is_named() && (kind.contains("comment") || kind.contains("string") || kind == "char_literal")
}
