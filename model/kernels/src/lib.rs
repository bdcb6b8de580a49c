//! CPU kernels of the engine's hot path: packed matrix products, attention, row operations and logits statistics.
//!
//! Everything here speaks `f32` slices, row-major, and knows nothing of models, tokens or files. Three rules hold
//! throughout:
//!
//! - **Same bits.** A row's result depends on that row alone, never on the number of rows, the batch, or the number of
//!   threads: each output element is one chain of operations in a fixed order. Different instruction sets may differ
//!   in the last bits.
//! - **One body, every instruction set.** A kernel is written once over a small vector vocabulary (`simd`) and compiled for AVX-512 (with
//!   and without bf16 dot products), AVX2+FMA, and portable code; [`Isa`] picks at run time.
//! - **A twin.** `tests/` holds a naive `f64` version of each kernel, which every path must match.
//!
//! Work that is worth it (tens of microseconds) is spread with rayon over the current pool. Run a whole step inside one
//! `ThreadPool::install`: calling from outside the pool costs a thread hand-over for each kernel.

#![allow(
    unsafe_code,
    reason = "vector instructions and shared output slices; every block states why it is sound"
)]

mod attention;
#[cfg(feature = "device")]
pub mod device;
mod elementwise;
mod embedding;
mod isa;
mod math;
mod matmul;
mod norm;
mod pack;
mod parallel;
pub mod quant;
mod rope;
mod scratch;
mod simd;
mod softmax;
mod tile;

pub use attention::{AttentionArgs, PrefixPanels, Span, attention, attention_in};
pub use elementwise::{add, gelu_tanh_mul, gelu_tanh_mul_joint, scale, scale_add, softcap};
pub use embedding::{soft_embedding_sparse, soft_embedding_sparse_all};
pub use isa::Isa;
pub use matmul::matmul;
pub use norm::rms_norm;
pub use pack::{PackedWeight, Precision, WeightView};
pub use rope::{RopeTables, rope};
pub use softmax::{RowStats, log_softmax_at, row_stats, row_stats_all, softmax_rows};
