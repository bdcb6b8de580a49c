//! `textDocument/inlineCompletion` (LSP 3.18): ghost text at the caret.

use crate::api::Work;
use crate::convert;
use crate::front::Intake;
use crate::propose::{Proposed, Question, propose};
use crate::server::Shared;
use crate::turns::Lane;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{
    InlineCompletionItem, InlineCompletionList, InlineCompletionParams, InlineCompletionTriggerKind,
};
use tower_lsp::jsonrpc::Result;

/// The request.
#[derive(Debug)]
pub struct InlineCompletion;

impl Work for InlineCompletion {
    const METHOD: &'static str = "textDocument/inlineCompletion";
    const LANE: Lane = Lane::Inline;
    type Params = InlineCompletionParams;
    type Result = InlineCompletionList;

    async fn run(shared: Arc<Shared>, intake: Intake, params: Self::Params) -> Result<Self::Result> {
        shared.inline_completion_is_used();
        let question = Question {
            position: params.text_document_position_params.position,
            invoked: params.context.trigger_kind == InlineCompletionTriggerKind::Invoked,
            lane: Self::LANE,
            selected: params.context.selected_completion_info,
        };
        let proposed = propose(&shared, intake, question).await?;
        let items = proposed.map(|proposed| items(&shared, proposed)).unwrap_or_default();
        Ok(InlineCompletionList { items })
    }
}

fn items(shared: &Shared, proposed: Proposed) -> Vec<InlineCompletionItem> {
    let encoding = shared.encoding();
    let snapshot = &proposed.view.snapshot;
    let splits_at_lf = shared.client_abilities().splits_at_lf;
    let text = |insert: &str| match splits_at_lf {
        true => insert.replace("\r\n", "\n").replace('\r', "\n"),
        false => insert.to_owned(),
    };
    let item = |change: &lacuna_text::Change| InlineCompletionItem {
        insert_text: text(&change.insert).into(),
        filter_text: None,
        range: Some(convert::lsp_range(snapshot, &change.range, encoding)),
        command: None,
    };
    proposed.changes.iter().map(item).collect()
}
