//! A syntax tree that is parsed when somebody looks at it, once for all snapshots of the same text.
//!
//! A burst of edits costs no parsing at all: each only moves the nodes of the last tree that was looked at, and the
//! next look reparses what all of them touched.

use crate::edit::Edit;
use crate::language::Language;
use crate::syntax::{self, Source};
use std::sync::OnceLock;
use tree_sitter::Tree;

#[derive(Debug, Default)]
pub struct LazyTree {
    /// The last tree that was looked at, its nodes moved by every edit since.
    old: Option<Tree>,
    /// Where the last edit was, in bytes: a large text is parsed around it.
    focus: usize,
    parsed: OnceLock<Option<Tree>>,
}

impl LazyTree {
    /// The tree of `source`, the text this was made for; `None` without a grammar.
    pub fn get(&self, language: Language, source: &Source<'_>) -> Option<&Tree> {
        let parse = || {
            let near = self.focus..self.focus;
            syntax::parse_near(&mut syntax::parser(language)?, source, self.old.as_ref(), &near)
        };
        self.parsed.get_or_init(parse).as_ref()
    }

    /// The tree after an edit of `before`, the text this was made for.
    pub fn after(&self, edit: &Edit, before: &Source<'_>, focus: usize) -> Self {
        let mut old = self.parsed.get().unwrap_or(&self.old).clone();
        if let Some(tree) = &mut old {
            syntax::edit_tree(tree, before, edit);
        }
        Self { old, focus, parsed: OnceLock::new() }
    }
}
