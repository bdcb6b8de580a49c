//! The body around a cursor: all of it where nothing is written yet, else what comes after the cursor.

use super::cursor::{is_blank, leading_blanks, line_at, slice};
use super::{Marker, Reason, Region, RegionKind, markers};
use crate::document::Snapshot;
use crate::language::Language;
use crate::position;
use crate::syntax;
use std::ops::Range;
use tree_sitter::{Node, Tree};

/// How far back the code before a blank line is looked for, in bytes.
const BACK_BYTES_MAX: usize = 4 << 10;

/// A function's body.
struct Body<'a> {
    /// The node that holds the statements, where there is one.
    node: Option<Node<'a>>,
    /// From what opens the body to what closes it.
    inner: Range<usize>,
    /// Whether something closes it: a brace or a word.
    closed: bool,
}

/// The region that completes the body around `offset`.
pub(super) fn region(snapshot: &Snapshot, tree: &Tree, offset: usize) -> Option<Region> {
    let function = function(snapshot, tree, offset)?;
    let body = body(snapshot, function, offset)?;
    unwritten(snapshot, tree, &body).or_else(|| rest(snapshot, &body, offset))
}

/// The innermost function around `offset` that has a body of statements.
fn function<'a>(snapshot: &Snapshot, tree: &'a Tree, offset: usize) -> Option<Node<'a>> {
    let language = snapshot.language();
    let is_function = |node: &Node<'_>| {
        let expression = node.child_by_field_name("body").is_some_and(|body| !is_body(language, body));
        language.function_kinds().contains(&node.kind()) && !expression
    };
    let around = |node: &Node<'_>| node.start_byte() <= offset && offset < node.end_byte();
    let found = syntax::node_at(tree, offset..offset)
        .and_then(|node| syntax::ancestors(node).find(|node| is_function(node) && around(node)));
    if language != Language::Python {
        return found;
    }
    // A body without braces goes on where the line is indented, though the tree ends it with its last statement.
    let line = line_at(snapshot, offset);
    let back = position::floor(snapshot.text(), offset.saturating_sub(BACK_BYTES_MAX));
    let code = back + slice(snapshot, back..offset).trim_end().len();
    let indent = |at: usize| leading_blanks(&slice(snapshot, line_at(snapshot, at)));
    let column = match code >= line.start {
        true => indent(offset),
        false => offset - line.start,
    };
    let node = syntax::node_at(tree, code.saturating_sub(1)..code)?;
    syntax::ancestors(node)
        .find(|node| {
            let reaches = around(node) || node.end_byte() == offset || indent(node.start_byte()) < column;
            is_function(node) && reaches
        })
        .or(found)
}

fn is_body(language: Language, node: Node<'_>) -> bool {
    language.body_kinds().contains(&node.kind())
}

fn body<'a>(snapshot: &Snapshot, function: Node<'a>, offset: usize) -> Option<Body<'a>> {
    let language = snapshot.language();
    let mut cursor = function.walk();
    let children: Vec<Node<'a>> = function.children(&mut cursor).collect();
    let node = children.iter().copied().find(|child| is_body(language, *child));
    let last = *children.last()?;
    match language {
        Language::Lua => {
            let parameters = children.iter().find(|child| child.kind() == "parameters")?;
            let closed = last.kind() == "end" && !last.is_missing();
            Some(Body { node, inner: parameters.end_byte()..last.start_byte(), closed }).filter(|_| closed)
        }
        Language::Python => {
            let colon = children.iter().rev().find(|child| child.kind() == ":")?;
            let end = function.end_byte().max(offset).max(colon.end_byte());
            Some(Body { node, inner: colon.end_byte()..end, closed: false })
        }
        _ => {
            let Range { start, end } = node?.byte_range();
            let byte = |at: usize| snapshot.text().get_byte(at);
            let closed = end > start + 1 && byte(start) == Some(b'{') && byte(end - 1) == Some(b'}');
            closed.then_some(Body { node, inner: start + 1..end - 1, closed })
        }
    }
}

/// The whole of a body that is empty or holds a marker only; comments and a docstring stay.
fn unwritten(snapshot: &Snapshot, tree: &Tree, body: &Body<'_>) -> Option<Region> {
    let text = slice(snapshot, body.inner.clone());
    let empty = Region {
        range: body.inner.clone(),
        kind: RegionKind::Body,
        reason: Reason::Marker(Marker::EmptyBody),
    };
    if body.closed && is_blank(&text) {
        return Some(empty);
    }
    let trimmed = text.trim();
    let first = body.inner.start + text.len() - text.trim_start().len();
    let angles = markers::angles(snapshot, Some(tree), body.inner.clone());
    let mut marker = angles.into_iter().find(|region| region.range == (first..first + trimmed.len()));
    if marker.is_none() {
        let node = body.node?;
        let mut cursor = node.walk();
        let code: Vec<Node<'_>> =
            node.named_children(&mut cursor).filter(|child| !says_only(*child)).collect();
        let [child] = code.as_slice() else { return None };
        let nodes = [Some(*child), child.named_child(0)].into_iter().flatten();
        marker = nodes.filter_map(|node| markers::of_node(snapshot, tree, node)).next();
    }
    let marker = marker?;
    let alone = marker.range.len() == trimmed.len();
    if alone && body.closed && !text.contains(['\n', '\r']) {
        return Some(empty);
    }
    Some(Region { kind: if alone { RegionKind::Body } else { RegionKind::Lines }, ..marker })
}

/// Whether a statement is a comment or a docstring.
fn says_only(node: Node<'_>) -> bool {
    let string = node.kind() == "expression_statement"
        && node.named_child_count() == 1
        && node.named_child(0).is_some_and(|child| child.kind() == "string");
    node.kind().contains("comment") || string
}

/// From the cursor to the end of the body.
fn rest(snapshot: &Snapshot, body: &Body<'_>, offset: usize) -> Option<Region> {
    let inner = &body.inner;
    if offset < inner.start || offset > inner.end {
        return None;
    }
    let line = line_at(snapshot, offset);
    let text = slice(snapshot, inner.clone());
    let code_start = inner.start + text.len() - text.trim_start().len();
    let code_end = inner.start + text.trim_end().len();
    let before = slice(snapshot, line.start.max(inner.start).min(offset)..offset);
    let closes_here = body.closed && line.end > inner.end;
    let start = if offset <= code_start {
        code_start
    } else if !is_blank(&before) {
        offset
    } else if closes_here && code_end <= offset {
        code_end
    } else {
        offset + leading_blanks(&slice(snapshot, offset..line.end.max(offset)))
    };
    let line_end = if closes_here { start } else { line.end };
    let end = code_end.max(start).max(if start >= code_end { line_end } else { start });
    let kind = if start <= code_start { RegionKind::Body } else { RegionKind::Lines };
    Some(Region { range: start..end, kind, reason: Reason::RestOfBody })
}
