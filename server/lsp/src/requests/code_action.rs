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
        // What nobody asks for is not looked for: that takes parsing.
        let is_asked = |kind: ActionKind| {
            let only = params.context.only.as_ref();
            only.is_none_or(|only| only.iter().any(|wanted| is_within(wanted, kind.id())))
        };
        let mut actions = Vec::new();
        if is_asked(ActionKind::Repair) {
            let diagnostics = params.context.diagnostics.iter().take(REPAIRS_MAX);
            actions.extend(diagnostics.filter_map(|diagnostic| repair(shared, &view, diagnostic)));
        }
        // Asked without a person's doing, for a light bulb: only where the code says that something is missing.
        let unasked = params.context.trigger_kind == Some(CodeActionTriggerKind::Automatic);
        let selected = params.range.start != params.range.end;
        let filled = [ActionKind::Fill, ActionKind::Body].into_iter().any(is_asked);
        let filled = filled.then(|| region(shared, &view, ActionKind::Fill, params.range)).flatten();
        for kind in [ActionKind::Fill, ActionKind::Refine, ActionKind::Body]
            .into_iter()
            .filter(|&kind| is_asked(kind))
        {
            let region = match kind {
                ActionKind::Fill => filled.clone(),
                // Two actions of the same place are one too many: a body that is empty is filled.
                ActionKind::Body if filled.is_some() => None,
                _ => region(shared, &view, kind, params.range),
            };
            let Some(region) = region else { continue };
            if (kind == ActionKind::Refine && !selected) || (unasked && !selected && !is_marker(&region)) {
                continue;
            }
            actions.push(action(shared, &view, (kind, None), params.range));
        }
        let literals = shared.client_abilities().action_literals;
        let as_known = |action: CodeAction| match action.command {
            Some(command) if !literals => {
                CodeActionResponse::Command(Command { title: action.title, ..command })
            }
            _ => CodeActionResponse::CodeAction(action),
        };
        Ok(actions.into_iter().map(as_known).collect())
    }
}

fn region(shared: &Shared, view: &View, kind: ActionKind, range: Range) -> Option<Region> {
    kind.region(&view.snapshot, convert::range(&view.snapshot, range, shared.encoding()))
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
fn is_within(wanted: &CodeActionKind, kind: &str) -> bool {
    let wanted = serde_json::to_value(wanted).unwrap_or_default();
    let wanted = wanted.as_str().unwrap_or_default();
    wanted.is_empty()
        || kind.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
