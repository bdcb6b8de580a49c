//! Changes as the client is to make them: with the version they are for, so that a stale one is refused.

use crate::convert;
use crate::documents::View;
use crate::server::Shared;
use lacuna_text::Change;
use std::collections::HashMap;
use tower_lsp::gen_lsp_types::{
    DocumentChange, Edit, OptionalVersionedTextDocumentIdentifier, TextDocumentEdit, TextDocumentIdentifier,
    WorkspaceEdit,
};

/// The edit that makes `change` in the document as `view` saw it.
#[must_use]
pub fn workspace_edit(shared: &Shared, view: &View, change: &Change) -> WorkspaceEdit {
    let encoding = shared.encoding();
    let edit = convert::text_edit(&view.snapshot, change, encoding);
    if !shared.client_abilities().document_changes {
        let changes = HashMap::from([(view.uri.clone(), vec![edit])]);
        return WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() };
    }
    let document = TextDocumentEdit {
        text_document: OptionalVersionedTextDocumentIdentifier {
            version: Some(view.version),
            text_document_identifier: TextDocumentIdentifier { uri: view.uri.clone() },
        },
        edits: vec![Edit::TextEdit(edit)],
    };
    let changes = vec![DocumentChange::TextDocumentEdit(document)];
    WorkspaceEdit { document_changes: Some(changes), ..WorkspaceEdit::default() }
}
