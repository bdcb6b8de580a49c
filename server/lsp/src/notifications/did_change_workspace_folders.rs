//! `workspace/didChangeWorkspaceFolders`: folders came and went.

use crate::api::Notice;
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::DidChangeWorkspaceFoldersParams;

/// The notification.
#[derive(Debug)]
pub struct DidChangeWorkspaceFolders;

impl Notice for DidChangeWorkspaceFolders {
    const METHOD: &'static str = "workspace/didChangeWorkspaceFolders";
    type Params = DidChangeWorkspaceFoldersParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        let shared = Arc::clone(shared);
        // Reads from disk.
        tokio::task::spawn_blocking(move || {
            shared.configure(|configuration| {
                for folder in params.event.removed {
                    configuration.remove_folder(&folder.uri);
                }
                for folder in params.event.added {
                    configuration.add_folder(&folder.uri);
                }
            });
        });
    }
}
