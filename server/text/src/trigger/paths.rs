//! Strings that name a file or a module: by what takes them, or by what they hold.

use super::{DEPTH_MAX, Near, is_string, scan};
use crate::language::Language;
use crate::syntax;
use tree_sitter::Node;

/// Words and calls right before a string that make it a path, in the languages that have them.
const TAKERS: [(&[Language], &[&str]); 5] = [
    (&[Language::Rust], &["include_str!(", "include_bytes!(", "include!(", "#[path ="]),
    (
        &[Language::TypeScript, Language::Tsx, Language::JavaScript],
        &["import", "from", "require(", "require.resolve(", "import("],
    ),
    (&[Language::C, Language::Cpp], &["#include", "#include_next", "import"]),
    (&[Language::Lua], &["require", "require(", "dofile(", "loadfile("]),
    (&[Language::Go], &["import", "//go:embed"]),
];

/// Whether the cursor is in a string that is a path.
pub(super) fn inside(near: &Near<'_>) -> bool {
    if near.language == Language::C || near.language == Language::Cpp {
        // `<vector>` is no string to every grammar while it is typed.
        let include = near.before.trim_start().strip_prefix("#include");
        if include.is_some_and(|rest| rest.trim_start().starts_with('<') && !rest.contains('>')) {
            return true;
        }
    }
    match string_node(near) {
        Found::String(node) => {
            let start = near.offset - node.start_byte();
            let Some(at) = near.before.len().checked_sub(start) else { return false };
            let opening = near.before.get(at..).map_or(0, opening_len);
            of_import(node) || judge(near, at, opening, is_raw(near, node))
        }
        Found::Other => false,
        Found::Unknown => match scan(&near.before, near.language) {
            super::Scanned { quote: Some((at, quote)), .. } => {
                judge(near, at, quote.len_utf8(), near.language == Language::PlainText)
            }
            _ => false,
        },
    }
}

enum Found<'a> {
    /// The string literal the cursor is in.
    String(Node<'a>),
    /// Something that is surely no string.
    Other,
    /// No tree, or a broken one.
    Unknown,
}

fn string_node<'a>(near: &Near<'a>) -> Found<'a> {
    let Some(leaf) = near.tree.and_then(|tree| syntax::node_at(tree, near.offset..near.offset)) else {
        return Found::Unknown;
    };
    for node in syntax::ancestors(leaf).take(DEPTH_MAX) {
        let kind = node.kind();
        if kind.contains("comment") || matches!(kind, "interpolation" | "template_substitution") {
            return Found::Other;
        }
        if node.is_error() {
            return Found::Unknown;
        }
        let around = node.start_byte() < near.offset && near.offset < node.end_byte();
        if is_string(kind) && around && !node.has_error() {
            return Found::String(node);
        }
    }
    // A string that is not closed is no string to some grammars.
    Found::Unknown
}

/// Whether the string is what an import statement names.
fn of_import(string: Node<'_>) -> bool {
    syntax::ancestors(string).skip(1).take(3).any(|node| {
        matches!(
            node.kind(),
            "import_statement"
                | "import_spec"
                | "import_declaration"
                | "preproc_include"
                | "import_require_clause"
        )
    })
}

/// Whether backslashes in the string stand for themselves.
fn is_raw(near: &Near<'_>, string: Node<'_>) -> bool {
    let prefix = near.before.len().checked_sub(near.offset - string.start_byte());
    let written = prefix.and_then(|at| near.before.get(at..)).unwrap_or_default();
    let named = written.split(['"', '\'', '`']).next().unwrap_or_default();
    named.contains(['r', 'R']) || string.kind().contains("raw")
}

/// The bytes of a literal before its content: prefixes, hashes and quotes.
fn opening_len(literal: &str) -> usize {
    let Some(quote) = literal.find(['"', '\'', '`']) else { return 0 };
    let mark = &literal[quote..=quote];
    quote + if literal[quote..].starts_with(&mark.repeat(3)) { 3 } else { 1 }
}

/// Judges the string that opens at `at` of the line before the cursor, `opening` bytes long.
fn judge(near: &Near<'_>, at: usize, opening: usize, raw: bool) -> bool {
    let (outside, literal) = near.before.split_at(at);
    let outside = outside.trim_end();
    let taken = TAKERS.iter().filter(|(languages, _)| languages.contains(&near.language));
    if taken.flat_map(|(_, takers)| *takers).any(|taker| ends_with_word(outside, taker)) {
        return true;
    }
    let quote = literal[..opening.min(literal.len())].chars().next_back();
    let rest = quote.and_then(|quote| near.after.split(quote).next()).unwrap_or_default();
    let written = literal.get(opening..).unwrap_or_default();
    is_path(&format!("{written}{}", rest.split(' ').next().unwrap_or_default()), raw)
        && !(rest.contains(' ') && near.after.contains(quote.unwrap_or(' ')))
}

/// Whether `text` ends with `word` and not merely with a longer word that does.
fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|rest| !rest.ends_with(super::is_word))
}

/// Whether a string's content is a path: separators, and nothing that a path has not.
fn is_path(content: &str, raw: bool) -> bool {
    if content.chars().any(|c| c.is_whitespace() || matches!(c, '<' | '>' | '|')) {
        return false;
    }
    if content.contains('/') {
        return true;
    }
    // Escapes are no separators: `\\` is one, and in a raw string `\` is, after a name and before another.
    let plain = if raw { content.to_owned() } else { content.replace("\\\\", "\0") };
    let separator = if raw { '\\' } else { '\0' };
    let mut names = plain.split(separator);
    let first = names.next().unwrap_or_default();
    let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || "_-.~:%$@{}".contains(c));
    let mut rest = names.peekable();
    rest.peek().is_some() && !first.is_empty() && is_name(first) && rest.all(is_name)
}
