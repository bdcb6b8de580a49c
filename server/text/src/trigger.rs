//! When to stay quiet: cursors at which nobody waits for an automatic completion. Asked for, one is made all the same.
//!
//! Rules only where they are sure; ordinary typing is never silenced. A bounded neighbourhood of the cursor is read, and
//! of the tree only what is there or will be needed anyway: past the first look at a text the answer costs microseconds
//! in any document.

mod paths;

use crate::document::Snapshot;
use crate::language::Language;
use crate::position;
use crate::syntax;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use tree_sitter::{Node, Tree};

/// Bytes of the cursor's line that are read to either side of it.
const NEAR_BYTES: usize = 512;
/// How many nodes up from the cursor are looked at.
const DEPTH_MAX: usize = 8;

/// Why no completion is offered without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quiet {
    /// A word goes on at both sides of the cursor.
    InsideWord,
    /// A word begins right after the cursor.
    BeforeWord,
    /// The cursor is in a string that names a file or a module.
    Path,
    /// A closing brace ends the line before the cursor.
    ClosingBrace,
    /// A closing semicolon ends the line before the cursor.
    StatementEnd,
}

impl fmt::Display for Quiet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InsideWord => "the cursor is inside a word",
            Self::BeforeWord => "the cursor is right before a word",
            Self::Path => "the cursor is in the path of a file or module",
            Self::ClosingBrace => "a closing brace ends the line before the cursor",
            Self::StatementEnd => "the statement before the cursor is finished",
        })
    }
}

/// Why an automatic completion should not be offered at `offset`; `None` where it may be. An offset outside the text
/// or inside a character is read as the nearest one before it.
#[must_use]
pub fn quiet(snapshot: &Snapshot, offset: usize) -> Option<Quiet> {
    let near = Near::new(snapshot, position::floor(snapshot.text(), offset));
    if near.after.chars().next().is_some_and(is_word) {
        let inside = near.before.chars().next_back().is_some_and(is_word);
        return Some(if inside { Quiet::InsideWord } else { Quiet::BeforeWord });
    }
    if paths::inside(&near) {
        return Some(Quiet::Path);
    }
    if !near.after.trim().is_empty() {
        return None;
    }
    match near.before.chars().next_back() {
        Some('}') if near.is_code() => Some(Quiet::ClosingBrace),
        // In a shell a semicolon stands between a head and its body: `for x in y; do`.
        Some(';') if near.language != Language::Bash && !near.in_brackets() && near.is_code() => {
            Some(Quiet::StatementEnd)
        }
        _ => None,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The cursor with what is near it.
struct Near<'a> {
    offset: usize,
    language: Language,
    /// The line before and after the cursor, at most [`NEAR_BYTES`] of each.
    before: String,
    after: String,
    /// The tree, where it knows the place already.
    tree: Option<&'a Tree>,
}

impl<'a> Near<'a> {
    fn new(snapshot: &'a Snapshot, offset: usize) -> Self {
        let text = snapshot.text();
        let slice = |range: Range<usize>| text.byte_slice(range).to_string();
        let before = slice(position::floor(text, offset.saturating_sub(NEAR_BYTES))..offset);
        let after = slice(offset..position::floor(text, offset.saturating_add(NEAR_BYTES)));
        let is_break = |c: char| matches!(c, '\n' | '\r');
        let tree = snapshot.tree().filter(|tree| syntax::covers(tree, text, &(offset..offset)));
        Self {
            offset,
            language: snapshot.language(),
            before: before.rsplit(is_break).next().unwrap_or_default().to_owned(),
            after: after.split(is_break).next().unwrap_or_default().to_owned(),
            tree,
        }
    }

    /// The nodes around the character before the cursor, the innermost first.
    fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        let start = self.offset.saturating_sub(1);
        let leaf = self.tree.and_then(|tree| syntax::node_at(tree, start..self.offset));
        leaf.into_iter().flat_map(|leaf| syntax::ancestors(leaf).take(DEPTH_MAX))
    }

    /// Whether the character before the cursor belongs to no string and no comment.
    fn is_code(&self) -> bool {
        let is_text = |node: Node<'_>| {
            let kind = node.kind();
            is_string(kind)
                || kind.contains("comment")
                || kind == "interpolation"
                || kind == "template_substitution"
        };
        let mut nodes = self.nodes().peekable();
        match nodes.peek() {
            Some(_) => !nodes.any(is_text) && scan(&self.before, self.language).quote.is_none(),
            None => {
                let scanned = scan(&self.before, self.language);
                scanned.quote.is_none() && !scanned.comment
            }
        }
    }

    /// Whether the line opens a parenthesis or bracket that it does not close before the cursor.
    fn in_brackets(&self) -> bool {
        scan(&self.before, self.language).open > 0
    }
}

/// Whether nodes of this kind are string literals, quotes included.
fn is_string(kind: &str) -> bool {
    kind.contains("string") && !kind.contains("content") && !kind.contains("fragment")
}

/// What the beginning of a line leaves open.
#[derive(Default)]
struct Scanned {
    /// The quote of a string that is open, and where it stands.
    quote: Option<(usize, char)>,
    comment: bool,
    /// Parentheses and brackets that are open.
    open: usize,
}

/// Reads the beginning of a line by the language's quotes and line comments alone.
fn scan(line: &str, language: Language) -> Scanned {
    use Language::{Bash, JavaScript, Lua, Python, Toml, Tsx, TypeScript};
    let apostrophes = matches!(language, Python | TypeScript | Tsx | JavaScript | Lua | Bash | Toml);
    let mut scanned = Scanned::default();
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if let Some((_, open)) = scanned.quote {
            let ends = c == open && !escaped;
            escaped = c == '\\' && !escaped;
            if ends {
                scanned.quote = None;
            }
            continue;
        }
        if language.line_comment().is_some_and(|comment| line[at..].starts_with(comment)) {
            scanned.comment = true;
            break;
        }
        match c {
            '"' | '`' => scanned.quote = Some((at, c)),
            '\'' if apostrophes => scanned.quote = Some((at, c)),
            '(' | '[' => scanned.open += 1,
            ')' | ']' => scanned.open = scanned.open.saturating_sub(1),
            _ => {}
        }
    }
    scanned
}
