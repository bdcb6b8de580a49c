//! Markers: texts that stand for code still to be written, found in the tree or, without one, in the text.

use super::cursor::{is_blank, kind_of, line_at, slice};
use super::{Marker, Reason, Region, RegionKind};
use crate::document::Snapshot;
use crate::language::Language;
use crate::syntax;
use std::ops::Range;
use tree_sitter::{Node, Tree};

const OPEN: char = '‹';
const CLOSE: char = '›';
/// Most bytes between `‹` and `›`, which stand on one line.
const ANGLE_BYTES_MAX: usize = 1024;

/// Every marker in the tiles that meet `range`, by position, none inside another.
pub(super) fn find(snapshot: &Snapshot, range: &Range<usize>) -> Vec<Region> {
    let mut found = Vec::new();
    let meets = |tile: &Range<usize>| tile.start <= range.end && range.start <= tile.end;
    for tile in syntax::tiles(snapshot.text()).filter(meets) {
        let tree = snapshot.tree_near(&tile);
        let tree = tree.as_deref();
        found.extend(angles(snapshot, tree, tile.clone()));
        if let Some(tree) = tree {
            syntax::walk(tree, |node| {
                if tile.contains(&node.start_byte()) {
                    found.extend(of_node(snapshot, tree, node));
                }
                node.start_byte() < tile.end && node.end_byte() > tile.start
            });
        }
    }
    outermost(found)
}

/// Every marker that begins in the line of `offset`, by position, none inside another. Only what meets the line is walked.
pub(super) fn of_line(snapshot: &Snapshot, tree: Option<&Tree>, offset: usize) -> Vec<Region> {
    let line = line_at(snapshot, offset);
    let mut found = angles(snapshot, tree, line.clone());
    if let Some(tree) = tree {
        syntax::walk(tree, |node| {
            let meets = node.start_byte() < line.end && node.end_byte() > line.start;
            found.extend(meets.then(|| of_node(snapshot, tree, node)).flatten());
            meets
        });
    }
    found.retain(|region| line.start <= region.range.start && region.range.start <= line.end);
    outermost(found)
}

/// The markers by position, without those that are inside another.
fn outermost(mut found: Vec<Region>) -> Vec<Region> {
    found.sort_by_key(|region| (region.range.start, std::cmp::Reverse(region.range.end)));
    let mut end = 0;
    found.retain(|region| {
        let outside = region.range.start >= end;
        end = end.max(region.range.end);
        outside
    });
    found
}

/// The marker that `offset` is in or touches.
pub(super) fn at(snapshot: &Snapshot, tree: Option<&Tree>, offset: usize) -> Option<Region> {
    let touches = |region: &Region| region.range.start <= offset && offset <= region.range.end;
    if let Some(region) = angles(snapshot, tree, line_at(snapshot, offset)).into_iter().find(touches) {
        return Some(region);
    }
    let tree = tree?;
    // The node to the right of the cursor, then the one to its left.
    [offset, offset.saturating_sub(1)].into_iter().find_map(|start| {
        let node = syntax::node_at(tree, start..offset.max(start))?;
        // A statement's semicolon is a sibling of what is marked.
        let nodes =
            syntax::ancestors(node).take(6).flat_map(|node| std::iter::once(node).chain(node.named_child(0)));
        nodes.filter_map(|node| of_node(snapshot, tree, node)).find(touches)
    })
}

/// `‹…›` in `range`.
pub(super) fn angles(snapshot: &Snapshot, tree: Option<&Tree>, range: Range<usize>) -> Vec<Region> {
    let mut found = Vec::new();
    let mut open = None;
    let mut at = range.start;
    let mut carry = String::new();
    for chunk in snapshot.text().byte_slice(range).chunks() {
        // Most chunks hold no angle at all; both begin with the byte 0xE2.
        if open.is_none() && !chunk.as_bytes().contains(&0xE2) {
            at += chunk.len();
            continue;
        }
        carry.clear();
        carry.push_str(chunk);
        for (index, c) in carry.char_indices() {
            match (c, open) {
                (OPEN, _) => open = Some(at + index),
                ('\n' | '\r', _) => open = None,
                (CLOSE, Some(start)) => {
                    found.push(start..at + index + CLOSE.len_utf8());
                    open = None;
                }
                _ => {}
            }
        }
        at += chunk.len();
        open = open.filter(|start| at - start <= ANGLE_BYTES_MAX);
    }
    found.into_iter().map(|range| angle(snapshot, tree, range)).collect()
}

fn angle(snapshot: &Snapshot, tree: Option<&Tree>, range: Range<usize>) -> Region {
    let kind = match kind_of(snapshot, &range) {
        RegionKind::Lines if is_sole_content(snapshot, tree, &range) => RegionKind::Body,
        kind => kind,
    };
    Region { range, kind, reason: Reason::Marker(Marker::Angle) }
}

/// Whether only a body's delimiters surround `range`: the lines before and after it open and close a block.
fn is_sole_content(snapshot: &Snapshot, tree: Option<&Tree>, range: &Range<usize>) -> bool {
    let Some(tree) = tree else { return false };
    let kinds = snapshot.language().body_kinds();
    let Some(node) = syntax::node_at(tree, range.clone()) else { return false };
    let Some(body) = syntax::ancestors(node).find(|node| kinds.contains(&node.kind())) else { return false };
    let inner = content(snapshot, body);
    let rest = [inner.start..range.start.max(inner.start), range.end.min(inner.end)..inner.end];
    rest.into_iter().all(|rest| rest.len() < 4096 && is_blank(&slice(snapshot, rest)))
}

/// What is between a body's braces, or the body where it has none.
fn content(snapshot: &Snapshot, body: Node<'_>) -> Range<usize> {
    let Range { start, end } = body.byte_range();
    let text = snapshot.text();
    let braced =
        end > start + 1 && text.get_byte(start) == Some(b'{') && text.get_byte(end - 1) == Some(b'}');
    if braced { start + 1..end - 1 } else { start..end }
}

/// The region of a node that is a marker.
pub(super) fn of_node(snapshot: &Snapshot, tree: &Tree, node: Node<'_>) -> Option<Region> {
    let (range, marker) = match snapshot.language() {
        Language::Rust if node.kind() == "macro_invocation" => rust_macro(snapshot, node)?,
        Language::Python => python(snapshot, node)?,
        _ => return empty_body(snapshot, node),
    };
    let kind = match kind_of(snapshot, &range) {
        RegionKind::Lines if is_sole_content(snapshot, Some(tree), &range) => RegionKind::Body,
        kind => kind,
    };
    Some(Region { range, kind, reason: Reason::Marker(marker) })
}

/// `todo!(…)` and `unimplemented!(…)`, with the semicolon where they are a statement.
fn rust_macro(snapshot: &Snapshot, node: Node<'_>) -> Option<(Range<usize>, Marker)> {
    let name = node.child_by_field_name("macro")?;
    if name.byte_range().len() > "unimplemented".len() {
        return None;
    }
    let marker = match slice(snapshot, name.byte_range()).as_str() {
        "todo" => Marker::Todo,
        "unimplemented" => Marker::Unimplemented,
        _ => return None,
    };
    let statement = node.parent().filter(|parent| parent.kind() == "expression_statement");
    Some((statement.unwrap_or(node).byte_range(), marker))
}

/// `...` and `raise NotImplementedError` as statements, `pass` as the only one.
fn python(snapshot: &Snapshot, node: Node<'_>) -> Option<(Range<usize>, Marker)> {
    match node.kind() {
        "ellipsis" => {
            let statement = node.parent().filter(|parent| parent.kind() == "expression_statement")?;
            (statement.named_child_count() == 1).then(|| (node.byte_range(), Marker::Ellipsis))
        }
        "pass_statement" => {
            let block = node.parent().filter(|parent| parent.kind() == "block")?;
            let alone = block.named_child_count() == 1 && node.byte_range().len() == "pass".len();
            alone.then(|| (node.byte_range(), Marker::Pass))
        }
        "raise_statement" => {
            let mut raised = node.named_child(0)?;
            if raised.kind() == "call" {
                raised = raised.child_by_field_name("function")?;
            }
            let named = raised.kind() == "identifier"
                && raised.byte_range().len() == "NotImplementedError".len()
                && slice(snapshot, raised.byte_range()) == "NotImplementedError";
            named.then(|| (node.byte_range(), Marker::NotImplemented))
        }
        _ => None,
    }
}

/// What is between the braces of a function that has nothing there.
fn empty_body(snapshot: &Snapshot, node: Node<'_>) -> Option<Region> {
    let language = snapshot.language();
    if !language.body_kinds().contains(&node.kind()) || node.named_child_count() > 0 || node.has_error() {
        return None;
    }
    let parent = node.parent()?;
    if !language.function_kinds().contains(&parent.kind()) {
        return None;
    }
    let inner = content(snapshot, node);
    let blank = inner.len() + 2 == node.byte_range().len() && is_blank(&slice(snapshot, inner.clone()));
    let reason = Reason::Marker(Marker::EmptyBody);
    blank.then_some(Region { range: inner, kind: RegionKind::Body, reason })
}
