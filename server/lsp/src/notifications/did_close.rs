//! `textDocument/didClose`: the client's file system owns the text again.

use crate::api::Notice;
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::DidCloseTextDocumentParams;

/// The notification.
#[derive(Debug)]
pub struct DidClose;

impl Notice for DidClose {
    const METHOD: &'static str = "textDocument/didClose";
    type Params = DidCloseTextDocumentParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        if !shared.documents().close(&params.text_document.uri) {
            tracing::warn!("closing a document that is not open was ignored");
        }
        // The index may be at work for a request; nothing that arrives waits for that.
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || shared.contexts.forget(&shared, &params.text_document.uri));
    }
}
