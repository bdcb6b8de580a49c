//! `workspace/didChangeConfiguration`: new settings, or (with empty parameters) the word that there are some to ask for.

use crate::api::Notice;
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::DidChangeConfigurationParams;

/// The notification.
#[derive(Debug)]
pub struct DidChangeConfiguration;

impl Notice for DidChangeConfiguration {
    const METHOD: &'static str = "workspace/didChangeConfiguration";
    type Params = DidChangeConfigurationParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        if shared.client_abilities().configuration {
            let shared = Arc::clone(shared);
            tokio::spawn(async move { shared.ask_for_configuration().await });
        } else if !params.settings.is_null() {
            shared.reconfigure(move |configuration| configuration.layers.set_configuration(&params.settings));
        }
    }
}
