//! The notifications the server listens to, one file each.

pub mod did_change;
pub mod did_change_configuration;
pub mod did_change_watched_files;
pub mod did_change_workspace_folders;
pub mod did_close;
pub mod did_open;
pub mod did_save;
pub mod set_trace;
pub mod work_done_progress_cancel;

use crate::api::Notice;
use crate::server::Shared;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Reads a notification's parameters and does what it says.
pub type Apply = fn(&Arc<Shared>, Value) -> Result<(), serde_json::Error>;

fn apply<N: Notice>(shared: &Arc<Shared>, params: Value) -> Result<(), serde_json::Error> {
    N::apply(shared, serde_json::from_value(params)?);
    Ok(())
}

/// All of them by name.
#[must_use]
pub fn all() -> HashMap<&'static str, Apply> {
    fn entry<N: Notice>() -> (&'static str, Apply) {
        (N::METHOD, apply::<N>)
    }
    HashMap::from([
        entry::<did_open::DidOpen>(),
        entry::<did_change::DidChange>(),
        entry::<did_close::DidClose>(),
        entry::<did_save::DidSave>(),
        entry::<did_change_configuration::DidChangeConfiguration>(),
        entry::<did_change_watched_files::DidChangeWatchedFiles>(),
        entry::<did_change_workspace_folders::DidChangeWorkspaceFolders>(),
        entry::<work_done_progress_cancel::WorkDoneProgressCancel>(),
        entry::<set_trace::SetTrace>(),
    ])
}
