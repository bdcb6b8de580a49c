//! `textDocument/completion`: the same proposal as an item of the completion menu, for clients without ghost text.

use crate::api::Work;
use crate::client::Abilities;
use crate::convert;
use crate::front::Intake;
use crate::propose::{Proposed, Question, propose};
use crate::server::Shared;
use crate::settings::Completion as Setting;
use crate::turns::Lane;
use lacuna_text::{Change, Snapshot};
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{
    CompletionItem, CompletionItemKind, CompletionItemLabelDetails, CompletionItemTextEdit, CompletionList,
    CompletionParams, Documentation, InsertTextFormat, InsertTextMode, MarkupContent, MarkupKind, TextEdit,
};
use tower_lsp::jsonrpc::Result;

/// Characters of a label; a menu is narrow, and the whole text stands in the preview.
const LABEL_CHARS_MAX: usize = 60;

/// The request.
#[derive(Debug)]
pub struct Completion;

impl Work for Completion {
    const METHOD: &'static str = "textDocument/completion";
    const LANE: Lane = Lane::Completion;
    type Params = CompletionParams;
    type Result = CompletionList;

    async fn run(shared: Arc<Shared>, intake: Intake, params: Self::Params) -> Result<Self::Result> {
        let nothing = CompletionList { is_incomplete: true, items: Vec::new(), ..CompletionList::default() };
        let setting = intake.view.as_ref().map(|view| shared.settings_of(&view.uri).0.completion);
        let wanted = match setting {
            Some(Setting::On) => true,
            // Ghost text and a menu entry for the same thing get into each other's way.
            Some(Setting::Auto) => !shared.shows_inline_completions(),
            Some(Setting::Off) | None => false,
        };
        if !wanted {
            return Ok(nothing);
        }
        let question = Question {
            position: params.text_document_position_params.position,
            // Clients say "invoked" while typing too, so it does not tell what a person wants: the quick way it is.
            invoked: false,
            lane: Self::LANE,
            selected: None,
        };
        let Some(proposed) = propose(&shared, intake, question).await? else { return Ok(nothing) };
        let encoding = shared.encoding();
        let Proposed { view, caret, changes } = proposed;
        let items = changes.into_iter().take(1).map(|change| {
            let change = with_word(&view.snapshot, caret, change);
            let edit = convert::text_edit(&view.snapshot, &change, encoding);
            item(shared.client_abilities(), &view.language_id, edit)
        });
        Ok(CompletionList { items: items.collect(), ..nothing })
    }
}

/// The change with the word before the caret in it: clients match the word that is being typed against the item.
fn with_word(snapshot: &Snapshot, caret: usize, change: Change) -> Change {
    let line = snapshot.text().byte_to_line(caret);
    let before = snapshot.text().byte_slice(snapshot.text().line_to_byte(line)..caret).to_string();
    let word = before.len() - before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
    let start = caret - word;
    if start >= change.range.start {
        return change;
    }
    // The change may start within the word: what was typed of it is part of it already.
    let from = before.len() - word;
    let there = &before[from..from + (change.range.start - start)];
    Change::new(start..change.range.end, format!("{there}{}", change.insert))
}

/// The item, in what the client says it understands.
fn item(client: &Abilities, language_id: &str, edit: TextEdit) -> CompletionItem {
    let text = edit.new_text.clone();
    let first = text.trim_start().lines().next().unwrap_or_default();
    let short: String = first.chars().take(LABEL_CHARS_MAX).collect();
    let more = short.len() < text.trim().len();
    let from = || CompletionItemLabelDetails { detail: None, description: Some("lacuna".to_owned()) };
    let documentation = if client.completion_markdown {
        let value = fenced(language_id, &text);
        Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value })
    } else if client.renders_all_as_markdown {
        Documentation::String(fenced(language_id, &text))
    } else {
        Documentation::String(text.clone())
    };
    CompletionItem {
        label: if more { format!("{short}…") } else { short },
        label_details: client.completion_label_details.then(from),
        detail: (!client.completion_label_details).then(|| "lacuna".to_owned()),
        kind: Some(CompletionItemKind::Text),
        documentation: Some(documentation),
        // Before what other servers offer: it is one, and it is long.
        sort_text: Some("0".to_owned()),
        filter_text: Some(text),
        insert_text_format: Some(InsertTextFormat::PlainText),
        insert_text_mode: client.completion_as_is.then_some(InsertTextMode::AsIs),
        text_edit: Some(CompletionItemTextEdit::TextEdit(edit)),
        ..CompletionItem::default()
    }
}

/// Code as Markdown; the fence is longer than any in the code.
fn fenced(language_id: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language_id}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_text::{Document, Language};

    #[test]
    fn the_word_before_the_caret_is_part_of_the_item() {
        let document = Document::new("  let y = self.le", Language::Rust);
        let change = with_word(&document, 17, Change::new(17..17, "n()"));
        assert_eq!((change.range, change.insert.as_str()), (15..17, "len()"));
        let change = with_word(&document, 15, Change::new(15..17, "len()"));
        assert_eq!((change.range, change.insert.as_str()), (15..17, "len()"));
        // Made within a word, and typed on since.
        let document = Document::new("éaself", Language::Rust);
        let change = with_word(&document, 7, Change::new(6..7, "f.len()"));
        assert_eq!((change.range, change.insert.as_str()), (0..7, "éaself.len()"));
        let document = Document::new("  let y = self.le", Language::Rust);
        // Typed through: the item starts further left already.
        let change = with_word(&document, 17, Change::new(10..17, "self.len()"));
        assert_eq!((change.range, change.insert.as_str()), (10..17, "self.len()"));
    }

    #[test]
    fn a_fence_in_the_code_does_not_end_the_preview() {
        assert_eq!(fenced("markdown", "a ``` b"), "````markdown\na ``` b\n````");
        assert_eq!(fenced("rust", "a"), "```rust\na\n```");
    }
}
