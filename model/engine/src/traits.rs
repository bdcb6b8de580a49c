//! The engine itself, as its callers see it.

use crate::{
    CancelToken, EngineError, FrameSink, GenerateRequest, InfillRequest, Infilled, Limits, Method,
    ScoreRequest,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What noise means to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseInfo {
    /// Every noisy position is a uniformly random token.
    Uniform,
    /// A mask token, or with probability `uniform_share` a uniformly random one.
    Mask {
        /// Share of uniform tokens among the noise.
        uniform_share: f32,
    },
}

/// What a loaded model is and can do, read from its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Directory, or `built-in`.
    pub source: String,
    /// Parameters in use (without unused towers).
    pub parameters: u64,
    /// Bytes of weights held in memory.
    pub weight_bytes: u64,
    /// Numeric precision of the matrix work, such as `bf16` or `f32`.
    pub precision: String,
    /// `cpu` or `cuda:N`, and what instruction set it uses.
    pub device: String,
    /// Worker threads.
    pub threads: usize,
    /// Layers, hidden size, vocabulary.
    pub layers: usize,
    /// Hidden size.
    pub hidden: usize,
    /// Vocabulary size.
    pub vocabulary: usize,
    /// Canvas length in tokens.
    pub canvas_length: usize,
    /// Most tokens of context and prefix together that are read: a prompt's fixed tokens and far suffix are taken off.
    pub prompt_tokens_max: usize,
    /// Most tokens one hole may have.
    pub hole_tokens_max: usize,
    /// What noise is.
    pub noise: NoiseInfo,
    /// Whether a blank token lets the model say a hole's length.
    pub blank_token: bool,
    /// Whether the files name fill-in-the-middle tokens (for the control).
    pub fim: bool,
    /// Whether the files hold a chat template (the model can follow instructions).
    pub instruct: bool,
    /// Language ids with a marker token of their own.
    pub languages: Vec<String>,
}

/// Log-probabilities of a text, left to right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Text of each token.
    pub tokens: Vec<String>,
    /// ln p(token | everything before it), in nats, one per token.
    pub log_probs: Vec<f32>,
}

/// Says how many tokens a text is.
pub type TokenCounter = Arc<dyn Fn(&str) -> usize + Send + Sync>;

/// Fills holes. Lives on one thread; `&mut self` because the KV cache moves with every request.
pub trait Engine: Send {
    /// What the loaded model is and can do.
    fn info(&self) -> ModelInfo;

    /// The bounds requests are held to.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Counts tokens, for budgets; any thread may use it while the engine works.
    fn counter(&self) -> TokenCounter;

    /// How many tokens `text` is.
    fn count_tokens(&self, text: &str) -> usize {
        (self.counter())(text)
    }

    /// How many tokens a hole has that `text` fills after `prefix`: an engine may take back what the cursor cut.
    fn hole_tokens(&self, prefix: &str, text: &str) -> usize {
        let _ = prefix;
        self.count_tokens(text)
    }

    /// Fills (or, with [`crate::Start::Text`], refines) a hole. Cancellation is noticed within one layer's time.
    ///
    /// # Errors
    /// Any [`EngineError`]; after one the engine can take the next request.
    fn infill(
        &mut self,
        request: &InfillRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError>;

    /// Fills the same hole by one of the controls, with the same weights.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] when the files name no tokens for it; else as [`Engine::infill`].
    fn infill_by(
        &mut self,
        method: Method,
        request: &InfillRequest,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError>;

    /// Continues a text: block diffusion or greedy left to right. One candidate.
    ///
    /// # Errors
    /// As [`Engine::infill`].
    fn generate(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError>;

    /// Log-probability of every token of a text.
    ///
    /// # Errors
    /// As [`Engine::infill`].
    fn score(&mut self, request: &ScoreRequest, cancel: &CancelToken) -> Result<Scored, EngineError>;
}
