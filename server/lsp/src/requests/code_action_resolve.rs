//! `codeAction/resolve`: does what was chosen, and answers with the edit.

use crate::actions::{Action, Done, perform};
use crate::api::{Work, failed};
use crate::edits::workspace_edit;
use crate::front::Intake;
use crate::requests::execute_command;
use crate::server::Shared;
use crate::turns::Lane;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{CodeAction, MessageType};
use tower_lsp::jsonrpc::{Error, Result};

/// The request.
#[derive(Debug)]
pub struct ResolveCodeAction;

impl Work for ResolveCodeAction {
    const METHOD: &'static str = "codeAction/resolve";
    const LANE: Lane = Lane::Action;
    type Params = CodeAction;
    type Result = CodeAction;

    async fn run(shared: Arc<Shared>, mut intake: Intake, params: Self::Params) -> Result<Self::Result> {
        let Some(data) = params.data.clone() else {
            // kakoune-lsp resolves what has no edit, also an action that is complete with its command.
            let complete = params.command.as_ref().is_some_and(|it| it.command == execute_command::PERFORM);
            return if complete { Ok(params) } else { Err(failed("this action is not one of Lacuna's")) };
        };
        let action: Action =
            serde_json::from_value(data).map_err(|error| Error::invalid_params(error.to_string()))?;
        let Done { view, change } = perform(&shared, &action, intake.view.take(), &mut intake.turn).await?;
        let edit = match change {
            Some(change) => workspace_edit(&shared, &view, &change),
            None => {
                let client = shared.client.clone();
                client.show_message(MessageType::Info, NOTHING_TO_DO).await;
                // An action without an edit does nothing, which is what is to be done.
                Default::default()
            }
        };
        Ok(CodeAction { edit: Some(edit), ..params })
    }
}

/// Said when refining leaves a text as it is.
pub const NOTHING_TO_DO: &str = "Lacuna: nothing to correct, the model keeps the text as it is";
