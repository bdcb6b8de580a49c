//! `config.json` and `generation_config.json`, read in every spelling we know and checked number by number.
//!
//! The released checkpoint spells the full layers' sizes `global_head_dim` and `num_global_key_value_heads`; newer files
//! say `per_layer_config`. What only this project knows (noise, blank token, prompt layout) stands in an optional
//! object `lacuna` of `config.json`; see `config_lacuna`.

use crate::config_lacuna::Lacuna;
use crate::error::LoadError;
use crate::json::Object;

pub use crate::config_lacuna::{Confidence, Drafts, Fim, Noise, PromptLayout};

/// Bounds that keep every product of sizes far from overflow, whatever a file claims.
const SIZE_MAX: usize = 1 << 20;
const VOCABULARY_MAX: usize = 1 << 24;
const LAYERS_MAX: usize = 1 << 10;
/// The logits of a whole canvas must fit into memory.
const CANVAS_MAX: usize = 1 << 12;

/// How a layer's attention sees the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// A window of `sliding_window` positions; has its own value projection.
    Sliding,
    /// Everything; its values are the raw keys.
    Full,
}

/// Rotary embedding of one kind of layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base wavelength θ.
    pub theta: f64,
    /// Share of the head's dimensions that turn; exponents always run over the whole head.
    pub rotated_share: f64,
    /// Frequencies are divided by this.
    pub factor: f64,
}

/// Sizes of one layer's attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerConfig {
    /// Sliding or full.
    pub kind: LayerKind,
    /// Dimensions of a head.
    pub head_dim: usize,
    /// Key-value heads; divides the query heads.
    pub kv_heads: usize,
    /// Its rotary embedding.
    pub rope: RopeConfig,
}

/// The network's sizes, every one of them checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the dense feed-forward and of the self-conditioning block.
    pub intermediate_size: usize,
    /// Query heads of every layer.
    pub heads: usize,
    /// One entry a layer, first to last.
    pub layers: Vec<LayerConfig>,
    /// The encoder's query q sees positions (q - window, q]; the canvas sees the last window - 1 cached positions.
    pub sliding_window: usize,
    /// Experts of every layer.
    pub experts: usize,
    /// Experts that run for one token.
    pub experts_per_token: usize,
    /// Width of one expert.
    pub expert_intermediate_size: usize,
    /// Added to the mean square in every norm.
    pub norm_eps: f32,
    /// Logits are `cap * tanh(x / cap)`.
    pub logit_softcap: f32,
    /// Positions the model was built for.
    pub positions_max: usize,
    /// Tokens on a full canvas.
    pub canvas_length: usize,
    /// Padding token, if the files name one.
    pub pad_token_id: Option<u32>,
    /// Beginning-of-sequence token, if the files name one.
    pub bos_token_id: Option<u32>,
    /// What only this project's checkpoints say.
    pub lacuna: Lacuna,
}

impl Config {
    /// Parses `config.json`; `file` is what messages call it.
    ///
    /// # Errors
    /// [`LoadError::Json`] and [`LoadError::Value`], naming the file, the key, what was expected and what was found.
    pub fn parse(file: &str, json: &[u8]) -> Result<Self, LoadError> {
        let root = Object::parse(file, json)?;
        check_architecture(&root)?;
        let text = root.object("text_config")?;
        let vocab_size = text.size("vocab_size", Some(262_144), VOCABULARY_MAX)?;
        let heads = text.size("num_attention_heads", Some(8), SIZE_MAX)?;
        let experts = text.size("num_experts", None, SIZE_MAX)?;
        let canvas_length = root.size("canvas_length", Some(256), CANVAS_MAX)?;
        Ok(Self {
            vocab_size,
            hidden_size: text.size("hidden_size", Some(2304), SIZE_MAX)?,
            intermediate_size: text.size("intermediate_size", Some(9216), SIZE_MAX)?,
            heads,
            layers: layers(&text, heads)?,
            sliding_window: text.size("sliding_window", Some(512), 1 << 30)?,
            experts,
            experts_per_token: text.size("top_k_experts", None, experts)?,
            expert_intermediate_size: text.size("moe_intermediate_size", None, SIZE_MAX)?,
            norm_eps: text.number("rms_norm_eps", Some(1e-6), 0.0..=1.0)? as f32,
            logit_softcap: text.number("final_logit_softcapping", Some(30.0), 1e-3..=1e6)? as f32,
            positions_max: text.size("max_position_embeddings", Some(131_072), 1 << 30)?,
            canvas_length,
            pad_token_id: text.optional_token("pad_token_id", vocab_size)?,
            bos_token_id: text.optional_token("bos_token_id", vocab_size)?,
            lacuna: Lacuna::read(&root, vocab_size, canvas_length)?,
        })
    }
}

fn check_architecture(root: &Object<'_>) -> Result<(), LoadError> {
    root.require("model_type", "diffusion_gemma")?;
    let names = root.strings("architectures")?;
    if !names.is_empty() && !names.iter().any(|name| name == "DiffusionGemmaForBlockDiffusion") {
        let found = names.join(", ");
        return Err(root.wrong(
            "architectures",
            "DiffusionGemmaForBlockDiffusion (the one supported)",
            &found,
        ));
    }
    root.require("tie_word_embeddings", true)?;
    let text = root.object("text_config")?;
    text.require("hidden_activation", "gelu_pytorch_tanh")?;
    text.require("attention_bias", false)?;
    text.require("attention_k_eq_v", true)?;
    if text.string("use_bidirectional_attention")?.is_some_and(|mode| mode != "vision") {
        return Err(text.wrong(
            "use_bidirectional_attention",
            "null or \"vision\" (a causal encoder)",
            "\"all\"",
        ));
    }
    Ok(())
}

fn layers(text: &Object<'_>, heads: usize) -> Result<Vec<LayerConfig>, LoadError> {
    let count = text.size("num_hidden_layers", Some(30), LAYERS_MAX)?;
    let rope = text.optional_object("rope_parameters")?;
    let sliding = rope_of(rope.as_ref(), "sliding_attention")?;
    let full = rope_of(rope.as_ref(), "full_attention")?;
    let sizes = Sizes::read(text, count)?;
    let layers = layer_kinds(text, count)?.into_iter().enumerate().map(|(index, kind)| {
        let (head_dim, kv_heads) = sizes.of(index, kind)?;
        if !head_dim.is_multiple_of(2) {
            return Err(text.wrong("head_dim", "an even number (rotary halves)", &head_dim.to_string()));
        }
        if !heads.is_multiple_of(kv_heads) {
            let expected = format!("a divisor of num_attention_heads = {heads}");
            return Err(text.wrong(
                "num_key_value_heads",
                &expected,
                &format!("{kv_heads} in layer {index}"),
            ));
        }
        Ok(LayerConfig {
            kind,
            head_dim,
            kv_heads,
            rope: if kind == LayerKind::Full { full } else { sliding },
        })
    });
    layers.collect()
}

/// Layer kinds; the default is five sliding layers, then a full one, and the last layer is always full.
fn layer_kinds(text: &Object<'_>, count: usize) -> Result<Vec<LayerKind>, LoadError> {
    let names = text.strings("layer_types")?;
    if !names.is_empty() && names.len() != count {
        let expected = format!("{count} entries (num_hidden_layers)");
        return Err(text.wrong("layer_types", &expected, &format!("{} entries", names.len())));
    }
    let named = |index: usize| match names.get(index).map(String::as_str) {
        None if (index + 1).is_multiple_of(6) => Ok(LayerKind::Full),
        None | Some("sliding_attention") => Ok(LayerKind::Sliding),
        Some("full_attention") => Ok(LayerKind::Full),
        Some(other) => Err(text.wrong(
            "layer_types",
            "\"sliding_attention\" or \"full_attention\"",
            &format!("{other:?}"),
        )),
    };
    let mut kinds = (0..count).map(named).collect::<Result<Vec<_>, _>>()?;
    if let Some(last) = kinds.last_mut() {
        *last = LayerKind::Full;
    }
    Ok(kinds)
}

/// Where a layer's head size and key-value heads come from, in either spelling.
struct Sizes<'a> {
    per_layer: Option<Object<'a>>,
    base: (usize, usize),
    full: (usize, usize),
}

impl<'a> Sizes<'a> {
    fn read(text: &Object<'a>, count: usize) -> Result<Self, LoadError> {
        let base = (
            text.size("head_dim", Some(256), SIZE_MAX)?,
            text.size("num_key_value_heads", Some(4), SIZE_MAX)?,
        );
        let per_layer = text.optional_object("per_layer_config")?;
        for index in per_layer.iter().flat_map(Object::keys) {
            if !index.parse::<usize>().is_ok_and(|index| index < count) {
                let expected = format!("layer indices below num_hidden_layers = {count} as keys");
                return Err(text.wrong("per_layer_config", &expected, &format!("{index:?}")));
            }
        }
        let full = (
            text.size("global_head_dim", Some(512), SIZE_MAX)?,
            text.size("num_global_key_value_heads", Some(base.1), SIZE_MAX)?,
        );
        Ok(Self { per_layer, base, full })
    }

    fn of(&self, index: usize, kind: LayerKind) -> Result<(usize, usize), LoadError> {
        let Some(per_layer) = &self.per_layer else {
            return Ok(if kind == LayerKind::Full { self.full } else { self.base });
        };
        let Some(layer) = per_layer.optional_object(&index.to_string())? else { return Ok(self.base) };
        if let Some(key) =
            layer.keys().find(|key| !matches!(key.as_str(), "head_dim" | "num_key_value_heads"))
        {
            return Err(layer.wrong(
                key,
                "only head_dim and num_key_value_heads to differ by layer",
                "this key",
            ));
        }
        Ok((
            layer.size("head_dim", Some(self.base.0), SIZE_MAX)?,
            layer.size("num_key_value_heads", Some(self.base.1), SIZE_MAX)?,
        ))
    }
}

/// The reference's defaults: θ 1e4 on all dimensions when sliding, θ 1e6 on a quarter of them when full.
fn rope_of(parameters: Option<&Object<'_>>, kind: &str) -> Result<RopeConfig, LoadError> {
    let full = kind == "full_attention";
    let default = if full {
        RopeConfig { theta: 1e6, rotated_share: 0.25, factor: 1.0 }
    } else {
        RopeConfig { theta: 1e4, rotated_share: 1.0, factor: 1.0 }
    };
    let Some(object) = parameters.map(|all| all.optional_object(kind)).transpose()?.flatten() else {
        return Ok(default);
    };
    let theta = object.number("rope_theta", Some(default.theta), 1.0..=1e12)?;
    let share = object.number("partial_rotary_factor", Some(1.0), 0.0..=1.0)?;
    match object.string("rope_type")?.as_deref() {
        None | Some("default") if share < 1.0 => {
            Err(object.wrong("partial_rotary_factor", "1 where rope_type is \"default\"", &share.to_string()))
        }
        None | Some("default") => Ok(RopeConfig { theta, rotated_share: 1.0, factor: 1.0 }),
        Some("proportional") => {
            let factor = object.number("factor", Some(1.0), 1e-6..=1e6)?;
            Ok(RopeConfig { theta, rotated_share: share, factor })
        }
        Some(other) => {
            Err(object.wrong("rope_type", "\"default\" or \"proportional\"", &format!("{other:?}")))
        }
    }
}

/// `generation_config.json`: the sampler's numbers. Absent or null values are the reference's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationConfig {
    /// Most denoising steps a block.
    pub steps_max: usize,
    /// Bound on the joint entropy of what one step accepts, in nats.
    pub entropy_bound: f64,
    /// Temperature at the last step.
    pub t_min: f64,
    /// Temperature at the first step.
    pub t_max: f64,
    /// For how many steps the argmax canvas must not have moved.
    pub stability_threshold: usize,
    /// Mean entropy below which a block may end, in nats.
    pub confidence_threshold: f64,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            steps_max: 48,
            entropy_bound: 0.1,
            t_min: 0.4,
            t_max: 0.8,
            stability_threshold: 1,
            confidence_threshold: 0.005,
            eos_token_ids: Vec::new(),
        }
    }
}

impl GenerationConfig {
    /// Parses `generation_config.json`, which messages call `file`; `vocab_size` bounds the token ids.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse(file: &str, json: &[u8], vocab_size: usize) -> Result<Self, LoadError> {
        let root = Object::parse(file, json)?;
        let default = Self::default();
        let sampler = root.optional_object("sampler_config")?;
        if let Some(sampler) = &sampler {
            sampler.require("_cls_name", "EntropyBoundSamplerConfig")?;
        }
        let bound = sampler.map(|s| s.number("entropy_bound", Some(default.entropy_bound), 0.0..=1e6));
        let config = Self {
            steps_max: root.size("max_denoising_steps", Some(default.steps_max), 1 << 16)?,
            entropy_bound: bound.transpose()?.unwrap_or(default.entropy_bound),
            t_min: root.number("t_min", Some(default.t_min), 0.0..=1e3)?,
            t_max: root.number("t_max", Some(default.t_max), 1e-6..=1e3)?,
            stability_threshold: root.count("stability_threshold", default.stability_threshold, 1 << 10)?,
            confidence_threshold: root.number(
                "confidence_threshold",
                Some(default.confidence_threshold),
                0.0..=1e6,
            )?,
            eos_token_ids: root.tokens("eos_token_id", vocab_size)?,
        };
        if config.t_max < config.t_min {
            let expected = format!("at least t_min = {}", config.t_min);
            return Err(root.wrong("t_max", &expected, &config.t_max.to_string()));
        }
        Ok(config)
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
