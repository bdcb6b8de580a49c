//! `textDocument/didOpen`: a document and its text.

use crate::api::Notice;
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::DidOpenTextDocumentParams;

/// The notification.
#[derive(Debug)]
pub struct DidOpen;

impl Notice for DidOpen {
    const METHOD: &'static str = "textDocument/didOpen";
    type Params = DidOpenTextDocumentParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        shared.documents().open(params.text_document);
    }
}
