//! The requests the server answers, one file each.

pub mod capabilities;
pub mod code_action;
pub mod code_action_resolve;
pub mod completion;
pub mod document;
pub mod execute_command;
pub mod inline_completion;

use crate::api::{Query, Work, query, work};
use crate::server::Server;
use crate::turns::Lane;
use std::collections::HashMap;
use tower_lsp::LspServiceBuilder;

/// Registers all of them.
pub fn register(builder: LspServiceBuilder<Server>) -> LspServiceBuilder<Server> {
    let builder = query::<document::Document>(builder);
    let builder = work::<code_action::CodeActions>(builder);
    let builder = work::<inline_completion::InlineCompletion>(builder);
    let builder = work::<completion::Completion>(builder);
    let builder = work::<code_action_resolve::ResolveCodeAction>(builder);
    work::<execute_command::ExecuteCommand>(builder)
}

/// Which of them see a document, and whom they supersede.
#[must_use]
pub fn lanes() -> HashMap<&'static str, Lane> {
    fn of_query<Q: Query>() -> (&'static str, Lane) {
        (Q::METHOD, Lane::Action)
    }
    fn of_work<W: Work>() -> (&'static str, Lane) {
        (W::METHOD, W::LANE)
    }
    HashMap::from([
        of_query::<document::Document>(),
        of_work::<code_action::CodeActions>(),
        of_work::<inline_completion::InlineCompletion>(),
        of_work::<completion::Completion>(),
        of_work::<code_action_resolve::ResolveCodeAction>(),
        of_work::<execute_command::ExecuteCommand>(),
    ])
}
