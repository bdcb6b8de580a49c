//! `workspace/didChangeWatchedFiles`: a project's `lacuna.toml` was written, made or removed.

use crate::api::Notice;
use crate::server::Shared;
use serde::de::IgnoredAny;
use std::sync::Arc;

/// The notification.
#[derive(Debug)]
pub struct DidChangeWatchedFiles;

impl Notice for DidChangeWatchedFiles {
    const METHOD: &'static str = "workspace/didChangeWatchedFiles";
    /// Only `lacuna.toml` is watched, so which file it was does not matter.
    type Params = IgnoredAny;

    fn apply(shared: &Arc<Shared>, _params: Self::Params) {
        shared.read_projects();
    }
}
