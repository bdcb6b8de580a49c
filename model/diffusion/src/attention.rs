//! Attention of one layer: normed heads, rotary positions, keys as values where there is no value projection.

use crate::branches::Branches;
use crate::config::{Config, LayerConfig, LayerKind};
use crate::error::LoadError;
use crate::kv::Prefix;
use crate::rope::Table;
use crate::weights::Weights;
use lacuna_kernels::{
    AttentionArgs, PackedWeight, Precision, Span, WeightView, attention_in, matmul, rms_norm, rope,
};
use std::ops::Range;

/// Who sees whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Left to right; tokens see the cache and what precedes them.
    Causal,
    /// Every canvas position sees the cache and its whole canvas.
    Canvas,
}

/// What one pass gives to every layer's attention.
pub(crate) struct Context<'a> {
    pub mode: Mode,
    pub batch: usize,
    /// Absolute positions of each sequence's tokens.
    pub positions: Range<usize>,
    /// Of this layer.
    pub prefix: Prefix<'a>,
    /// Rotary table that covers `positions`.
    pub rope: &'a Table,
}

/// The new keys and values of a pass, `[batch · tokens, kv_heads, head_dim]` each.
pub(crate) struct NewKv {
    pub k: Vec<f32>,
    pub v: Vec<f32>,
}

/// Weights of one layer's attention.
#[derive(Debug)]
pub(crate) struct Attention {
    config: LayerConfig,
    heads: usize,
    window: Option<usize>,
    eps: f32,
    qkv: PackedWeight, // [(heads + kv_heads (+ kv_heads when sliding)) · head_dim, hidden]
    out: PackedWeight, // [hidden, heads · head_dim]
    q_norm: Vec<f32>,  // [head_dim]
    k_norm: Vec<f32>,  // [head_dim]
}

impl Attention {
    /// Reads `<name>.{q,k,v,o}_proj.weight` and the norms; full layers have no `v_proj`.
    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        config: &Config,
        layer: LayerConfig,
        precision: Precision,
    ) -> Result<Self, LoadError> {
        let hidden = config.hidden_size;
        let (q_width, kv_width) = (config.heads * layer.head_dim, layer.kv_heads * layer.head_dim);
        let q = weights.f32(&format!("{name}.q_proj.weight"), &[q_width, hidden])?;
        let k = weights.f32(&format!("{name}.k_proj.weight"), &[kv_width, hidden])?;
        let v = match layer.kind {
            LayerKind::Sliding => Some(weights.f32(&format!("{name}.v_proj.weight"), &[kv_width, hidden])?),
            LayerKind::Full => None,
        };
        let out = weights.f32(&format!("{name}.o_proj.weight"), &[hidden, q_width])?;
        let mut parts = vec![(WeightView::F32(&q), q_width), (WeightView::F32(&k), kv_width)];
        parts.extend(v.as_deref().map(|v| (WeightView::F32(v), kv_width)));
        Ok(Self {
            config: layer,
            heads: config.heads,
            window: (layer.kind == LayerKind::Sliding).then_some(config.sliding_window),
            eps: config.norm_eps,
            qkv: PackedWeight::pack_joint(&parts, hidden, precision),
            out: PackedWeight::pack(WeightView::F32(&out), hidden, q_width, precision),
            q_norm: weights.f32(&format!("{name}.q_norm.weight"), &[layer.head_dim])?,
            k_norm: weights.f32(&format!("{name}.k_norm.weight"), &[layer.head_dim])?,
        })
    }

    /// `x` `[rows, hidden]` (rows = batch · tokens) → `out` `[rows, hidden]`, and the keys and values made on the way.
    pub(crate) fn forward(&self, x: &[f32], context: &Context<'_>, out: &mut [f32]) -> NewKv {
        let (q, new) = self.project(x, x.len() / self.qkv.depth(), context);
        self.mix(&q, ([&new.k, &new.v], context.positions.len()), context, out);
        new
    }

    /// As [`Attention::forward`] for the next token of each of `branches`, whose layer `index` this is: `x` and `out` are
    /// `[branches, hidden]`.
    pub(crate) fn forward_next(
        &self,
        x: &[f32],
        context: &Context<'_>,
        (branches, index): (&mut Branches, usize),
        out: &mut [f32],
    ) {
        let (q, new) = self.project(x, x.len() / self.qkv.depth(), context);
        let tokens = branches.tokens() + 1;
        let own = branches.write(index, &new.k, &new.v);
        self.mix(&q, (own, tokens), context, out);
    }

    /// Attention of the queries `q` of the last of `tokens` tokens of each sequence, whose keys and values are `own`.
    fn mix(&self, q: &[f32], (own, tokens): ([&[f32]; 2], usize), context: &Context<'_>, out: &mut [f32]) {
        let args = AttentionArgs {
            q,                          // [batch, queries, heads, head_dim]
            k: own[0],                  // [batch, room, kv_heads, head_dim]
            v: own[1],                  // [batch, room, kv_heads, head_dim]
            prefix_k: context.prefix.k, // [prefix, kv_heads, head_dim]
            prefix_v: context.prefix.v, // [prefix, kv_heads, head_dim]
            panels: Some(context.prefix.panels),
            tokens,
            batch: context.batch,
            heads: self.heads,
            kv_heads: self.config.kv_heads,
            dim: self.config.head_dim,
            scale: 1.0, // the reference's own: q_norm and k_norm carry the scale
            span: match context.mode {
                Mode::Causal => Span::Causal { window: self.window },
                Mode::Canvas => Span::Canvas { window: self.window },
            },
        };
        let mut mixed = vec![0.0; q.len()]; // [batch, queries, heads, head_dim]
        attention_in(args, self.qkv.precision(), &mut mixed);
        let rows = q.len() / (self.heads * self.config.head_dim);
        matmul(&mixed, rows, &self.out, out); // [rows, hidden]
    }

    /// The keys and values of `x` `[rows, hidden]` alone.
    pub(crate) fn keys_values(&self, x: &[f32], context: &Context<'_>) -> NewKv {
        self.project(x, x.len() / self.qkv.depth(), context).1
    }

    /// Queries `[rows, heads, head_dim]`, keys and values `[rows, kv_heads, head_dim]`, normed and turned.
    fn project(&self, x: &[f32], rows: usize, context: &Context<'_>) -> (Vec<f32>, NewKv) {
        let (dim, kv_heads) = (self.config.head_dim, self.config.kv_heads);
        let (q_width, kv_width) = (self.heads * dim, kv_heads * dim);
        let mut joint = vec![0.0; rows * self.qkv.out()]; // [rows, q | k (| v)]
        matmul(x, rows, &self.qkv, &mut joint);
        let mut q = vec![0.0; rows * q_width];
        let mut k = vec![0.0; rows * kv_width];
        let mut v = vec![0.0; rows * kv_width];
        let value_at = self.qkv.out() - kv_width; // without v_proj the values are the raw keys, the last part all the same
        for (row, joint) in joint.chunks_exact(self.qkv.out()).enumerate() {
            let (q, k) = (&mut q[row * q_width..][..q_width], &mut k[row * kv_width..][..kv_width]);
            rms_norm(&joint[..q_width], Some(&self.q_norm), self.eps, dim, q);
            rms_norm(&joint[q_width..][..kv_width], Some(&self.k_norm), self.eps, dim, k);
            rms_norm(&joint[value_at..], None, self.eps, dim, &mut v[row * kv_width..][..kv_width]);
        }
        rope(&mut q, context.rope.rows(context.positions.clone()), self.heads, dim);
        rope(&mut k, context.rope.rows(context.positions.clone()), kv_heads, dim);
        (q, NewKv { k, v })
    }

    /// Parameters held.
    pub(crate) fn parameters(&self) -> usize {
        self.qkv.out() * self.qkv.depth() + self.out.out() * self.out.depth() + 2 * self.config.head_dim
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.qkv.bytes() + self.out.bytes()
    }
}
