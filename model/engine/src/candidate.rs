//! What an engine answers: candidates, best first, and what they cost.

use serde::{Deserialize, Serialize};

/// Who wrote the first version of a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody: its canvas began as noise.
    #[default]
    Noise,
    /// The causal pass of the same weights, from the code before the hole.
    Causal,
    /// The causal pass of the same weights, from a fill-in-the-middle ordered prompt.
    CausalFim,
    /// The programmer: a line of the same document that began alike.
    Earlier,
    /// The request: the text that is there.
    Given,
}

/// One way to fill the hole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The text of the hole.
    pub text: String,
    /// Tokens of `text`.
    pub tokens: usize,
    /// What candidates are ranked by (higher is better): comparable within one answer only.
    pub score: f32,
    /// Causal log p(hole | prefix), in nats, with what the document repeats where the engine counts that.
    pub log_prob_hole: f32,
    /// Causal log p(next suffix tokens | prefix, hole), in nats.
    pub log_prob_suffix: f32,
    /// Stated probability that the hole holds exactly this text, 0 to 1, where the engine has one that was fitted to outcomes.
    #[serde(default)]
    pub confidence: Option<f32>,
    /// Mean entropy of the hole at the last step, in nats.
    pub entropy_mean: f32,
    /// Who wrote its first version.
    pub origin: Origin,
    /// Denoising steps taken (tokens decoded, for a causal method); 0 where no canvas changed what `origin` wrote.
    pub steps: usize,
    /// Whether the canvas came to rest before the step limit.
    pub settled: bool,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of those, found in the KV cache.
    pub cached_tokens: usize,
    /// Canvases denoised side by side.
    pub canvases: usize,
    /// Decoder passes run.
    pub forwards: usize,
    /// Hole tokens of the best candidate per decoder pass.
    pub tokens_per_forward: f32,
    /// Reading the prompt, in milliseconds.
    pub encode_ms: f32,
    /// From the start of the request to the first frame, in milliseconds.
    pub first_frame_ms: f32,
    /// Denoising, in milliseconds.
    pub denoise_ms: f32,
    /// Causal scoring, in milliseconds.
    pub score_ms: f32,
    /// The whole request, in milliseconds.
    pub total_ms: f32,
}

/// The answer to an infill, refine or generate request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Infilled {
    /// Best first, without duplicates; empty when the model offers nothing.
    pub candidates: Vec<Candidate>,
    /// What it cost.
    pub stats: Stats,
}
