//! What the server says it can do.
//!
//! Inline completion is advertised to every client: some show it and do not say so. No provider is an empty object: in Python
//! and in Emacs Lisp that counts as false, and clients written in them take the server for one without it.

use crate::actions::ActionKind;
use crate::client::encoding_kind;
use crate::requests::execute_command::COMMANDS;
use lacuna_text::Encoding;
use tower_lsp::gen_lsp_types::{
    ChangeNotifications, CodeActionKind, CodeActionOptions, CodeActionProvider, CompletionOptions,
    ExecuteCommandOptions, InlineCompletionOptions, InlineCompletionProvider, ServerCapabilities,
    TextDocumentSync, TextDocumentSyncKind, TextDocumentSyncOptions, WorkDoneProgressOptions,
    WorkspaceFoldersServerCapabilities, WorkspaceOptions,
};

/// The capabilities, with the unit of positions that was agreed on.
#[must_use]
pub fn of(encoding: Encoding) -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(encoding_kind(encoding)),
        text_document_sync: Some(TextDocumentSync::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::Incremental),
            ..TextDocumentSyncOptions::default()
        })),
        inline_completion_provider: Some(InlineCompletionProvider::InlineCompletionOptions(
            InlineCompletionOptions { work_done_progress_options: WorkDoneProgressOptions::new(Some(false)) },
        )),
        completion_provider: Some(CompletionOptions {
            resolve_provider: Some(false),
            ..CompletionOptions::default()
        }),
        code_action_provider: Some(CodeActionProvider::CodeActionOptions(CodeActionOptions {
            code_action_kinds: Some(
                ActionKind::ALL.iter().map(|kind| CodeActionKind::from(kind.id())).collect(),
            ),
            resolve_provider: Some(true),
            ..CodeActionOptions::default()
        })),
        execute_command_provider: Some(ExecuteCommandOptions {
            commands: COMMANDS.iter().map(|&name| name.to_owned()).collect(),
            ..ExecuteCommandOptions::default()
        }),
        workspace: Some(WorkspaceOptions {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(ChangeNotifications::Bool(true)),
            }),
            ..WorkspaceOptions::default()
        }),
        ..ServerCapabilities::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_provider_is_an_empty_object() {
        let value = serde_json::to_value(of(Encoding::Utf8)).unwrap();
        let empty = |(_, value): &(&String, &serde_json::Value)| {
            value.as_object().is_some_and(serde_json::Map::is_empty)
        };
        let found: Vec<_> = value.as_object().unwrap().iter().filter(empty).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
