//! `textDocument/codeAction`: what can be done here. Nothing is inferred until one is chosen.

use crate::actions::{Action, ActionKind, follows_instructions, is_marker};
use crate::api::Query;
use crate::convert;
use crate::documents::View;
use crate::front::Intake;
use crate::propose::settings_for;
use crate::requests::execute_command;
use crate::server::Shared;
use lacuna_text::Region;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{
    CodeAction, CodeActionKind, CodeActionParams, CodeActionResponse, CodeActionTriggerKind, Command,
    Diagnostic, Range,
};
use tower_lsp::jsonrpc::Result;

/// Diagnostics a repair is offered for; an editor sends those under the caret.
const REPAIRS_MAX: usize = 5;
/// Characters of a diagnostic's message in a title.
const MESSAGE_CHARS_MAX: usize = 50;

/// The request.
#[derive(Debug)]
pub struct CodeActions;

impl Query for CodeActions {
    const METHOD: &'static str = "textDocument/codeAction";
    type Params = CodeActionParams;
    type Result = Vec<CodeActionResponse>;

    fn answer(shared: &Arc<Shared>, intake: Intake, params: Self::Params) -> Result<Self::Result> {
        let Some(view) = intake.view else { return Ok(Vec::new()) };
        if settings_for(shared, &view).is_err() {
            return Ok(Vec::new());
        }
        let mut actions = Vec::new();
        for diagnostic in params.context.diagnostics.iter().take(REPAIRS_MAX) {
            actions.extend(repair(shared, &view, diagnostic));
        }
        // Asked without a person's doing, for a light bulb: only where the code says that something is missing.
        let unasked = params.context.trigger_kind == Some(CodeActionTriggerKind::Automatic);
        for kind in [ActionKind::Fill, ActionKind::Refine, ActionKind::Body] {
            let Some(region) = region(shared, &view, kind, params.range) else { continue };
            let selected = params.range.start != params.range.end;
            if (kind == ActionKind::Refine && !selected) || (unasked && !selected && !is_marker(&region)) {
                continue;
            }
            actions.push(action(shared, &view, (kind, None), params.range));
        }
        let asked = |action: &CodeAction| match (&params.context.only, &action.kind) {
            (Some(only), Some(kind)) => only.iter().any(|wanted| is_within(wanted, kind)),
            _ => true,
        };
        let literals = shared.client_abilities().action_literals;
        let as_known = |action: CodeAction| match action.command {
            Some(command) if !literals => {
                CodeActionResponse::Command(Command { title: action.title, ..command })
            }
            _ => CodeActionResponse::CodeAction(action),
        };
        Ok(actions.into_iter().filter(asked).map(as_known).collect())
    }
}

fn region(shared: &Shared, view: &View, kind: ActionKind, range: Range) -> Option<Region> {
    let range = convert::range(&view.snapshot, range, shared.encoding());
    // Two actions of the same place are one too many: a body that is empty is filled.
    if kind == ActionKind::Body && ActionKind::Fill.region(&view.snapshot, range.clone()).is_some() {
        return None;
    }
    kind.region(&view.snapshot, range)
}

fn repair(shared: &Shared, view: &View, diagnostic: &Diagnostic) -> Option<CodeAction> {
    region(shared, view, ActionKind::Repair, diagnostic.range)?;
    let message = serde_json::to_value(&diagnostic.message).unwrap_or_default();
    let message = message.as_str().or_else(|| message["value"].as_str()).unwrap_or_default();
    let first = message.lines().next().unwrap_or_default();
    let short: String = first.chars().take(MESSAGE_CHARS_MAX).collect();
    // A model that only fills would read what is wrong as code.
    let told = (follows_instructions(shared) && !message.trim().is_empty())
        .then(|| format!("correct this fault: {message}"));
    let mut action = action(shared, view, (ActionKind::Repair, told), diagnostic.range);
    if !short.is_empty() {
        action.title = format!("{}: {short}", ActionKind::Repair.title());
    }
    action.diagnostics = Some(vec![diagnostic.clone()]);
    Some(action)
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
fn is_within(wanted: &CodeActionKind, kind: &CodeActionKind) -> bool {
    let name = |kind: &CodeActionKind| {
        serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let (wanted, kind) = (name(wanted), name(kind));
    wanted.is_empty()
        || kind.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
