//! One layer: attention, then a dense feed-forward and experts side by side, seven norms, and a scalar at the end.
//!
//! Encoder and decoder share every weight of it but the scalar.

use crate::attention::{Attention, Context, Mode, NewKv};
use crate::branches::Branches;
use crate::config::{Config, LayerConfig};
use crate::error::LoadError;
use crate::experts::Experts;
use crate::mlp::{GatedMlp, MlpSize};
use crate::weights::Weights;
use lacuna_kernels::{Precision, add, rms_norm, scale};

/// Norm weights, [hidden] each, in the order they are used.
#[derive(Debug)]
struct Norms {
    input: Vec<f32>,
    post_attention: Vec<f32>,
    pre_feedforward: Vec<f32>,
    post_feedforward_1: Vec<f32>,
    pre_feedforward_2: Vec<f32>,
    post_feedforward_2: Vec<f32>,
    post_feedforward: Vec<f32>,
}

/// Weights of one layer.
#[derive(Debug)]
pub(crate) struct Layer {
    attention: Attention,
    mlp: GatedMlp,
    experts: Experts,
    norms: Norms,
    encoder_scalar: f32,
    decoder_scalar: f32,
    hidden: usize,
    eps: f32,
}

/// The prefixes under which a checkpoint may keep the shared text weights; the passes' scalars are under their own.
pub(crate) const DECODER: &str = "model.decoder";
pub(crate) const ENCODER: &str = "model.encoder.language_model";

impl Layer {
    /// Reads layer `index`; `shared` is the prefix under which this checkpoint keeps the shared weights.
    pub(crate) fn load(
        weights: &Weights,
        shared: &str,
        index: usize,
        config: &Config,
        precision: Precision,
    ) -> Result<Self, LoadError> {
        let name = format!("{shared}.layers.{index}");
        let layer: LayerConfig = config.layers[index];
        let hidden = config.hidden_size;
        let norm = |which: &str| weights.f32(&format!("{name}.{which}layernorm.weight"), &[hidden]);
        let numbered =
            |which: &str, n: usize| weights.f32(&format!("{name}.{which}layernorm_{n}.weight"), &[hidden]);
        let scalar =
            |pass: &str| weights.f32(&format!("{pass}.layers.{index}.layer_scalar"), &[1]).map(|s| s[0]);
        let size = MlpSize { hidden, width: config.intermediate_size, precision };
        Ok(Self {
            attention: Attention::load(weights, &format!("{name}.self_attn"), config, layer, precision)?,
            mlp: GatedMlp::load(weights, &format!("{name}.mlp"), size)?,
            experts: Experts::load(weights, &name, config, precision)?,
            norms: Norms {
                input: norm("input_")?,
                post_attention: norm("post_attention_")?,
                pre_feedforward: norm("pre_feedforward_")?,
                post_feedforward_1: numbered("post_feedforward_", 1)?,
                pre_feedforward_2: numbered("pre_feedforward_", 2)?,
                post_feedforward_2: numbered("post_feedforward_", 2)?,
                post_feedforward: norm("post_feedforward_")?,
            },
            encoder_scalar: scalar(ENCODER)?,
            decoder_scalar: scalar(DECODER)?,
            hidden,
            eps: config.norm_eps,
        })
    }

    /// The first half: adds attention to the residual stream `x` `[rows, hidden]`; returns the keys and values it made.
    pub(crate) fn attend(&self, x: &mut [f32], context: &Context<'_>) -> NewKv {
        self.around_attention(x, |normed, out| self.attention.forward(normed, context, out))
    }

    /// [`Layer::attend`] for the next token of each of `branches`, whose layer `index` this is: `x` is `[branches, hidden]`.
    pub(crate) fn attend_next(&self, x: &mut [f32], context: &Context<'_>, at: (&mut Branches, usize)) {
        self.around_attention(x, |normed, out| self.attention.forward_next(normed, context, at, out));
    }

    /// Adds what `attention` makes of the normed `x` to it.
    fn around_attention<T>(&self, x: &mut [f32], attention: impl FnOnce(&[f32], &mut [f32]) -> T) -> T {
        let mut normed = vec![0.0; x.len()]; // [rows, hidden]
        let mut out = vec![0.0; x.len()]; // [rows, hidden]
        self.norm(x, &self.norms.input, &mut normed);
        let made = attention(&normed, &mut out);
        self.norm(&out, &self.norms.post_attention, &mut normed);
        add(x, &normed);
        made
    }

    /// The second half, row by row: adds the dense feed-forward and the experts to `x` `[rows, hidden]`, and scales.
    pub(crate) fn feed_forward(&self, x: &mut [f32], mode: Mode) {
        let rows = x.len() / self.hidden;
        let mut normed = vec![0.0; x.len()]; // [rows, hidden]
        let mut out = vec![0.0; x.len()]; // [rows, hidden]
        let mut sum = vec![0.0; x.len()]; // [rows, hidden]

        self.norm(x, &self.norms.pre_feedforward, &mut normed);
        self.mlp.forward(&normed, rows, &mut out);
        self.norm(&out, &self.norms.post_feedforward_1, &mut sum);

        self.norm(x, &self.norms.pre_feedforward_2, &mut normed);
        self.experts.forward(x, &normed, &mut out);
        self.norm(&out, &self.norms.post_feedforward_2, &mut normed);
        add(&mut sum, &normed);

        self.norm(&sum, &self.norms.post_feedforward, &mut normed);
        add(x, &normed);
        scale(x, if mode == Mode::Canvas { self.decoder_scalar } else { self.encoder_scalar });
    }

    /// Only the keys and values that [`Layer::attend`] would make: all that a cache needs of the last layer.
    pub(crate) fn keys_values(&self, x: &[f32], context: &Context<'_>) -> NewKv {
        let mut normed = vec![0.0; x.len()]; // [rows, hidden]
        self.norm(x, &self.norms.input, &mut normed);
        self.attention.keys_values(&normed, context)
    }

    fn norm(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        rms_norm(x, Some(weight), self.eps, self.hidden, out);
    }

    /// Parameters held.
    pub(crate) fn parameters(&self) -> usize {
        let blocks = self.attention.parameters() + self.mlp.parameters() + self.experts.parameters();
        blocks + 7 * self.hidden + 2
    }

    /// Bytes of the packed matrices.
    pub(crate) fn bytes(&self) -> usize {
        self.attention.bytes() + self.mlp.bytes() + self.experts.bytes()
    }
}
