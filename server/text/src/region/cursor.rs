//! Where a hole ends when all that is known is a cursor or a selection.

use super::{Reason, Region, RegionKind};
use crate::document::Snapshot;
use crate::position;
use crate::syntax;
use std::ops::Range;
use tree_sitter::{Node, Tree};

/// How many bytes of a line to either side of the cursor are looked at; a minified file is one line of megabytes.
const LINE_BYTES_MAX: usize = 16 << 10;

/// A longer rest of a line is generated code: it is kept, and the hole is empty.
const REST_BYTES_MAX: usize = 2 << 10;
/// Where the rest of the line is only these, they close what stands before the cursor: they are kept.
const CLOSERS: &str = ")]};,:{";

/// The bytes of the line around `offset` without its line break, at most [`LINE_BYTES_MAX`] to either side.
pub(super) fn line_at(snapshot: &Snapshot, offset: usize) -> Range<usize> {
    let text = snapshot.text();
    let line = text.byte_to_line(offset);
    let start = text.line_to_byte(line);
    let end = start + position::without_break(text.line(line)).len_bytes();
    let low = position::floor(text, offset.saturating_sub(LINE_BYTES_MAX)).max(start);
    let high = position::floor(text, offset.saturating_add(LINE_BYTES_MAX)).min(end);
    low..high.max(low)
}

pub(super) fn slice(snapshot: &Snapshot, range: Range<usize>) -> String {
    snapshot.text().byte_slice(range).to_string()
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

/// The region of a cursor that is on no marker.
pub(super) fn region(snapshot: &Snapshot, tree: Option<&Tree>, offset: usize) -> Region {
    let line = line_at(snapshot, offset);
    let offset = offset.clamp(line.start, line.end);
    let before = slice(snapshot, line.start..offset);
    let after = slice(snapshot, offset..line.end);
    if is_blank(&before) && is_blank(&after) {
        return empty_line(offset, &after);
    }
    if after.len() > REST_BYTES_MAX
        || !is_blank(&after) && after.chars().all(|c| c == ' ' || CLOSERS.contains(c))
    {
        return Region { range: offset..offset, kind: RegionKind::Span, reason: Reason::Cursor };
    }
    let (end, kind) = match closing(snapshot, tree, (offset, &before), &after) {
        Some(at) => (offset + at, RegionKind::Span),
        None => (line.end, RegionKind::Line),
    };
    Region { range: offset..end, kind, reason: Reason::Cursor }
}

/// An empty line: the indentation that is there stays, so the hole starts at the cursor or after it, if that is later.
fn empty_line(offset: usize, after: &str) -> Region {
    let indent = leading_blanks(after);
    let range = offset + indent..offset + after.len();
    Region { range, kind: RegionKind::Lines, reason: Reason::EmptyLine }
}

/// Bytes of the spaces and tabs at the start of `text`.
pub(super) fn leading_blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// The region of ghost text at a cursor that is in no empty body: what stands after the cursor stays.
pub(super) fn insertion(snapshot: &Snapshot, offset: usize) -> Region {
    let line = line_at(snapshot, offset);
    let offset = offset.clamp(line.start, line.end);
    let after = slice(snapshot, offset..line.end);
    if after.len() > REST_BYTES_MAX || !is_blank(&after) {
        return Region { range: offset..offset, kind: RegionKind::Span, reason: Reason::Cursor };
    }
    if is_blank(&slice(snapshot, line.start..offset)) {
        return empty_line(offset, &after);
    }
    Region { range: offset..line.end, kind: RegionKind::Line, reason: Reason::Cursor }
}

/// Where in `after` something closes that `before` opened on this line: brackets, and the string around the cursor.
fn closing(
    snapshot: &Snapshot,
    tree: Option<&Tree>,
    (offset, before): (usize, &str),
    after: &str,
) -> Option<usize> {
    if let Some(end) = tree.and_then(|tree| interpolation_end(tree, offset)) {
        return Some(end - offset).filter(|&at| at <= after.len());
    }
    if let Some(quote) = open_quote(snapshot, tree, (offset, before)) {
        return unescaped(after, quote);
    }
    let mut open: Vec<char> = Vec::new();
    let mut quote = None;
    for (_, c) in code(before, &mut quote) {
        match c {
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                open.pop();
            }
            _ => {}
        }
    }
    if open.is_empty() {
        return None;
    }
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in code(after, &mut quote) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return Some(trim_to(after, at)),
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A closing brace keeps the space before it; a closing parenthesis stands close.
fn trim_to(after: &str, at: usize) -> usize {
    if after[at..].starts_with('}') { after[..at].trim_end().len() } else { at }
}

/// The characters of `text` outside quotes, with their offsets; `quote` carries the open quote along.
fn code<'a>(text: &'a str, quote: &'a mut Option<char>) -> impl Iterator<Item = (usize, char)> + 'a {
    let mut escaped = false;
    text.char_indices().filter(move |&(at, c)| {
        let was_escaped = std::mem::take(&mut escaped);
        match *quote {
            Some(open) => {
                escaped = c == '\\' && !was_escaped;
                if c == open && !was_escaped {
                    *quote = None;
                }
                false
            }
            // A lone apostrophe is a lifetime or a contraction: it opens only what the same text also closes.
            None if c == '"' || (c == '`' || c == '\'') && unescaped(&text[at + 1..], c).is_some() => {
                *quote = Some(c).filter(|_| c != '\'' || !is_lifetime(&text[at + 1..]));
                quote.is_none()
            }
            None => true,
        }
    })
}

/// Whether what follows an apostrophe reads as a Rust lifetime rather than a character or a string.
fn is_lifetime(rest: &str) -> bool {
    let name = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    name > 0
        && rest.chars().nth(name) != Some('\'')
        && rest.chars().nth(name).is_some_and(|c| ">,: )&".contains(c))
}

/// Where the braces end that hold the code around the cursor within a string.
fn interpolation_end(tree: &Tree, offset: usize) -> Option<usize> {
    let inside = |node: &Node<'_>| {
        matches!(node.kind(), "interpolation" | "template_substitution")
            && node.start_byte() < offset
            && offset < node.end_byte()
    };
    syntax::ancestors(syntax::node_at(tree, offset..offset)?).find(inside).map(|node| node.end_byte() - 1)
}

/// The quote of the string the cursor is in, if that string ends on this line.
fn open_quote(snapshot: &Snapshot, tree: Option<&Tree>, (offset, before): (usize, &str)) -> Option<char> {
    match tree {
        Some(tree) => {
            let node = syntax::node_at(tree, offset..offset)?;
            let string = syntax::ancestors(node).take(4).find(|node| {
                let kind = node.kind();
                kind.contains("string") && !kind.contains("content") && node.start_byte() < offset
            })?;
            if string.end_byte() <= offset {
                return None;
            }
            let last = string.end_byte().checked_sub(1)?;
            let quote = char::from(snapshot.text().get_byte(last)?);
            matches!(quote, '"' | '\'' | '`').then_some(quote)
        }
        None => {
            let mut quote = None;
            code(before, &mut quote).for_each(drop);
            quote
        }
    }
}

fn unescaped(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let was_escaped = std::mem::take(&mut escaped);
        escaped = c == '\\' && !was_escaped;
        (c == quote && !was_escaped).then_some(at)
    })
}

/// The kind of a range by its shape.
pub(super) fn kind_of(snapshot: &Snapshot, range: &Range<usize>) -> RegionKind {
    let text = snapshot.text();
    if text.byte_to_line(range.start) != text.byte_to_line(range.end) {
        return RegionKind::Lines;
    }
    let line = line_at(snapshot, range.start);
    let end = line_at(snapshot, range.end).end;
    let blank_before = is_blank(&slice(snapshot, line.start..range.start.min(line.end)));
    let blank_after = is_blank(&slice(snapshot, range.end.min(end)..end));
    // Between two lines: what goes in are lines.
    let between = range.is_empty() && range.start == line.start;
    match (blank_before, blank_after) {
        (true, true) => RegionKind::Lines,
        _ if between => RegionKind::Lines,
        (false, true) => RegionKind::Line,
        _ => RegionKind::Span,
    }
}
