//! Operations on device memory: each checks shapes and launches kernels; none waits, none allocates.
//!
//! Activations are [`Rows`]: row-major matrices of f32 or bf16, possibly parts of wider ones. Weights are [`Weight`]s, in
//! the layouts of checkpoints. Scratch memory comes from the caller, so that a sequence of operations can be captured.

mod attention;
mod experts;
mod head;
mod heads;
mod matmul;
mod mma;
mod route;
mod rows;
mod sampler;
mod soft;
mod view;

pub use attention::{Attention, attention, attention_scratch_bytes};
pub use experts::{ExpertsDown, ExpertsGateUp, Groups, combine, experts_down, experts_gate_up, group};
pub use head::{Head, HeadJob, Masks, OVERFLOW, head, head_in, log_probs};
pub use heads::{Heads, heads};
pub use matmul::{Product, logits, matmul, matmul_gated, matmul_in, matmul_scratch_bytes};
pub use route::{Router, route, route_in, route_scratch_bytes};
pub use rows::{Branches, Residual, add_scaled, convert, embed, gated, gather, residual, rms_norm};
pub use sampler::{CanvasState, Sampler, sampler_step};
pub use soft::{ExactSoft, soft_embedding, soft_embedding_exact, soft_embedding_scratch_bytes, softmax_rows};
pub use view::{Dtype, Rows, Weight, WeightDtype};

use super::{Arg, DeviceError, Slice};

/// An error of operation `op`, unless `fits`.
fn ensure(op: &'static str, fits: bool, problem: impl FnOnce() -> String) -> Result<(), DeviceError> {
    if fits { Ok(()) } else { Err(DeviceError::Shape { op, problem: problem() }) }
}

/// That `slice` has at least `count` values of `size` bytes.
fn ensure_len(
    op: &'static str,
    what: &str,
    slice: Slice<'_>,
    count: usize,
    size: usize,
) -> Result<(), DeviceError> {
    ensure(op, slice.len() >= count * size, || {
        format!("{what} needs {count} values of {size} bytes, its view has {} bytes", slice.len())
    })
}

/// A view, or a null pointer.
fn optional(slice: Option<Slice<'_>>) -> Arg<'_> {
    slice.map_or(Arg::Null, Arg::Slice)
}

/// A size as kernels take it.
fn u32_of(op: &'static str, what: &str, value: usize) -> Result<u32, DeviceError> {
    u32::try_from(value)
        .map_err(|_| DeviceError::Shape { op, problem: format!("{what} is {value}, too large for a kernel") })
}

/// Threads of a block that goes over `cols` columns: whole warps, 256 at most.
fn threads_for(cols: usize) -> u32 {
    (cols.next_multiple_of(32).min(256)) as u32
}
