//! `textDocument/codeAction`: what can be done here. Nothing is inferred until one is chosen.

use crate::actions::{Action, ActionKind, follows_instructions, is_marker};
use crate::api::{Work, aside};
use crate::convert;
use crate::documents::View;
use crate::front::Intake;
use crate::propose::settings_for;
use crate::requests::execute_command;
use crate::server::Shared;
use crate::turns::Lane;
use lacuna_engine::CancelToken;
use lacuna_text::Region;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{
    CodeAction, CodeActionKind, CodeActionParams, CodeActionResponse, CodeActionTriggerKind, Command,
    Diagnostic, Range,
};
use tower_lsp::jsonrpc::{Error, Result};

/// Diagnostics a repair is offered for; an editor sends those under the caret.
const REPAIRS_MAX: usize = 5;
/// Characters of a diagnostic's message in a title.
const MESSAGE_CHARS_MAX: usize = 50;

/// The request.
#[derive(Debug)]
pub struct CodeActions;

impl Work for CodeActions {
    const METHOD: &'static str = "textDocument/codeAction";
    const LANE: Lane = Lane::Action;
    type Params = CodeActionParams;
    type Result = Vec<CodeActionResponse>;

    async fn run(shared: Arc<Shared>, intake: Intake, params: Self::Params) -> Result<Self::Result> {
        let Intake { view: Some(view), mut turn, .. } = intake else { return Ok(Vec::new()) };
        if settings_for(&shared, &view).is_err() {
            return Ok(Vec::new());
        }
        let search = Search { shared, view, params, cancel: turn.cancel.clone() };
        // Parts of a large text are parsed for it. The turn is dropped with this future, whoever ends it: that stops them.
        tokio::select! {
            biased;
            () = turn.superseded() => Err(Error::request_cancelled()),
            actions = aside(move || search.actions()) => actions,
        }
    }
}

/// A question, on its way through the text.
struct Search {
    shared: Arc<Shared>,
    view: View,
    params: CodeActionParams,
    /// Looked at before each part of the text.
    cancel: CancelToken,
}

impl Search {
    /// Whether a kind is asked for. What nobody asks for is not looked for: that takes parsing.
    fn is_asked(&self, kind: ActionKind) -> bool {
        let only = self.params.context.only.as_ref();
        only.is_none_or(|only| only.iter().any(|wanted| is_within(wanted, kind.id())))
    }

    /// What would change at the range that is asked about; nothing once nobody waits for the answer.
    fn region(&self, kind: ActionKind, range: Range) -> Option<Region> {
        let range = || convert::range(&self.view.snapshot, range, self.shared.encoding());
        if self.cancel.is_cancelled() { None } else { kind.region(&self.view.snapshot, range()) }
    }

    /// What can be done.
    fn actions(&self) -> Vec<CodeActionResponse> {
        let Self { shared, view, params, .. } = self;
        let mut actions = Vec::new();
        if self.is_asked(ActionKind::Repair) {
            let diagnostics = params.context.diagnostics.iter().take(REPAIRS_MAX);
            actions.extend(diagnostics.filter_map(|diagnostic| self.repair(diagnostic)));
        }
        // Asked without a person's doing, for a light bulb: only where the code says that something is missing.
        let unasked = params.context.trigger_kind == Some(CodeActionTriggerKind::Automatic);
        let selected = params.range.start != params.range.end;
        let filled = [ActionKind::Fill, ActionKind::Body].into_iter().any(|kind| self.is_asked(kind));
        let filled = filled.then(|| self.region(ActionKind::Fill, params.range)).flatten();
        for kind in [ActionKind::Fill, ActionKind::Refine, ActionKind::Body]
            .into_iter()
            .filter(|&kind| self.is_asked(kind))
        {
            let region = match kind {
                ActionKind::Fill => filled.clone(),
                // Two actions of the same place are one too many: a body that is empty is filled.
                ActionKind::Body if filled.is_some() => None,
                _ => self.region(kind, params.range),
            };
            let Some(region) = region else { continue };
            if (kind == ActionKind::Refine && !selected) || (unasked && !selected && !is_marker(&region)) {
                continue;
            }
            actions.push(action(shared, view, (kind, None), params.range));
        }
        let literals = shared.client_abilities().action_literals;
        let as_known = |action: CodeAction| match action.command {
            Some(command) if !literals => {
                CodeActionResponse::Command(Command { title: action.title, ..command })
            }
            _ => CodeActionResponse::CodeAction(action),
        };
        actions.into_iter().map(as_known).collect()
    }

    fn repair(&self, diagnostic: &Diagnostic) -> Option<CodeAction> {
        self.region(ActionKind::Repair, diagnostic.range)?;
        let message = serde_json::to_value(&diagnostic.message).unwrap_or_default();
        let message = message.as_str().or_else(|| message["value"].as_str()).unwrap_or_default();
        let first = message.lines().next().unwrap_or_default();
        let short: String = first.chars().take(MESSAGE_CHARS_MAX).collect();
        // A model that only fills would read what is wrong as code.
        let told = (follows_instructions(&self.shared) && !message.trim().is_empty())
            .then(|| format!("correct this fault: {message}"));
        let mut action = action(&self.shared, &self.view, (ActionKind::Repair, told), diagnostic.range);
        if !short.is_empty() {
            action.title = format!("{}: {short}", ActionKind::Repair.title());
        }
        action.diagnostics = Some(vec![diagnostic.clone()]);
        Some(action)
    }
}

fn action(
    shared: &Shared,
    view: &View,
    (kind, instruction): (ActionKind, Option<String>),
    range: Range,
) -> CodeAction {
    let (uri, version) = (view.uri.clone(), Some(view.version));
    let data = Action { kind, uri, version, range, instruction, strength: None };
    let data = serde_json::to_value(data).unwrap_or_default();
    // A client that does not resolve gets a command, whose edit comes through `workspace/applyEdit`.
    let abilities = shared.client_abilities();
    let lazily = abilities.resolves_actions && abilities.action_literals;
    let command = (!lazily).then(|| Command {
        title: kind.title().to_owned(),
        command: execute_command::PERFORM.to_owned(),
        arguments: Some(vec![data.clone()]),
        tooltip: None,
    });
    CodeAction {
        title: kind.title().to_owned(),
        kind: Some(CodeActionKind::from(kind.id())),
        command,
        data: lazily.then_some(data),
        ..CodeAction::default()
    }
}

/// Whether `kind` is `wanted` or one of its sub-kinds.
fn is_within(wanted: &CodeActionKind, kind: &str) -> bool {
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let wanted = wanted.as_str().unwrap_or_default();
    wanted.is_empty()
        || kind.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
