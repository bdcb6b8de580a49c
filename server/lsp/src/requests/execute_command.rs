//! `workspace/executeCommand`: fill, refine, toggle, status, restart the engine.

use crate::actions::{Action, ActionKind, Done, perform};
use crate::api::{Work, failed};
use crate::edits::workspace_edit;
use crate::front::Intake;
use crate::requests::code_action_resolve::NOTHING_TO_DO;
use crate::server::Shared;
use crate::settings::Settings;
use crate::turns::Lane;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use tower_lsp::gen_lsp_types::{ExecuteCommandParams, MessageType, Position, Range, Uri};
use tower_lsp::jsonrpc::{Error, Result};

/// What a code action runs where the client does not resolve it.
pub const PERFORM: &str = "lacuna.perform";

/// Every command.
pub const COMMANDS: [&str; 6] =
    ["lacuna.fill", "lacuna.refine", "lacuna.toggle", "lacuna.status", "lacuna.restartEngine", PERFORM];

/// The request.
#[derive(Debug)]
pub struct ExecuteCommand;

/// Where `lacuna.fill` and `lacuna.refine` are to work.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    uri: Uri,
    range: Option<Range>,
    position: Option<Position>,
    version: Option<i32>,
    strength: Option<f32>,
    instruction: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Toggle {
    /// The document a person is in: what is on there is what is turned over.
    uri: Option<Uri>,
    language: Option<String>,
    enabled: Option<bool>,
}

impl Work for ExecuteCommand {
    const METHOD: &'static str = "workspace/executeCommand";
    const LANE: Lane = Lane::Action;
    type Params = ExecuteCommandParams;
    type Result = Value;

    async fn run(shared: Arc<Shared>, intake: Intake, params: Self::Params) -> Result<Self::Result> {
        let argument = params.arguments.and_then(|arguments| arguments.into_iter().next());
        match params.command.as_str() {
            "lacuna.fill" => apply(&shared, intake, place(ActionKind::Fill, argument)?).await,
            "lacuna.refine" => apply(&shared, intake, place(ActionKind::Refine, argument)?).await,
            PERFORM => apply(&shared, intake, read(argument)?).await,
            "lacuna.toggle" => {
                let toggle: Toggle =
                    argument.map_or_else(|| Ok(Toggle::default()), |value| read(Some(value)))?;
                let is_on = |settings: &Settings| {
                    toggle.language.as_deref().map_or(settings.enabled, |id| settings.allows_language(id))
                };
                let now = match &toggle.uri {
                    Some(uri) => is_on(&shared.settings_of(uri).0),
                    None => shared.holds_anywhere(is_on),
                };
                let wanted = toggle.enabled.unwrap_or(!now);
                let made = shared.reconfigure(move |configuration| {
                    configuration.layers.toggle(toggle.language.as_deref(), Some(wanted));
                });
                shared.changes.made(made).await;
                Ok(json!({ "enabled": wanted }))
            }
            "lacuna.status" => Ok(json!(shared.status.params())),
            "lacuna.restartEngine" => {
                restart(&shared).await;
                Ok(Value::Null)
            }
            other => Err(Error::invalid_params(format!(
                "there is no command `{other}`; there are {}",
                COMMANDS.join(", ")
            ))),
        }
    }
}

/// Loads the engine anew, by what each `lacuna.toml` says now.
async fn restart(shared: &Arc<Shared>) {
    let before = shared.settings().engine.clone();
    shared.changes.made(shared.read_projects()).await;
    let engine = shared.settings().engine.clone();
    // Else the new settings have restarted it.
    if engine == before {
        shared.worker.restart(engine);
    }
}

fn read<T: DeserializeOwned>(argument: Option<Value>) -> Result<T> {
    let argument =
        argument.ok_or_else(|| Error::invalid_params("the command takes one argument, found none"))?;
    serde_json::from_value(argument)
        .map_err(|error| Error::invalid_params(format!("the command's argument cannot be used: {error}")))
}

fn place(kind: ActionKind, argument: Option<Value>) -> Result<Action> {
    let Place { uri, range, position, version, strength, instruction } = read(argument)?;
    let range = range.or_else(|| position.map(|at| Range { start: at, end: at })).ok_or_else(|| {
        Error::invalid_params("the command's argument names neither `range` nor `position`")
    })?;
    if strength.is_some_and(|strength| !(0.0..=1.0).contains(&strength)) {
        return Err(Error::invalid_params("`strength` must lie in 0..=1"));
    }
    Ok(Action { kind, uri, version, range, instruction, strength })
}

/// Does an action and has the client apply its edit.
async fn apply(shared: &Arc<Shared>, mut intake: Intake, action: Action) -> Result<Value> {
    if !shared.client_abilities().apply_edit {
        return Err(failed("this client does not take edits from a server (workspace/applyEdit)"));
    }
    let Done { view, change } = perform(shared, &action, intake.view.take(), &mut intake.turn).await?;
    let Some(change) = change else {
        shared.client.show_message(MessageType::Info, NOTHING_TO_DO).await;
        return Ok(json!({ "applied": false, "reason": "nothing to correct" }));
    };
    let answer = shared.client.apply_edit(workspace_edit(shared, &view, &change)).await?;
    Ok(match answer.failure_reason {
        _ if answer.applied => json!({ "applied": true }),
        reason => {
            json!({ "applied": false, "reason": reason.unwrap_or_else(|| "the client refused".to_owned()) })
        }
    })
}
