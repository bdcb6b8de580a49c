//! The optional object `lacuna` of `config.json`: what only this project's checkpoints say about themselves.
//!
//! Everything in it is optional, so a released checkpoint without it loads as what it is: uniform noise, no blank
//! token, no prompt markers. Unknown keys are ignored; `model/training/README.md` defines the known ones.

use crate::error::LoadError;
use crate::json::Object;
use crate::repeats::RepeatOrder;

/// Bound on token counts that a file may ask for.
const TOKENS_MAX: usize = 1 << 20;

/// Bound on drafts of one kind.
const DRAFTS_MAX: usize = 16;

/// Bound on tokens of context that repeats are looked for by.
const ORDER_MAX: usize = 32;

/// What a noisy canvas position holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Noise {
    /// A uniformly random token, as the released model has it.
    #[default]
    Uniform,
    /// A mask token, or with probability `uniform_share` a uniformly random one.
    Mask {
        /// The mask token.
        mask_token_id: u32,
        /// Share of uniform tokens, in 0..=1.
        uniform_share: f32,
        /// The uniform share draws from this id on (below it are special tokens).
        uniform_first_id: u32,
    },
}

/// How a prompt begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptLayout {
    /// Tokens before everything else, as `tokenizer.json` spells them.
    pub begin: Vec<String>,
    /// Language id and its marker token.
    pub languages: Vec<(String, String)>,
    /// Most tokens of what follows the hole's line that stand before the prefix; 0 by default.
    pub far_suffix_tokens_max: usize,
}

/// Token ids of a fill-in-the-middle prompt (for the causal control).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fim {
    /// Stands before the prefix.
    pub prefix: u32,
    /// Stands before the suffix.
    pub suffix: u32,
    /// Stands before the middle.
    pub middle: u32,
    /// Ends the middle, if there is such a token.
    pub end: Option<u32>,
    /// Most suffix tokens such prompts were trained with.
    pub suffix_tokens_max: Option<usize>,
}

/// How many texts that no canvas wrote compete with the canvases of one hole, by who wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drafts {
    /// Continuations of the prefix by the causal pass, each begun with another token.
    pub causal: usize,
    /// The same where the document's repeats count otherwise, without them.
    pub causal_alone: usize,
    /// Lines of the same document that began alike.
    pub earlier: usize,
    /// How many of these start a canvas each, beside the canvases of noise.
    pub seeds: usize,
    /// How many of the best candidates are denoised once more, where the causal pass doubts them.
    pub revisions: usize,
    /// Share of a text's tokens that is noised when it starts a canvas.
    pub strength: f32,
    /// Stated probability from which on the best of them stays the first candidate, whatever the canvases make.
    pub enough: Option<f32>,
}

/// A logistic model of being right: the log-odds are the intercept and each weight times what it is named after.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Confidence {
    /// Log-odds of a text of which nothing is known.
    pub intercept: f32,
    /// Of the logarithm of the surprise: ln(0.05 - log p(hole | prefix)) by the causal pass.
    pub surprise: f32,
    /// Of causal log p(next suffix tokens | prefix, hole).
    pub suffix: f32,
}

/// The object as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lacuna {
    /// What noise is.
    pub noise: Noise,
    /// Token that fills the rest of a hole and means nothing.
    pub blank_token_id: Option<u32>,
    /// Hole lengths of the training, ascending as in the file.
    pub hole_buckets: Vec<usize>,
    /// Most tokens one hole may have.
    pub hole_tokens_max: Option<usize>,
    /// Prompt tokens that are repeated at the head of the canvas.
    pub canvas_head_tokens: Option<usize>,
    /// Suffix tokens that a canvas keeps in view at least.
    pub suffix_tokens_min: Option<usize>,
    /// Weight of the causal pass' log-probabilities in every denoising step of an infill; 0, the default, is the reference.
    pub causal_guidance: f32,
    /// Whether the whole text stands on the canvas: of the prompt the encoder reads only what the model begins it with.
    pub whole_text: bool,
    /// Texts that compete with the canvases; none by default.
    pub drafts: Drafts,
    /// How probably a text is right; nobody says where it is missing.
    pub confidence: Option<Confidence>,
    /// How much a causal prediction weighs against what followed the same tokens elsewhere, ascending; empty by default.
    pub repeats: Vec<RepeatOrder>,
    /// Most prompt tokens that are read.
    pub prompt_tokens_max: Option<usize>,
    /// How a prompt begins.
    pub prompt: PromptLayout,
    /// Fill-in-the-middle tokens.
    pub fim: Option<Fim>,
    /// What a canvas shows after the document's last token: once the first, then the second to its end.
    pub end_of_document: (Option<u32>, Option<u32>),
}

impl Lacuna {
    /// Reads the object from the root of `config.json`; token ids are held to `vocab_size`, holes to the canvas.
    pub(crate) fn read(
        root: &Object<'_>,
        vocab_size: usize,
        canvas_length: usize,
    ) -> Result<Self, LoadError> {
        let Some(object) = root.optional_object("lacuna")? else { return Ok(Self::default()) };
        let optional = |key, max| object.count(key, 0, max).map(|n| object.has(key).then_some(n));
        let hole_tokens_max = match object.has("hole_tokens_max") {
            true => Some(object.size("hole_tokens_max", None, canvas_length)?),
            false => None,
        };
        Ok(Self {
            noise: noise(&object, vocab_size)?,
            blank_token_id: object.optional_token("blank_token_id", vocab_size)?,
            hole_buckets: object.sizes("hole_buckets", canvas_length)?,
            hole_tokens_max,
            canvas_head_tokens: optional("canvas_head_tokens", canvas_length)?,
            suffix_tokens_min: optional("suffix_tokens_min", canvas_length)?,
            prompt_tokens_max: optional("prompt_tokens_max", TOKENS_MAX)?,
            causal_guidance: object.number("causal_guidance", Some(0.0), 0.0..=10.0)? as f32,
            whole_text: match object.string("canvas_holds")?.as_deref() {
                None | Some("hole") => false,
                Some("text") => true,
                Some(other) => return Err(object.wrong("canvas_holds", "\"hole\" or \"text\"", other)),
            },
            drafts: drafts(&object)?,
            confidence: object.optional_object("confidence")?.as_ref().map(confidence).transpose()?,
            repeats: repeats(&object)?,
            prompt: prompt(&object)?,
            fim: fim(&object, vocab_size)?,
            end_of_document: match object.optional_object("end_of_document")? {
                None => (None, None),
                Some(end) => {
                    (end.optional_token("first", vocab_size)?, end.optional_token("then", vocab_size)?)
                }
            },
        })
    }
}

fn noise(object: &Object<'_>, vocab_size: usize) -> Result<Noise, LoadError> {
    let Some(noise) = object.optional_object("noise")? else { return Ok(Noise::Uniform) };
    match noise.string("kind")?.as_deref() {
        Some("uniform") => Ok(Noise::Uniform),
        Some("mask") => {
            let expected = format!("a token id below vocab_size = {vocab_size}");
            let mask_token_id = noise
                .optional_token("mask_token_id", vocab_size)?
                .ok_or_else(|| noise.wrong("mask_token_id", &expected, "nothing"))?;
            let uniform_share = noise.number("uniform_share", Some(0.0), 0.0..=1.0)? as f32;
            let uniform_first_id = noise.optional_token("uniform_first_id", vocab_size)?.unwrap_or(0);
            Ok(Noise::Mask { mask_token_id, uniform_share, uniform_first_id })
        }
        other => Err(noise.wrong("kind", "\"uniform\" or \"mask\"", other.unwrap_or("nothing"))),
    }
}

fn drafts(object: &Object<'_>) -> Result<Drafts, LoadError> {
    let Some(drafts) = object.optional_object("drafts")? else { return Ok(Drafts::default()) };
    let count = |key| drafts.count(key, 0, DRAFTS_MAX);
    Ok(Drafts {
        causal: count("causal")?,
        causal_alone: count("causal_alone")?,
        earlier: count("earlier")?,
        seeds: count("seeds")?,
        revisions: count("revisions")?,
        strength: drafts.number("strength", Some(0.5), 0.0..=1.0)? as f32,
        enough: match drafts.has("enough") {
            true => Some(drafts.number("enough", None, 0.0..=1.0)? as f32),
            false => None,
        },
    })
}

fn repeats(object: &Object<'_>) -> Result<Vec<RepeatOrder>, LoadError> {
    let Some(repeats) = object.optional_object("repeats")? else { return Ok(Vec::new()) };
    let (orders, weights) =
        (repeats.sizes("orders", ORDER_MAX)?, repeats.numbers("weights", 0.001..=1000.0)?);
    if weights.len() != orders.len() {
        let expected = format!("as many numbers as orders, {}", orders.len());
        return Err(repeats.wrong("weights", &expected, &weights.len().to_string()));
    }
    if !orders.is_sorted_by(|a, b| a < b) {
        return Err(repeats.wrong("orders", "ascending numbers", &format!("{orders:?}")));
    }
    let order = |(order, weight): (usize, f64)| RepeatOrder { order, weight: weight as f32 };
    Ok(orders.into_iter().zip(weights).map(order).collect())
}

fn confidence(object: &Object<'_>) -> Result<Confidence, LoadError> {
    let number = |key| object.number(key, Some(0.0), -100.0..=100.0).map(|number| number as f32);
    Ok(Confidence {
        intercept: number("intercept")?,
        surprise: number("surprise")?,
        suffix: number("suffix")?,
    })
}

fn prompt(object: &Object<'_>) -> Result<PromptLayout, LoadError> {
    let Some(prompt) = object.optional_object("prompt")? else { return Ok(PromptLayout::default()) };
    Ok(PromptLayout {
        begin: prompt.strings("begin")?,
        languages: prompt.string_pairs("languages")?,
        far_suffix_tokens_max: prompt.count("far_suffix_tokens_max", 0, TOKENS_MAX)?,
    })
}

fn fim(object: &Object<'_>, vocab_size: usize) -> Result<Option<Fim>, LoadError> {
    let Some(fim) = object.optional_object("fim")? else { return Ok(None) };
    let token = |key| match fim.optional_token(key, vocab_size)? {
        Some(id) => Ok(id),
        None => Err(fim.wrong(key, &format!("a token id below vocab_size = {vocab_size}"), "nothing")),
    };
    Ok(Some(Fim {
        prefix: token("prefix")?,
        suffix: token("suffix")?,
        middle: token("middle")?,
        end: fim.optional_token("end", vocab_size)?,
        suffix_tokens_max: match fim.has("suffix_tokens_max") {
            true => Some(fim.count("suffix_tokens_max", 0, TOKENS_MAX)?),
            false => None,
        },
    }))
}
