//! What the client can do, and what the server asks of it.

use crate::server::Shared;
use crate::settings::PROJECT_FILE_NAME;
use lacuna_text::Encoding;
use serde_json::{Value, json};
use tower_lsp::gen_lsp_types::{InitializeParams, InsertTextMode, PositionEncodingKind, Registration};

/// What the client said about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// The unit of positions that was agreed on.
    pub encoding: Encoding,
    /// It says that it shows inline completions. Some do and do not say so.
    pub inline_completion: bool,
    /// It never says that a person asked, so alternatives to cycle through must come unasked (Neovim).
    pub never_invokes: bool,
    /// It splits the text of an inline completion at `\n` alone, and would keep the `\r` before it (Neovim).
    pub splits_at_lf: bool,
    /// `workspace/configuration`.
    pub configuration: bool,
    /// `window/workDoneProgress/create`.
    pub progress: bool,
    /// Edits that name the version they are for.
    pub document_changes: bool,
    /// Actions as objects; without it only commands may be offered.
    pub action_literals: bool,
    /// Markdown in the documentation of a completion item.
    pub completion_markdown: bool,
    /// It renders plain documentation as Markdown too (Helix, which names no format).
    pub renders_all_as_markdown: bool,
    /// Details beside the label of a completion item.
    pub completion_label_details: bool,
    /// Text of a completion item inserted with its indentation as it is.
    pub completion_as_is: bool,
    /// Actions whose edit comes with `codeAction/resolve`.
    pub resolves_actions: bool,
    /// `workspace/applyEdit`.
    pub apply_edit: bool,
    /// `client/registerCapability` for watched files.
    pub watches_files: bool,
}

/// Reads a client's abilities; the unit of positions is utf-8 where it may be, else utf-16, LSP's default, unless the
/// client offers utf-32 alone.
#[must_use]
pub fn abilities(params: &InitializeParams) -> Abilities {
    let capabilities = serde_json::to_value(&params.capabilities).unwrap_or_default();
    let is = |pointer: &str| capabilities.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    let has = |pointer: &str| capabilities.pointer(pointer).is_some_and(|value| !value.is_null());
    let lists = |pointer: &str, item: &Value| {
        let list = capabilities.pointer(pointer).and_then(Value::as_array);
        list.is_some_and(|list| list.contains(item))
    };
    let is_named =
        |name: &str| params.client_info.as_ref().is_some_and(|client| client.name.eq_ignore_ascii_case(name));
    let offers = |kind: &str| lists("/general/positionEncodings", &json!(kind));
    let encoding = match (offers("utf-8"), offers("utf-16"), offers("utf-32")) {
        (true, _, _) => Encoding::Utf8,
        (false, false, true) => Encoding::Utf32,
        _ => Encoding::Utf16,
    };
    Abilities {
        encoding,
        inline_completion: has("/textDocument/inlineCompletion"),
        never_invokes: is_named("Neovim"),
        splits_at_lf: is_named("Neovim"),
        configuration: is("/workspace/configuration"),
        progress: is("/window/workDoneProgress"),
        document_changes: is("/workspace/workspaceEdit/documentChanges"),
        action_literals: has("/textDocument/codeAction/codeActionLiteralSupport"),
        completion_markdown: lists(
            "/textDocument/completion/completionItem/documentationFormat",
            &json!("markdown"),
        ),
        renders_all_as_markdown: is_named("helix"),
        completion_label_details: is("/textDocument/completion/completionItem/labelDetailsSupport"),
        completion_as_is: lists(
            "/textDocument/completion/completionItem/insertTextModeSupport/valueSet",
            &json!(InsertTextMode::AsIs),
        ),
        resolves_actions: lists("/textDocument/codeAction/resolveSupport/properties", &json!("edit"))
            && is("/textDocument/codeAction/dataSupport"),
        apply_edit: is("/workspace/applyEdit"),
        watches_files: is("/workspace/didChangeWatchedFiles/dynamicRegistration"),
    }
}

/// The protocol's name of an encoding.
#[must_use]
pub const fn encoding_kind(encoding: Encoding) -> PositionEncodingKind {
    match encoding {
        Encoding::Utf8 => PositionEncodingKind::UTF8,
        Encoding::Utf16 => PositionEncodingKind::UTF16,
        Encoding::Utf32 => PositionEncodingKind::UTF32,
    }
}

/// Asks the client to say when a project's `lacuna.toml` changes.
pub async fn watch_projects(shared: &Shared) {
    if !shared.client_abilities().watches_files {
        return;
    }
    let watched = Registration {
        id: "lacuna-projects".to_owned(),
        method: "workspace/didChangeWatchedFiles".to_owned(),
        register_options: Some(json!({"watchers": [{"globPattern": format!("**/{}", PROJECT_FILE_NAME)}]})),
    };
    match shared.client.register_capability(vec![watched]).await {
        Ok(()) => shared.look.client_watches(),
        Err(error) => tracing::warn!(%error, "the client does not watch lacuna.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(offered: Value) -> Encoding {
        let params = json!({"processId": null, "rootUri": null, "capabilities": {"general": {"positionEncodings": offered}}});
        abilities(&serde_json::from_value(params).unwrap()).encoding
    }

    #[test]
    fn utf8_is_preferred_and_utf16_the_default() {
        assert_eq!(encoding(json!(["utf-16", "utf-8", "utf-32"])), Encoding::Utf8);
        assert_eq!(encoding(json!(["utf-32", "utf-16"])), Encoding::Utf16);
        assert_eq!(encoding(json!(["utf-32"])), Encoding::Utf32);
        assert_eq!(encoding(json!([])), Encoding::Utf16);
        assert_eq!(encoding(Value::Null), Encoding::Utf16);
    }
}
