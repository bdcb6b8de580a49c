//! The gated feed-forward: down(gelu_tanh(gate(x)) · up(x)). Dense layers, experts and self-conditioning all are one.

use crate::error::LoadError;
use crate::weights::Weights;
use lacuna_kernels::{PackedWeight, Precision, WeightView, gelu_tanh_mul_joint, matmul};

/// Weights of one gated feed-forward.
#[derive(Debug)]
pub(crate) struct GatedMlp {
    gate_up: PackedWeight, // [2 · width, hidden]
    down: PackedWeight,    // [hidden, width]
}

/// Sizes of a gated feed-forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MlpSize {
    pub hidden: usize,
    pub width: usize,
    pub precision: Precision,
}

impl GatedMlp {
    /// Reads `<name>.{gate_proj,up_proj,down_proj}.weight`.
    pub(crate) fn load(weights: &Weights, name: &str, size: MlpSize) -> Result<Self, LoadError> {
        let MlpSize { hidden, width, precision } = size;
        let gate = weights.f32(&format!("{name}.gate_proj.weight"), &[width, hidden])?;
        let up = weights.f32(&format!("{name}.up_proj.weight"), &[width, hidden])?;
        let down = weights.f32(&format!("{name}.down_proj.weight"), &[hidden, width])?;
        let parts = [(WeightView::F32(&gate), width), (WeightView::F32(&up), width)];
        Ok(Self {
            gate_up: PackedWeight::pack_joint(&parts, hidden, precision),
            down: PackedWeight::pack(WeightView::F32(&down), hidden, width, precision),
        })
    }

    /// From one expert's slices: `gate_up` `[2 · width, hidden]` (gate rows first), `down` `[hidden, width]`.
    pub(crate) fn from_slices(gate_up: &[f32], down: &[f32], size: MlpSize) -> Self {
        let MlpSize { hidden, width, precision } = size;
        Self {
            gate_up: PackedWeight::pack(WeightView::F32(gate_up), 2 * width, hidden, precision),
            down: PackedWeight::pack(WeightView::F32(down), hidden, width, precision),
        }
    }

    /// `x` `[rows, hidden]` → `out` `[rows, hidden]`.
    pub(crate) fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        let width = self.down.depth();
        let mut joint = vec![0.0; rows * 2 * width]; // [rows, gate | up]
        matmul(x, rows, &self.gate_up, &mut joint);
        let mut active = vec![0.0; rows * width]; // [rows, width]
        gelu_tanh_mul_joint(&joint, width, &mut active);
        matmul(&active, rows, &self.down, out); // [rows, hidden]
    }

    /// Parameters held.
    pub(crate) fn parameters(&self) -> usize {
        self.gate_up.out() * self.gate_up.depth() + self.down.out() * self.down.depth()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.gate_up.bytes() + self.down.bytes()
    }
}
