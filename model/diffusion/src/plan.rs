//! The memory plan: how many bytes a model takes on a device, before anything is loaded. Pure arithmetic.
//!
//! Three parts. *Weights*: what the checkpoint holds, in the format asked for; norms and routers stay f32, and where
//! weights are `q4` the embedding is `q8` (it is read by rows as well, and is 3 % of the 26B model). *KV cache*: keys and
//! values of every layer over the whole context, f32 beside f32 weights and bf16 beside all others. *Buffers*: what passes
//! work in, sized once for [`MemoryPlan::rows`] rows; longer inputs go through in pieces.

use crate::config::Config;
use crate::sizes::{
    buffer_bytes, kv_bytes_per_position, rope_bytes, scratch_bytes, step_bytes, storable, weight_bytes,
};
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
/// As above where there is room for it, and its buffers are still small beside the weights: at most one part in so many.
const ENCODE_ROWS_BEST: (usize, usize) = (2048, 20);
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
        Self::reading(ENCODE_ROWS, config, load, context)
    }

    /// As [`MemoryPlan::new`], with room to read `encode_rows` tokens at once.
    fn reading(encode_rows: usize, config: &Config, load: Load, context: usize) -> Self {
        let step_rows = load.batch * load.canvas;
        let rows = step_rows.max(encode_rows.min(context.max(1)));
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

    /// The plan with the largest context up to `wanted` that fits into `free` bytes. Where that is all of it, and larger
    /// buffers fit too, prompts are read in larger chunks.
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
            let (rows, share) = ENCODE_ROWS_BEST;
            let best = Self::reading(rows, config, load, wanted);
            let small = best.buffer_bytes <= best.weight_bytes / share;
            return Ok(if small && best.total() <= free { best } else { Self::new(config, load, wanted) });
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

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
