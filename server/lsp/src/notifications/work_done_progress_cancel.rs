//! `window/workDoneProgress/cancel`: the person who waits does not want it any more.

use crate::api::Notice;
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::WorkDoneProgressCancelParams;

/// The notification.
#[derive(Debug)]
pub struct WorkDoneProgressCancel;

impl Notice for WorkDoneProgressCancel {
    const METHOD: &'static str = "window/workDoneProgress/cancel";
    type Params = WorkDoneProgressCancelParams;

    fn apply(shared: &Arc<Shared>, params: Self::Params) {
        shared.progress.cancel(&params.token);
    }
}
