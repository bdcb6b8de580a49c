//! `$/setTrace`: traces go through the log, whose level is a setting; the notification is taken and has no effect.

use crate::api::Notice;
use crate::server::Shared;
use serde::de::IgnoredAny;
use std::sync::Arc;

/// The notification.
#[derive(Debug)]
pub struct SetTrace;

impl Notice for SetTrace {
    const METHOD: &'static str = "$/setTrace";
    type Params = IgnoredAny;

    fn apply(_shared: &Arc<Shared>, _params: Self::Params) {}
}
