//! `textDocument/didSave`: not asked for, sent by some clients all the same; there is nothing to do.

use crate::api::Notice;
use crate::server::Shared;
use serde::de::IgnoredAny;
use std::sync::Arc;

/// The notification.
#[derive(Debug)]
pub struct DidSave;

impl Notice for DidSave {
    const METHOD: &'static str = "textDocument/didSave";
    type Params = IgnoredAny;

    fn apply(_shared: &Arc<Shared>, _params: Self::Params) {}
}
