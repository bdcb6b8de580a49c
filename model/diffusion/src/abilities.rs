//! What a checkpoint can do, resolved once from its files: never from its name.

use crate::config::{Confidence, Config, Drafts, Fim, GenerationConfig, Noise};
use crate::prompt::{PromptTokens, far_suffix_room};
use crate::repeats::RepeatOrder;
use crate::tokenizer::{Tokenizer, TokenizerError};
use std::sync::Arc;

/// Everything the engine asks of a checkpoint beyond its weights, with defaults where the files are silent.
#[derive(Clone, Debug)]
pub(crate) struct Abilities {
    pub noise: Noise,
    pub blank: Option<u32>,
    /// Rows of the all-noise holes on which the length is read, ascending.
    pub length_buckets: Vec<usize>,
    pub hole_tokens_max: usize,
    pub suffix_tokens_min: usize,
    pub head_tokens: usize,
    /// Weight of the causal pass in every denoising step of an infill.
    pub guidance: f32,
    /// Whether the whole text stands on the canvas.
    pub whole_text: bool,
    /// Texts that compete with the canvases.
    pub drafts: Drafts,
    /// How probably a text is right.
    pub confidence: Option<Confidence>,
    /// How causal predictions are mixed with what the document repeats.
    pub repeats: Arc<[RepeatOrder]>,
    pub prompt_tokens_max: usize,
    /// Tokens behind the hole's line that a prompt begins with.
    pub far_suffix_tokens_max: usize,
    pub canvas_length: usize,
    pub fim: Option<Fim>,
    pub prompt: PromptTokens,
    /// Ends a text; never part of a candidate. Ascending.
    pub special: Vec<u32>,
    /// What the hole of an infill can never hold: the special tokens, where noise is a mask (such a model was trained
    /// with holes of text alone). A model of uniform noise may end its text by one of them.
    pub banned: Arc<[u32]>,
    /// Stands once after the last token of a document, where that comes into view of a canvas.
    pub end_of_document: Option<u32>,
    /// Stands on every canvas row after that.
    pub fill: u32,
}

/// Prompt tokens that are read when the files name no limit; the KV cache grows with it.
const PROMPT_TOKENS_MAX: usize = 8192;

/// Prompt tokens that a checkpoint is read with, where memory allows.
pub(crate) fn prompt_tokens_max(config: &Config) -> usize {
    config.lacuna.prompt_tokens_max.unwrap_or(PROMPT_TOKENS_MAX).min(config.positions_max)
}

impl Abilities {
    pub(crate) fn resolve(
        config: &Config,
        generation: &GenerationConfig,
        tokenizer: &Tokenizer,
    ) -> Result<Self, TokenizerError> {
        let lacuna = &config.lacuna;
        let canvas_length = config.canvas_length;
        let suffix_tokens_min = lacuna.suffix_tokens_min.unwrap_or(16).min(canvas_length / 4);
        let head_tokens = lacuna.canvas_head_tokens.unwrap_or(1).clamp(1, (canvas_length / 4).max(1));
        let room = canvas_length.saturating_sub(suffix_tokens_min + head_tokens).max(1);
        let hole_tokens_max = lacuna.hole_tokens_max.unwrap_or(room).clamp(1, room);
        let mut length_buckets = lacuna.hole_buckets.clone();
        length_buckets.retain(|bucket| (1..=hole_tokens_max).contains(bucket));
        length_buckets.sort_unstable();
        if length_buckets.is_empty() {
            length_buckets.push(hole_tokens_max);
        }
        let pad = config.pad_token_id.unwrap_or(0);
        let mut special = tokenizer.special_ids();
        special.extend(&generation.eos_token_ids);
        special.extend(config.pad_token_id);
        special.sort_unstable();
        special.dedup();
        Ok(Self {
            noise: lacuna.noise,
            blank: lacuna.blank_token_id,
            length_buckets,
            hole_tokens_max,
            suffix_tokens_min,
            head_tokens,
            guidance: lacuna.causal_guidance,
            whole_text: lacuna.whole_text,
            drafts: lacuna.drafts,
            confidence: lacuna.confidence,
            repeats: Arc::from(&lacuna.repeats[..]),
            prompt_tokens_max: prompt_tokens_max(config),
            // Of a text that stands on the canvas nothing is read before.
            far_suffix_tokens_max: if lacuna.whole_text { 0 } else { lacuna.prompt.far_suffix_tokens_max },
            canvas_length,
            fim: lacuna.fim,
            prompt: PromptTokens::resolve(lacuna, config.bos_token_id, tokenizer)?,
            banned: match lacuna.noise {
                Noise::Uniform => Arc::from([]),
                Noise::Mask { .. } => {
                    special.iter().copied().filter(|&id| (id as usize) < config.vocab_size).collect()
                }
            },
            special,
            end_of_document: lacuna.end_of_document.0.or(generation.eos_token_ids.first().copied()),
            fill: lacuna.end_of_document.1.unwrap_or(pad),
        })
    }

    /// Tokens of a prompt that are sure to be there for context and prefix: without the fixed ones and the far suffix.
    pub(crate) fn text_tokens_max(&self) -> usize {
        let room = self.prompt_tokens_max.saturating_sub(self.prompt.header_tokens_max());
        room - far_suffix_room(self.far_suffix_tokens_max, room)
    }

    /// Whether `id` ends a text.
    pub(crate) fn ends_text(&self, id: u32) -> bool {
        self.special.binary_search(&id).is_ok()
    }
}
