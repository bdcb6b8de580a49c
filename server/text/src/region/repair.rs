//! What to write anew for a diagnostic: grown from the bytes it names to syntax that can be exchanged whole.

use super::cursor::{kind_of, leading_blanks, line_at, slice};
use super::{Reason, Region};
use crate::document::Snapshot;
use crate::language::Language;
use crate::syntax;
use std::ops::Range;
use tree_sitter::{Node, Tree};

/// A repair is no larger.
const LINES_MAX: usize = 20;
const BYTES_MAX: usize = 4 << 10;

/// Nodes that hold statements or members, besides bodies and the root.
const HOLDERS: [&str; 6] = [
    "declaration_list",
    "class_body",
    "interface_body",
    "statement_list",
    "do_group",
    "field_declaration_list",
];
/// Ends of the kinds of nodes whose children are exchangeable one by one.
const LISTS: [&str; 14] = [
    "arguments",
    "parameters",
    "_list",
    "list",
    "array",
    "array_expression",
    "tuple",
    "tuple_expression",
    "dictionary",
    "object",
    "object_type",
    "table_constructor",
    "match_block",
    "literal_value",
];
/// Fields that hold an expression or a type in its own right.
const FIELDS: [&str; 13] = [
    "value",
    "left",
    "right",
    "condition",
    "argument",
    "operand",
    "index",
    "default",
    "default_value",
    "return_type",
    "result",
    "consequence",
    "alternative",
];
/// Functions and types, which are never written anew as a whole; besides those of [`Language::function_kinds`].
const ITEMS: [&str; 24] = [
    "function_signature_item",
    "impl_item",
    "trait_item",
    "mod_item",
    "struct_item",
    "enum_item",
    "union_item",
    "foreign_mod_item",
    "class_definition",
    "decorated_definition",
    "class_declaration",
    "abstract_class_declaration",
    "class",
    "interface_declaration",
    "enum_declaration",
    "record_declaration",
    "internal_module",
    "module",
    "namespace_definition",
    "class_specifier",
    "linkage_specification",
    "template_declaration",
    "type_declaration",
    "method_definition",
];

/// The region of a diagnostic at `range`, which is inside the text.
pub(super) fn region(snapshot: &Snapshot, tree: Option<&Tree>, range: Range<usize>) -> Option<Region> {
    let range = visible(snapshot, range)?;
    let found = match tree {
        Some(tree) => in_tree(snapshot, tree, &range)?,
        None => lines(snapshot, &range),
    };
    let found = found.start.min(range.start)..found.end.max(range.end);
    let kind = kind_of(snapshot, &found);
    fits(snapshot, &found).then_some(Region { range: found, kind, reason: Reason::Diagnostic })
}

/// `range` without blanks at its rims; where nothing is left, the character after it or the last one before it.
fn visible(snapshot: &Snapshot, range: Range<usize>) -> Option<Range<usize>> {
    if range.len() > BYTES_MAX {
        return None;
    }
    let text = slice(snapshot, range.clone());
    let start = range.start + text.len() - text.trim_start().len();
    let end = range.start + text.trim_end().len();
    if start < end {
        return Some(start..end);
    }
    let line = line_at(snapshot, range.start);
    let at = range.start.clamp(line.start, line.end);
    let next = slice(snapshot, at..line.end).chars().next().filter(|c| !c.is_whitespace());
    if let Some(next) = next {
        return Some(at..at + next.len_utf8());
    }
    let before = slice(snapshot, line.start..at);
    let last = before.trim_end().chars().next_back()?;
    let end = line.start + before.trim_end().len();
    Some(end - last.len_utf8()..end)
}

/// The lines of `range`, without the indentation of the first.
fn lines(snapshot: &Snapshot, range: &Range<usize>) -> Range<usize> {
    let first = line_at(snapshot, range.start);
    let indent = leading_blanks(&slice(snapshot, first.clone()));
    first.start + indent..line_at(snapshot, range.end).end
}

/// Whether a range is small enough to be written anew.
fn fits(snapshot: &Snapshot, range: &Range<usize>) -> bool {
    let text = snapshot.text();
    range.len() <= BYTES_MAX && text.byte_to_line(range.end) - text.byte_to_line(range.start) < LINES_MAX
}

fn in_tree(snapshot: &Snapshot, tree: &Tree, range: &Range<usize>) -> Option<Range<usize>> {
    let language = snapshot.language();
    let node = tree.root_node().named_descendant_for_byte_range(range.start, range.end)?;
    let Some(statement) = syntax::ancestors(node).find(|node| is_statement(language, *node)) else {
        return several(snapshot, node, range);
    };
    if is_holder(language, node) {
        return several(snapshot, node, range);
    }
    let broken = syntax::ancestors(node).take_while(|node| *node != statement).find(Node::is_error);
    if broken.is_none() && !own_error(language, statement) {
        return unit(snapshot, node).map(|node| node.byte_range());
    }
    if statement.is_error() {
        return Some(error_lines(snapshot, statement, range));
    }
    if may(snapshot, statement) {
        return Some(unswallowed(snapshot, statement.byte_range(), range));
    }
    // In the head of a function: the list or type that is broken.
    let around = broken.and_then(|broken| broken.parent()).filter(|parent| may(snapshot, *parent)).or(broken);
    around.or_else(|| unit(snapshot, node)).map(|node| node.byte_range())
}

/// Whether a node is a statement or a member: what a body, a type or the file holds.
fn is_statement(language: Language, node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| is_holder(language, parent))
}

fn is_holder(language: Language, node: Node<'_>) -> bool {
    let kind = node.kind();
    node.parent().is_none() || language.body_kinds().contains(&kind) || HOLDERS.contains(&kind)
}

/// Whether a statement itself, not one in a block of it, has an ERROR or MISSING node.
fn own_error(language: Language, statement: Node<'_>) -> bool {
    let mut open = vec![statement];
    while let Some(node) = open.pop() {
        if node.is_error() || node.is_missing() {
            return true;
        }
        let inner = node != statement && is_holder(language, node);
        if node.has_error() && !inner {
            open.extend((0..node.child_count()).filter_map(|index| node.child(index)));
        }
    }
    false
}

/// Whether a node may be written anew as a whole.
fn may(snapshot: &Snapshot, node: Node<'_>) -> bool {
    let language = snapshot.language();
    !is_holder(language, node) && !is_item(language, node) && fits(snapshot, &node.byte_range())
}

/// Whether a node is a function or a type, or a declaration of nothing else (`const a = () => {…};`).
fn is_item(language: Language, node: Node<'_>) -> bool {
    let item = |node: Node<'_>| {
        ITEMS.contains(&node.kind())
            || language.function_kinds().contains(&node.kind())
                && node.child_by_field_name("body").is_some_and(|body| is_holder(language, body))
    };
    let declares = node.kind().ends_with("_declaration") || node.kind().ends_with("_statement");
    let depth = if declares { 3 } else { 1 };
    std::iter::successors(Some(node), |node| last_child(*node)).take(depth).any(item)
}

fn last_child(node: Node<'_>) -> Option<Node<'_>> {
    node.named_child((node.named_child_count() as u32).checked_sub(1)?)
}

/// Grows a node to one that can be exchanged: a statement, an element of a list, or what a field holds.
fn unit<'tree>(snapshot: &Snapshot, node: Node<'tree>) -> Option<Node<'tree>> {
    if !may(snapshot, node) {
        return None;
    }
    let grow = |node: &Node<'tree>| {
        let parent = node.parent()?;
        (!is_unit(snapshot.language(), *node, parent) && may(snapshot, parent)).then_some(parent)
    };
    std::iter::successors(Some(node), grow).last()
}

fn is_unit(language: Language, node: Node<'_>, parent: Node<'_>) -> bool {
    let kind = parent.kind();
    // Go wraps what stands at either side of an assignment.
    let wrapped = kind == "expression_list" && parent.named_child_count() == 1;
    if is_holder(language, parent) || !wrapped && LISTS.iter().any(|list| kind.ends_with(list)) {
        return true;
    }
    let mut cursor = parent.walk();
    let mut more = cursor.goto_first_child();
    while more && cursor.node() != node {
        more = cursor.goto_next_sibling();
    }
    match cursor.field_name().filter(|_| more) {
        // `a` of `a.b` is no expression whose exchange helps alone.
        Some("value" | "argument") if kind == "field_expression" => false,
        Some("left") => !kind.contains("assign") && !kind.contains("declaration"),
        Some("body") => !language.body_kinds().contains(&node.kind()),
        Some(field) => FIELDS.contains(&field),
        None => false,
    }
}

/// The statements that `range` touches, or the last one before it; none of them a function or a type.
fn several(snapshot: &Snapshot, holder: Node<'_>, range: &Range<usize>) -> Option<Range<usize>> {
    if holder.is_error() {
        return Some(lines(snapshot, range));
    }
    let mut cursor = holder.walk();
    let children: Vec<Node<'_>> =
        holder.named_children(&mut cursor).take_while(|child| child.start_byte() < range.end).collect();
    let touched: Vec<Node<'_>> =
        children.iter().copied().filter(|child| child.end_byte() > range.start).collect();
    let chosen = if touched.is_empty() { children.last().copied().into_iter().collect() } else { touched };
    let (first, last) = (chosen.first()?, chosen.last()?);
    chosen.iter().all(|node| may(snapshot, *node)).then(|| first.start_byte()..last.end_byte())
}

/// A broken statement without the lines after `range` that are indented like its first line: what is not closed
/// swallows what follows it.
fn unswallowed(snapshot: &Snapshot, statement: Range<usize>, range: &Range<usize>) -> Range<usize> {
    let text = snapshot.text();
    let indent = |at: usize| leading_blanks(&slice(snapshot, line_at(snapshot, at)));
    let margin = indent(statement.start);
    let after = text.byte_to_line(range.end) + 1..=text.byte_to_line(statement.end);
    for start in after.map(|line| text.line_to_byte(line)) {
        let line = slice(snapshot, line_at(snapshot, start));
        let code = line.trim_start();
        if !code.is_empty() && !code.starts_with([')', ']', '}']) && leading_blanks(&line) <= margin {
            let kept = slice(snapshot, statement.start..start);
            return statement.start..statement.start + kept.trim_end().len();
        }
    }
    statement
}

/// The lines from where an ERROR among statements begins up to those of `range`.
fn error_lines(snapshot: &Snapshot, error: Node<'_>, range: &Range<usize>) -> Range<usize> {
    let grown = lines(snapshot, &(error.start_byte().min(range.start)..range.end));
    let holder = error.parent().map_or(grown.clone(), |parent| parent.byte_range());
    let inside = holder.start <= grown.start;
    if inside && fits(snapshot, &grown) { grown } else { lines(snapshot, range) }
}
