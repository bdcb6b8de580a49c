//! `lacuna/document`: what the server believes a document holds.

use crate::api::Query;
use crate::front::Intake;
use crate::own::document::{DocumentParams, DocumentState, METHOD};
use crate::server::Shared;
use std::sync::Arc;
use tower_lsp::jsonrpc::Result;

/// The request.
#[derive(Debug)]
pub struct Document;

impl Query for Document {
    const METHOD: &'static str = METHOD;
    type Params = DocumentParams;
    type Result = Option<DocumentState>;

    fn answer(_shared: &Arc<Shared>, intake: Intake, _params: Self::Params) -> Result<Self::Result> {
        Ok(intake.view.as_ref().map(DocumentState::of))
    }
}
