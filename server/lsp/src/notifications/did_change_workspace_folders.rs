//! `workspace/didChangeWorkspaceFolders`: folders came and went.

use crate::api::Notice;
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{DidChangeWorkspaceFoldersParams, WorkspaceFolder};

/// The notification.
#[derive(Debug)]
pub struct DidChangeWorkspaceFolders;

impl Notice for DidChangeWorkspaceFolders {
    const METHOD: &'static str = "workspace/didChangeWorkspaceFolders";
    type Params = DidChangeWorkspaceFoldersParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        let uris = |folders: Vec<WorkspaceFolder>| folders.into_iter().map(|folder| folder.uri).collect();
        shared.change_folders(uris(params.event.removed), uris(params.event.added));
    }
}
