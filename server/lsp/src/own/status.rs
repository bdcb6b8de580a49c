//! `lacuna/status`: what the server is doing, and why it does nothing when it does nothing.

use lacuna_engine::ModelInfo;
use serde::{Deserialize, Serialize};
use tower_lsp::gen_lsp_types::{LspNotificationMethod, MessageDirection, Notification};

/// The notification.
#[derive(Debug)]
pub enum StatusNotification {}

impl Notification for StatusNotification {
    type Params = StatusParams;
    const METHOD: LspNotificationMethod<'static> = LspNotificationMethod::Custom("lacuna/status");
    const MESSAGE_DIRECTION: MessageDirection = MessageDirection::ServerToClient;
}

/// What the server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The model is being loaded; requests are answered empty.
    #[default]
    Starting,
    /// Waiting for requests.
    Ready,
    /// Filling a hole.
    Busy,
    /// Switched off by a setting or a command: no planning, no inference.
    Disabled,
    /// The model cannot be used; requests are answered empty.
    Error,
}

/// The notification's parameters, and the result of the command `lacuna.status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusParams {
    /// What it is doing.
    pub state: State,
    /// The same for a person, in one line; with the reason where something is wrong.
    pub message: String,
    /// The loaded model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// How far the hole in work is; with frames only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// What happened since the start.
    pub counters: Counters,
    /// What the last inference cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
}

/// The model in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelSummary {
    /// Directory, or `built-in`.
    pub source: String,
    /// Parameters in use.
    pub parameters: u64,
    /// `cpu` or `cuda:N`, with its instruction set.
    pub device: String,
    /// Number format of the matrix work.
    pub precision: String,
    /// Worker threads.
    pub threads: usize,
}

impl From<&ModelInfo> for ModelSummary {
    fn from(info: &ModelInfo) -> Self {
        Self {
            source: info.source.clone(),
            parameters: info.parameters,
            device: info.device.clone(),
            precision: info.precision.clone(),
            threads: info.threads,
        }
    }
}

/// A denoising step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// From 1.
    pub step: usize,
    /// The most it may take.
    pub steps_max: usize,
}

/// Counts since the start of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Requests for proposals.
    pub requests: u64,
    /// Holes the engine began to fill.
    pub inferences_started: u64,
    /// Of those, ended with an answer, be it an error.
    pub inferences_finished: u64,
    /// Of those, given up because nobody waited any more.
    pub inferences_cancelled: u64,
    /// Requests answered by what stood on offer already.
    pub typed_through: u64,
    /// Requests whose every proposal was kept back: the model was less sure of them than `minConfidence`.
    pub unsure: u64,
    /// Times the engine was started anew after a failure.
    pub engine_restarts: u64,
    /// Panics caught, in handlers and in the engine.
    pub panics: u64,
}

/// What an inference cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of those, found in the KV cache.
    pub cached_tokens: usize,
    /// Planning: context, window, token counts.
    pub plan_ms: f32,
    /// In the queue.
    pub wait_ms: f32,
    /// In the engine.
    pub engine_ms: f32,
    /// From the arrival of the request to its answer.
    pub total_ms: f32,
}
