//! Weights laid out once for the register tile: panels of 64 outputs, each with its whole depth contiguous.
//!
//! Idea: a tile reads one row of a panel (64 f32, or 64 pairs of bf16) for each step in `k`, so packing makes every
//! read of a weight sequential, whatever its original orientation. Outputs beyond the last are zero. The layout is the
//! same for every instruction set.

use half::{bf16, f16};

use crate::isa::Isa;
use crate::simd::Simd;
use crate::tile::Pair;

/// Outputs in a panel.
pub(crate) const PANEL: usize = 64;

/// A weight as it lies in a checkpoint.
#[derive(Clone, Copy, Debug)]
pub enum WeightView<'a> {
    /// IEEE single precision.
    F32(&'a [f32]),
    /// bfloat16.
    Bf16(&'a [bf16]),
    /// IEEE half precision.
    F16(&'a [f16]),
}

impl WeightView<'_> {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`, widened.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[must_use]
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values[index],
            Self::Bf16(values) => values[index].to_f32(),
            Self::F16(values) => values[index].to_f32(),
        }
    }
}

/// What a product multiplies in; sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32 weights and activations.
    F32,
    /// Weights and activations rounded to bf16 (to nearest, ties to even): half the memory, twice the peak.
    Bf16,
}

impl Precision {
    /// The faster one here: bf16 where the processor multiplies it directly, else f32.
    #[must_use]
    pub fn best() -> Self {
        if Isa::current() == Isa::Avx512Bf16 { Self::Bf16 } else { Self::F32 }
    }
}

/// A weight ready for [`crate::matmul()`].
#[derive(Clone, Debug)]
pub struct PackedWeight {
    pub(crate) panels: Panels,
    out: usize,
    depth: usize,
}

/// Panels one after the other, `depth` rows of [`PANEL`] elements each.
#[derive(Clone, Debug)]
pub(crate) enum Panels {
    F32(Vec<Line<f32>>),
    Bf16(Vec<Line<Pair>>),
}

/// A cache line of a panel: aligned, so that no vector load straddles two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line<E>([E; LINE]);

pub(crate) const LINE: usize = 16;

impl Line<f32> {
    pub(crate) const ZERO: Self = Self([0.0; LINE]);
}

/// The floats of `lines`.
pub(crate) fn floats(lines: &[Line<f32>]) -> &[f32] {
    // SAFETY: a line is sixteen floats and nothing else.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LINE) }
}

/// The floats of `lines`.
pub(crate) fn floats_mut(lines: &mut [Line<f32>]) -> &mut [f32] {
    // SAFETY: as in `floats`, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LINE) }
}

/// Where the elements of `lines` begin.
pub(crate) fn elements<E>(lines: &[Line<E>]) -> *const E {
    lines.as_ptr().cast()
}

impl PackedWeight {
    /// Packs `weight`, `[out, depth]` row-major (a linear layer's own layout), for `y = x · Wᵀ`.
    ///
    /// # Panics
    /// When `weight` does not hold `out · depth` values.
    #[must_use]
    pub fn pack(weight: WeightView<'_>, out: usize, depth: usize, precision: Precision) -> Self {
        assert_eq!(weight.len(), out * depth, "a weight of shape [{out}, {depth}] has out·depth values");
        Self::build(out, depth, precision, |o, k| weight.get(o * depth + k))
    }

    /// Packs `weight`, `[depth, out]` row-major, for `y = x · W`: an embedding `[vocabulary, hidden]` as the right-hand
    /// side of probabilities.
    ///
    /// # Panics
    /// When `weight` does not hold `out · depth` values.
    #[must_use]
    pub fn pack_transposed(weight: WeightView<'_>, depth: usize, out: usize, precision: Precision) -> Self {
        assert_eq!(weight.len(), out * depth, "a weight of shape [{depth}, {out}] has depth·out values");
        Self::build(out, depth, precision, |o, k| weight.get(k * out + o))
    }

    /// Packs several weights over the same input as one, their outputs side by side in the order given: q, k and v, or
    /// gate and up, in one product. Each is `[out, depth]` row-major, with its `out`.
    ///
    /// # Panics
    /// When a weight does not hold its `out · depth` values.
    #[must_use]
    pub fn pack_joint(weights: &[(WeightView<'_>, usize)], depth: usize, precision: Precision) -> Self {
        let mut rows = Vec::new();
        for (part, &(weight, out)) in weights.iter().enumerate() {
            assert_eq!(weight.len(), out * depth, "a weight of shape [{out}, {depth}] has out·depth values");
            rows.extend((0..out).map(|o| (part, o)));
        }
        Self::build(rows.len(), depth, precision, |o, k| weights[rows[o].0].0.get(rows[o].1 * depth + k))
    }

    fn build(out: usize, depth: usize, precision: Precision, at: impl Fn(usize, usize) -> f32) -> Self {
        let count = out.div_ceil(PANEL);
        let value = |panel: usize, lane: usize, k: usize| {
            let o = panel * PANEL + lane;
            if o < out && k < depth { at(o, k) } else { 0.0 }
        };
        let panels = match precision {
            Precision::F32 => Panels::F32(lines(count, depth, value)),
            Precision::Bf16 => Panels::Bf16(lines(count, depth.div_ceil(2), |panel, lane, k| {
                pair(value(panel, lane, 2 * k), value(panel, lane, 2 * k + 1))
            })),
        };
        Self { panels, out, depth }
    }

    /// Number of outputs: columns of `y`.
    #[must_use]
    pub fn out(&self) -> usize {
        self.out
    }

    /// Number of inputs: columns of `x`.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// What it is multiplied in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self.panels {
            Panels::F32(_) => Precision::F32,
            Panels::Bf16(_) => Precision::Bf16,
        }
    }

    /// Memory of the panels.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.panels {
            Panels::F32(data) => size_of_val(data.as_slice()),
            Panels::Bf16(data) => size_of_val(data.as_slice()),
        }
    }
}

/// `panels` panels of `depth` rows, each element from `at(panel, lane, k)`.
fn lines<E>(panels: usize, depth: usize, at: impl Fn(usize, usize, usize) -> E) -> Vec<Line<E>> {
    let mut lines = Vec::with_capacity(panels * depth * (PANEL / LINE));
    for panel in 0..panels {
        for k in 0..depth {
            lines
                .extend((0..PANEL / LINE).map(|q| Line(std::array::from_fn(|i| at(panel, q * LINE + i, k)))));
        }
    }
    lines
}

fn pair(even: f32, odd: f32) -> Pair {
    Pair(u32::from(bf16::from_f32(even).to_bits()) | u32::from(bf16::from_f32(odd).to_bits()) << 16)
}

/// Two activations rounded to bf16 (to nearest, ties to even). NaN stays NaN.
#[inline(always)]
pub(crate) fn round_pair(even: f32, odd: f32) -> Pair {
    Pair(bf16_bits(even) >> 16 | bf16_bits(odd) & 0xffff_0000)
}

/// Thirty-two activations rounded to sixteen pairs.
///
/// # Safety
/// Sixteen pairs are writable at `to`.
#[inline(always)]
pub(crate) unsafe fn round_line<S: Simd>(simd: S, floats: &[f32; 2 * LINE], to: *mut Pair) {
    // SAFETY: the caller's promise; `Pair` is a transparent u32.
    unsafe { simd.round_pairs(floats, to.cast()) };
}

/// `x` rounded to bf16 in the high half of the word; the low half is rubbish.
#[inline(always)]
fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { bits | 0x0040_0000 } else { bits + 0x7fff + (bits >> 16 & 1) }
}
