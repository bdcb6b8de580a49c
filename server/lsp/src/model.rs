//! What planning needs to know of a loaded model; any thread may ask while the engine works.

use lacuna_engine::{Engine, Limits, ModelInfo, TokenCounter};
use lacuna_text::Measure;

/// A loaded model as its callers see it.
#[derive(Clone)]
pub struct Model {
    /// What it is.
    pub info: ModelInfo,
    /// What requests are held to.
    pub limits: Limits,
    /// Counts tokens.
    pub counter: TokenCounter,
}

impl Model {
    /// What an engine has loaded.
    #[must_use]
    pub fn of(engine: &dyn Engine) -> Self {
        Self { info: engine.info(), limits: engine.limits(), counter: engine.counter() }
    }
}

impl Measure for Model {
    fn tokens(&self, text: &str) -> usize {
        (self.counter)(text)
    }
}
