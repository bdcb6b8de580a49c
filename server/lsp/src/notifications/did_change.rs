//! `textDocument/didChange`: changes, each to the text the one before left.

use crate::api::Notice;
use crate::documents::ContentChange;
use crate::server::Shared;
use serde::Deserialize;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::VersionedTextDocumentIdentifier;

/// The notification.
#[derive(Debug)]
pub struct DidChange;

/// Its parameters, with [`ContentChange`] for the generated type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DidChangeParams {
    text_document: VersionedTextDocumentIdentifier,
    content_changes: Vec<ContentChange>,
}

impl Notice for DidChange {
    const METHOD: &'static str = "textDocument/didChange";
    type Params = DidChangeParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        let VersionedTextDocumentIdentifier { version, text_document_identifier } = params.text_document;
        if !shared.documents().change(&text_document_identifier.uri, version, params.content_changes) {
            tracing::warn!("changes to a document that is not open were ignored");
        }
    }
}
