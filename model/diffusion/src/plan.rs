//! The memory plan: how many bytes a model takes on a device, before anything is loaded. Pure arithmetic.
//!
//! Three parts. *Weights*: what the checkpoint holds, in the format asked for; norms and routers stay f32, and where
//! weights are `q4` the embedding is `q8` (it is read by rows as well, and is 3 % of the 26B model). *KV cache*: keys and
//! values of every layer over the whole context, f32 beside f32 weights and bf16 beside all others. *Buffers*: what passes
//! work in, sized once for [`MemoryPlan::rows`] rows; longer inputs go through in pieces.

use crate::config::{Config, LayerKind};
use lacuna_kernels::Precision;
use lacuna_kernels::quant::BlockFormat;
use std::fmt;

/// How weights lie on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// 32-bit floats, and activations likewise: what parity is measured in.
    F32,
    /// bf16, and activations likewise.
    #[default]
    Bf16,
    /// Blocks of 32 values in 8 bits and a scale; activations bf16.
    Q8,
    /// Blocks of 32 values in 4 bits and a scale; activations bf16.
    Q4,
}

impl WeightFormat {
    /// As the command line spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        }
    }

    /// Bytes of `count` values; in blocks, of whole ones.
    #[must_use]
    pub const fn bytes(self, count: usize) -> usize {
        match self {
            Self::F32 => 4 * count,
            Self::Bf16 => 2 * count,
            Self::Q8 => BlockFormat::Q8.bytes(count),
            Self::Q4 => BlockFormat::Q4.bytes(count),
        }
    }

    /// Bytes of one activation, key or value.
    #[must_use]
    pub const fn activation_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            _ => 2,
        }
    }

    /// What the embedding is stored in.
    #[must_use]
    pub const fn embedding(self) -> Self {
        match self {
            Self::Q4 => Self::Q8,
            other => other,
        }
    }

    /// The blocks, where it has any.
    #[must_use]
    pub const fn blocks(self) -> Option<BlockFormat> {
        match self {
            Self::F32 | Self::Bf16 => None,
            Self::Q8 => Some(BlockFormat::Q8),
            Self::Q4 => Some(BlockFormat::Q4),
        }
    }
}

/// What is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// How weights are stored.
    pub format: WeightFormat,
    /// Canvases side by side in one pass; more go through in several.
    pub batch: usize,
    /// Rows of a canvas.
    pub canvas: usize,
}

/// Tokens that the encoder reads at once, at least: a larger chunk reads the weights less often.
pub(crate) const ENCODE_ROWS: usize = 1024;
/// Rows whose logits are ever materialised together, on the exact path; the fused head keeps none.
pub(crate) const LOGIT_ROWS: usize = 64;
/// Tokens of one row that take part in its soft embedding, at most; a row with more takes the exact path.
pub(crate) const SURVIVORS_MAX: usize = 1024;
/// Pieces into which a denoising step's attention and products may be cut to fill a device, and up to how many rows it
/// takes that to fill one.
const SPLITS: (usize, usize) = (8, 128);
/// The context is never planned below this.
const CONTEXT_MIN: usize = 256;

/// Bytes on the device, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// How weights are stored.
    pub format: WeightFormat,
    /// Positions the KV cache holds.
    pub context: usize,
    /// Rows that one pass works on, at most.
    pub rows: usize,
    /// Rows of a denoising step, at most.
    pub step_rows: usize,
    /// All weights.
    pub weight_bytes: usize,
    /// The KV cache.
    pub kv_bytes: usize,
    /// Everything else.
    pub buffer_bytes: usize,
}

/// A model that does not fit, with what would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoesNotFit {
    /// The plan for the least context that was acceptable.
    pub plan: MemoryPlan,
    /// Bytes free on the device.
    pub free: usize,
    /// The largest format that would fit, if any does.
    pub instead: Option<WeightFormat>,
}

impl MemoryPlan {
    /// What `load` takes with a context of `context` positions.
    #[must_use]
    pub fn new(config: &Config, load: Load, context: usize) -> Self {
        let step_rows = load.batch * load.canvas;
        let rows = step_rows.max(ENCODE_ROWS.min(context.max(1)));
        Self {
            format: load.format,
            context,
            rows,
            step_rows,
            weight_bytes: weight_bytes(config, load.format),
            kv_bytes: context * kv_bytes_per_position(config, load.format),
            buffer_bytes: buffer_bytes(config, load.format, rows)
                + step_bytes(config, step_rows)
                + rope_bytes(config, context + rows),
        }
    }

    /// Scratch memory for cutting attention and products into pieces.
    pub(crate) fn scratch_bytes(&self, config: &Config) -> usize {
        scratch_bytes(config, self.step_rows)
    }

    /// Positions that tokens of a pass may have: the context and what stands after it.
    pub(crate) fn positions(&self) -> usize {
        self.context + self.rows
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> usize {
        self.weight_bytes + self.kv_bytes + self.buffer_bytes
    }

    /// The plan with the largest context up to `wanted` that fits into `free` bytes.
    ///
    /// # Errors
    /// [`DoesNotFit`] where not even `least` positions fit.
    pub fn fit(
        config: &Config,
        load: Load,
        (least, wanted): (usize, usize),
        free: usize,
    ) -> Result<Self, DoesNotFit> {
        let fits = |context| Self::new(config, load, context).total() <= free;
        let least = least.min(wanted).max(1);
        if fits(wanted) {
            return Ok(Self::new(config, load, wanted));
        }
        if !fits(least) {
            let smaller = [WeightFormat::Bf16, WeightFormat::Q8, WeightFormat::Q4].into_iter();
            let smaller = smaller.filter(|format| format.bytes(1 << 10) < load.format.bytes(1 << 10));
            let fits = |&format: &WeightFormat| {
                Self::new(config, Load { format, ..load }, least).total() <= free && storable(config, format)
            };
            let instead = smaller.filter(fits).max_by_key(|format| format.bytes(1 << 10));
            return Err(DoesNotFit { plan: Self::new(config, load, least), free, instead });
        }
        let (mut good, mut bad) = (least, wanted);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle) { good = middle } else { bad = middle }
        }
        Ok(Self::new(config, load, good))
    }

    /// As [`MemoryPlan::fit`] for whatever context up to `wanted` is worth having.
    ///
    /// # Errors
    /// [`DoesNotFit`].
    pub fn largest(config: &Config, load: Load, wanted: usize, free: usize) -> Result<Self, DoesNotFit> {
        Self::fit(config, load, (CONTEXT_MIN.max(load.canvas), wanted), free)
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "weights {} in {}, KV cache {} for {} positions, buffers {}",
            Bytes(self.weight_bytes),
            self.format.name(),
            Bytes(self.kv_bytes),
            self.context,
            Bytes(self.buffer_bytes)
        )
    }
}

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the model needs {} of device memory ({}), {} are free; ",
            Bytes(self.plan.total()),
            self.plan,
            Bytes(self.free)
        )?;
        match self.instead {
            Some(format) => write!(f, "{} weights would fit", format.name()),
            None => write!(f, "free memory on the device, or run on the CPU with --device cpu"),
        }
    }
}

impl std::error::Error for DoesNotFit {}

/// Bytes as a person reads them.
pub(crate) struct Bytes(pub usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        if bytes >= 1e9 { write!(f, "{:.2} GB", bytes / 1e9) } else { write!(f, "{:.1} MB", bytes / 1e6) }
    }
}

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
fn rope_bytes(config: &Config, positions: usize) -> usize {
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
fn weight_bytes(config: &Config, format: WeightFormat) -> usize {
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

fn buffer_bytes(config: &Config, format: WeightFormat, rows: usize) -> usize {
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
fn step_bytes(config: &Config, rows: usize) -> usize {
    let head = rows * 4 * (config.vocab_size.div_ceil(64) * 4 + 8 + SURVIVORS_MAX * 10);
    head + scratch_bytes(config, rows)
}

fn scratch_bytes(config: &Config, rows: usize) -> usize {
    let (splits, rows_max) = SPLITS;
    let widest = config.layers.iter().map(|layer| config.heads * (layer.head_dim + 2)).max().unwrap_or(0);
    4 * splits * rows.min(rows_max) * widest.max(config.hidden_size)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
