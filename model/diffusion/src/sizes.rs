//! Sizes that follow from a configuration: parameters, bytes of weights, caches and working memory. Pure arithmetic.

use crate::config::{Config, LayerKind};
use crate::plan::WeightFormat;
use lacuna_kernels::Precision;

/// Rows whose logits are ever materialised together, on the exact path; the fused head keeps none.
pub(crate) const LOGIT_ROWS: usize = 64;
/// Tokens of one row that take part in its soft embedding, at most; a row with more takes the exact path.
pub(crate) const SURVIVORS_MAX: usize = 1024;
/// Pieces into which a denoising step's attention and products may be cut to fill a device, and up to how many rows it
/// takes that to fill one.
const SPLITS: (usize, usize) = (8, 128);

/// Whether every row of the model's matrices is made of whole blocks, where the format has blocks.
pub(crate) fn storable(config: &Config, format: WeightFormat) -> bool {
    let whole = |width: usize| width.is_multiple_of(lacuna_kernels::quant::BLOCK);
    let heads = config.layers.iter().all(|layer| whole(config.heads * layer.head_dim));
    let widths = [config.hidden_size, config.intermediate_size, config.expert_intermediate_size];
    format.blocks().is_none() || (heads && widths.into_iter().all(whole))
}

/// Rows of the joint projection of layer `index`: queries, keys and, where it has them, values.
pub(crate) fn qkv_rows(config: &Config, index: usize) -> usize {
    let layer = config.layers[index];
    let kv = if layer.kind == LayerKind::Sliding { 2 } else { 1 };
    (config.heads + kv * layer.kv_heads) * layer.head_dim
}

/// Bytes of the weights as the processor's kernels want them: the embedding in three forms, one of them f32.
pub(crate) fn cpu_weight_bytes(config: &Config, precision: Precision) -> usize {
    let (format, value) = match precision {
        Precision::F32 => (WeightFormat::F32, 4),
        Precision::Bf16 => (WeightFormat::Bf16, 2),
    };
    weight_bytes(config, format) + config.vocab_size * config.hidden_size * (value + 4)
}

/// Parameters of the network, without unused towers.
pub(crate) fn parameters(config: &Config) -> usize {
    let hidden = config.hidden_size;
    let (dense, expert) = (config.intermediate_size, config.expert_intermediate_size);
    let layer = |index: usize| {
        let head_dim = config.layers[index].head_dim;
        let attention = (qkv_rows(config, index) + config.heads * head_dim) * hidden + 2 * head_dim;
        let experts = config.experts * (3 * expert * hidden + hidden + 1) + hidden;
        attention + 3 * dense * hidden + experts + 7 * hidden + 2
    };
    let layers: usize = (0..config.layers.len()).map(layer).sum();
    config.vocab_size * hidden + layers + 3 * dense * hidden + 2 * hidden
}

/// Bytes of the rotary tables of every kind of layer over `positions` positions.
pub(crate) fn rope_bytes(config: &Config, positions: usize) -> usize {
    let mut kinds: Vec<(usize, usize)> = Vec::new();
    for layer in &config.layers {
        let pairs = (layer.rope.rotated_share * layer.head_dim as f64 / 2.0) as usize;
        if !kinds.contains(&(layer.head_dim, pairs)) {
            kinds.push((layer.head_dim, pairs));
        }
    }
    kinds.into_iter().map(|(_, pairs)| positions * pairs * 2 * 4).sum()
}

/// Bytes of all weights.
pub(crate) fn weight_bytes(config: &Config, format: WeightFormat) -> usize {
    let hidden = config.hidden_size;
    let (dense, expert) = (config.intermediate_size, config.expert_intermediate_size);
    let layer = |index: usize| {
        let head_dim = config.layers[index].head_dim;
        let attention = (qkv_rows(config, index) + config.heads * head_dim) * hidden;
        let matrices = attention + 3 * dense * hidden + 3 * config.experts * expert * hidden;
        // Router, its scale, seven norms, the norms of queries and keys, a scale an expert.
        let floats = (config.experts + 8) * hidden + 2 * head_dim + config.experts;
        format.bytes(matrices) + 4 * floats
    };
    let layers: usize = (0..config.layers.len()).map(layer).sum();
    let conditioning = format.bytes(3 * dense * hidden) + 2 * 4 * hidden; // with the final norm
    layers + conditioning + format.embedding().bytes(config.vocab_size * hidden)
}

/// Bytes that one position takes in the caches of all layers.
pub(crate) fn kv_bytes_per_position(config: &Config, format: WeightFormat) -> usize {
    let values: usize = config.layers.iter().map(|layer| 2 * layer.kv_heads * layer.head_dim).sum();
    values * format.activation_bytes()
}

/// Widths and sizes of the buffers that passes work in; `device::Scratch` allocates exactly these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferSizes {
    /// Rows.
    pub rows: usize,
    /// The widest joint projection, values.
    pub qkv: usize,
    /// The widest row of queries, values.
    pub q: usize,
    /// The widest row of keys, values.
    pub kv: usize,
    /// The widest gate and up, values.
    pub gate_up: usize,
    /// Bytes of one activation.
    pub activation: usize,
}

impl BufferSizes {
    pub(crate) fn of(config: &Config, format: WeightFormat, rows: usize) -> Self {
        let most = |width: &dyn Fn(usize) -> usize| (0..config.layers.len()).map(width).max().unwrap_or(0);
        Self {
            rows,
            qkv: most(&|index| qkv_rows(config, index)),
            q: most(&|index| config.heads * config.layers[index].head_dim),
            kv: most(&|index| config.layers[index].kv_heads * config.layers[index].head_dim),
            gate_up: 2 * config.intermediate_size,
            activation: format.activation_bytes(),
        }
    }
}

pub(crate) fn buffer_bytes(config: &Config, format: WeightFormat, rows: usize) -> usize {
    let sizes = BufferSizes::of(config, format, rows);
    let (hidden, top) = (config.hidden_size, config.experts_per_token);
    // Residual stream, two branch outputs, soft embedding; projections; gate and up.
    let floats = rows * (4 * hidden + sizes.qkv + sizes.gate_up);
    // Two normed inputs; queries, keys, values and the attention's output; the gated products.
    let acts = rows
        * (2 * hidden
            + 2 * sizes.q
            + 2 * sizes.kv
            + config.intermediate_size
            + top * config.expert_intermediate_size);
    let slots = rows * top * hidden; // what each expert adds to its rows, f32
    // Ids and weights of the experts, their order, and the tiles of the grouped products; token ids and row numbers.
    let routing = rows * top * 3 + 3 * (rows * top / 64 + config.experts.min(rows * top)) + 2 * rows;
    let logits = LOGIT_ROWS.min(rows) * config.vocab_size;
    4 * (floats + slots + routing + logits) + sizes.activation * acts
}

/// What the fused head keeps of `rows` rows: a share of the statistics for each tile of 64 tokens, candidates with four
/// times the room of the survivors, and the survivors; and the scratch memory.
pub(crate) fn step_bytes(config: &Config, rows: usize) -> usize {
    let head = rows * 4 * (config.vocab_size.div_ceil(64) * 4 + 8 + SURVIVORS_MAX * 10);
    head + scratch_bytes(config, rows)
}

pub(crate) fn scratch_bytes(config: &Config, rows: usize) -> usize {
    let (splits, rows_max) = SPLITS;
    let widest = config.layers.iter().map(|layer| config.heads * (layer.head_dim + 2)).max().unwrap_or(0);
    4 * splits * rows.min(rows_max) * widest.max(config.hidden_size)
}
