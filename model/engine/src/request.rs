//! What an engine can be asked for, validated before it reaches the engine.

use crate::EngineError;
use serde::{Deserialize, Serialize};

/// Bounds every request is held to, so that a bad caller costs an error, not the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most denoising steps a block.
    pub steps_max: usize,
    /// Most candidates returned.
    pub candidates_max: usize,
    /// Most tokens a hole may have.
    pub hole_tokens_max: usize,
    /// Most bytes of context, prefix and suffix together.
    pub text_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps_max: 256, candidates_max: 64, hole_tokens_max: 4096, text_bytes_max: 4 << 20 }
    }
}

/// Most bytes of [`InfillRequest::near`]: all of it is read for every new text.
pub const NEAR_BYTES_MAX: usize = 128 << 10;

/// The shape of the hole; tells the engine where a candidate may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoleKind {
    /// From the cursor to the end of the line; a candidate holds no line break.
    Line,
    /// Inside one line, text on both sides; a candidate holds no line break.
    Span,
    /// Several whole lines.
    Lines,
    /// The body of a function or block.
    Body,
}

impl HoleKind {
    /// Whether a candidate may hold line breaks.
    #[must_use]
    pub const fn is_multiline(self) -> bool {
        matches!(self, Self::Lines | Self::Body)
    }
}

/// A named point on the curve of quality against time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Few steps, few lengths, and none where a checkpoint says that a draft is sure enough: for ghost text while typing.
    Fast,
    /// The default.
    #[default]
    Balanced,
    /// More lengths and steps: for a person who waits.
    Thorough,
}

/// How to sample. `None` leaves the choice to the preset and the checkpoint's `generation_config.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Named defaults for everything that is `None`.
    pub preset: Preset,
    /// Most denoising steps a block, at least 1.
    pub steps: Option<usize>,
    /// How many candidates are wanted, at least 1. The engine returns every draft it made, best first, so that its caller
    /// can judge them by what only it knows (syntax) before it cuts.
    pub candidates: Option<usize>,
    /// Seed of the engine's own generator: same seed, same answer, on any thread count.
    pub seed: u64,
    /// Hole lengths to try, in tokens; empty or `None`: the engine chooses.
    pub lengths: Option<Vec<usize>>,
    /// Whether texts that no canvas wrote from noise (the causal pass's, earlier code) may start canvases and compete with
    /// them, and whether what the document repeats counts; `None`: as the checkpoint asks for.
    pub drafts: Option<bool>,
    /// Whether canvases that begin as noise compete. Without them drafts are what is left; `None`: yes, but that a preset may
    /// spare them where a draft is enough.
    #[serde(default)]
    pub canvases: Option<bool>,
}

/// What the hole holds before the first step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Pure noise.
    #[default]
    Noise,
    /// An existing text, of which a share `strength` in 0..=1 is noised first.
    Text {
        /// The present content of the hole.
        text: String,
        /// 0 keeps it, 1 forgets it.
        strength: f32,
    },
    /// Several holes with given text between them: they condense together, each in view of all others.
    Template(Template),
}

/// `hole between[0] hole between[1] … hole`; a candidate's text is the whole of it, filled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// What stands between the holes.
    pub between: Vec<String>,
    /// How many tokens each hole has, one more than there are texts; empty: as many as the model's holes have, where that is
    /// one number.
    pub tokens: Vec<usize>,
}

impl Template {
    /// How many holes there are.
    #[must_use]
    pub const fn holes(&self) -> usize {
        self.between.len() + 1
    }

    fn check(&self, limits: &Limits) -> Result<(), EngineError> {
        if !self.tokens.is_empty() && self.tokens.len() != self.holes() {
            return Err(EngineError::InvalidRequest(format!(
                "each of the {} holes needs a number of tokens, found {}",
                self.holes(),
                self.tokens.len()
            )));
        }
        self.tokens.iter().try_for_each(|&tokens| {
            at_least_one("hole length", tokens)?;
            at_most("hole length", tokens, limits.hole_tokens_max)
        })
    }
}

/// Fill the hole between `prefix` and `suffix`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InfillRequest {
    /// Language id as in LSP (`rust`, `python`), or `None` for plain text.
    pub language: Option<String>,
    /// Far context (other files, outline, far suffix), most stable text first; placed before the prefix.
    pub context: String,
    /// The code before the hole, up to it.
    pub prefix: String,
    /// The code after the hole; the engine clamps on the canvas what fits of it.
    pub suffix: String,
    /// Whether the document ends where `suffix` does.
    #[serde(default = "yes")]
    pub suffix_ends: bool,
    /// What the new code is to do, in words; read only by a model that follows instructions.
    #[serde(default)]
    pub instruction: Option<String>,
    /// Texts that stood where the code had begun alike, the likest first: candidates, if the engine wants them.
    #[serde(default)]
    pub earlier: Vec<String>,
    /// Text that is neither in `context` nor in `prefix` and near the hole all the same (the rest of the document, say), the
    /// farthest first: an engine may count what is repeated in it. It may hold `suffix`. At most
    /// [`NEAR_BYTES_MAX`] together.
    #[serde(default)]
    pub near: Vec<String>,
    /// The shape of the hole.
    pub kind: HoleKind,
    /// What the hole starts from.
    pub start: Start,
    /// How to sample.
    pub sampling: Sampling,
}

impl InfillRequest {
    /// A request with default sampling and nothing far.
    #[must_use]
    pub fn new(prefix: impl Into<String>, suffix: impl Into<String>, kind: HoleKind) -> Self {
        Self {
            language: None,
            context: String::new(),
            prefix: prefix.into(),
            suffix: suffix.into(),
            suffix_ends: true,
            instruction: None,
            earlier: Vec::new(),
            near: Vec::new(),
            kind,
            start: Start::Noise,
            sampling: Sampling::default(),
        }
    }

    /// Holds the request against `limits`.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] naming the field, what it held and what is allowed.
    pub fn validate(&self, limits: &Limits) -> Result<(), EngineError> {
        check_sampling(&self.sampling, limits)?;
        let present = match &self.start {
            Start::Noise => 0,
            Start::Text { text, .. } => text.len(),
            Start::Template(template) => template.between.iter().map(String::len).sum(),
        };
        let present = present + self.earlier.iter().chain(&self.near).map(String::len).sum::<usize>();
        let present = present + self.instruction.as_ref().map_or(0, String::len);
        let bytes = self.context.len() + self.prefix.len() + self.suffix.len() + present;
        at_most("all text of the request (bytes)", bytes, limits.text_bytes_max)?;
        at_most("the text near the hole (bytes)", self.near.iter().map(String::len).sum(), NEAR_BYTES_MAX)?;
        if let Start::Text { strength, .. } = self.start
            && !(0.0..=1.0).contains(&strength)
        {
            return Err(EngineError::InvalidRequest(format!("strength must lie in 0..=1, found {strength}")));
        }
        if let Start::Template(template) = &self.start {
            template.check(limits)?;
        }
        Ok(())
    }
}

/// Which way of the same weights fills the hole: ours, or one of its controls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Denoise a canvas with both sides in view.
    #[default]
    Diffusion,
    /// Left to right from the prefix alone.
    Causal,
    /// Left to right from a fill-in-the-middle ordered prompt.
    CausalFim,
}

/// Plain text generation: block diffusion or left to right. The control for claims about speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// Language id, or `None`.
    pub language: Option<String>,
    /// The text to continue.
    pub prompt: String,
    /// Stop after this many tokens.
    pub tokens_max: usize,
    /// Diffusion (in blocks of the canvas length) or causal.
    pub method: Method,
    /// How to sample; causal decoding is greedy.
    pub sampling: Sampling,
}

impl GenerateRequest {
    /// Holds the request against `limits`.
    ///
    /// # Errors
    /// As [`InfillRequest::validate`].
    pub fn validate(&self, limits: &Limits) -> Result<(), EngineError> {
        check_sampling(&self.sampling, limits)?;
        at_least_one("tokens", self.tokens_max)?;
        at_most("tokens", self.tokens_max, limits.hole_tokens_max)?;
        at_most("prompt (bytes)", self.prompt.len(), limits.text_bytes_max)
    }
}

/// Score a text left to right with the causal pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreRequest {
    /// Language id, or `None`.
    pub language: Option<String>,
    /// Text that conditions but is not scored.
    pub prefix: String,
    /// The text to score.
    pub text: String,
}

impl ScoreRequest {
    /// Holds the request against `limits`.
    ///
    /// # Errors
    /// As [`InfillRequest::validate`].
    pub fn validate(&self, limits: &Limits) -> Result<(), EngineError> {
        at_most("prefix and text (bytes)", self.prefix.len() + self.text.len(), limits.text_bytes_max)
    }
}

const fn yes() -> bool {
    true
}

fn check_sampling(sampling: &Sampling, limits: &Limits) -> Result<(), EngineError> {
    if let Some(steps) = sampling.steps {
        at_least_one("steps", steps)?;
        at_most("steps", steps, limits.steps_max)?;
    }
    if let Some(candidates) = sampling.candidates {
        at_least_one("candidates", candidates)?;
        at_most("candidates", candidates, limits.candidates_max)?;
    }
    at_most("hole lengths", sampling.lengths.as_ref().map_or(0, Vec::len), limits.candidates_max)?;
    for &length in sampling.lengths.iter().flatten() {
        at_least_one("hole length", length)?;
        at_most("hole length", length, limits.hole_tokens_max)?;
    }
    Ok(())
}

fn at_least_one(name: &str, value: usize) -> Result<(), EngineError> {
    if value == 0 {
        return Err(EngineError::InvalidRequest(format!("{name} must be at least 1, found 0")));
    }
    Ok(())
}

fn at_most(name: &str, value: usize, max: usize) -> Result<(), EngineError> {
    if value > max {
        return Err(EngineError::InvalidRequest(format!("{name} must be at most {max}, found {value}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_requests_name_the_field_and_the_bound() {
        let mut request = InfillRequest::new("a", "b", HoleKind::Line);
        assert_eq!(request.validate(&Limits::default()), Ok(()));
        request.sampling.steps = Some(0);
        let message = request.validate(&Limits::default()).unwrap_err().to_string();
        assert_eq!(message, "the request cannot be run: steps must be at least 1, found 0");
        request.sampling.steps = Some(257);
        assert!(
            request.validate(&Limits::default()).unwrap_err().to_string().contains("at most 256, found 257")
        );
        request.sampling.steps = None;
        request.start = Start::Text { text: String::new(), strength: f32::NAN };
        assert!(request.validate(&Limits::default()).unwrap_err().to_string().contains("strength"));
    }

    #[test]
    fn requests_survive_a_round_trip_through_json() {
        let request = InfillRequest::new("fn f() {", "}", HoleKind::Body);
        let wire = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<InfillRequest>(&wire).unwrap(), request);
    }
}
