//! Attention over a shared cached prefix and each sequence's own tokens.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Rows, ensure};
use crate::Span;

/// What [`attention`] reads and writes. All rows have one type.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries `[batch · tokens, heads · dim]`.
    pub q: Rows<'a>,
    /// The sequences' own keys `[batch · tokens, kv_heads · dim]`.
    pub k: Rows<'a>,
    /// The sequences' own values, likewise.
    pub v: Rows<'a>,
    /// Cached keys that every sequence sees, `[prefix, kv_heads · dim]`; may have no rows.
    pub prefix_k: Rows<'a>,
    /// Cached values, likewise.
    pub prefix_v: Rows<'a>,
    /// Sequences.
    pub batch: usize,
    /// Query heads; head `h` reads key head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub dim: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which positions a query sees.
    pub span: Span,
    /// `[batch · tokens, heads · dim]`.
    pub out: Rows<'a>,
    /// Memory for splitting the prefix over blocks: [`attention_scratch_bytes`]; without it there is no splitting.
    pub scratch: Option<Slice<'a>>,
}

/// Scratch memory that [`attention`] makes good use of, in bytes, for any prefix.
#[must_use]
pub fn attention_scratch_bytes(_device: &Device, _rows: usize, _heads: usize, _dim: usize) -> usize {
    0
}

/// `out = softmax(scale · q · kᵀ) · v`, as [`crate::attention()`] on the host.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn attention(device: &Device, job: &Attention<'_>) -> Result<(), DeviceError> {
    check(job)?;
    let Attention { q, k, v, prefix_k, prefix_v, batch, heads, kv_heads, dim, .. } = *job;
    let (canvas, window) = match job.span {
        Span::Causal { window } => (0, window),
        Span::Canvas { window } => (1, window),
    };
    let args = [
        Arg::Slice(q.data),
        Arg::U32(q.stride as u32),
        Arg::Slice(k.data),
        Arg::U32(k.stride as u32),
        Arg::Slice(v.data),
        Arg::U32(v.stride as u32),
        Arg::Slice(prefix_k.data),
        Arg::U32(prefix_k.stride as u32),
        Arg::Slice(prefix_v.data),
        Arg::U32(prefix_v.stride as u32),
        Arg::U32(q.dtype.code()),
        Arg::U32(prefix_k.rows as u32),
        Arg::U32((q.rows / batch) as u32),
        Arg::U32((heads / kv_heads) as u32),
        Arg::U32(dim as u32),
        Arg::F32(job.scale),
        Arg::U32(canvas),
        Arg::U32(window.map_or(0, |w| w.max(1)) as u32),
        Arg::Slice(job.out.data),
        Arg::U32(job.out.stride as u32),
    ];
    let shared = (dim + 128 + 16) * 4;
    device.launch("attention_plain", [heads as u32, q.rows as u32, 1], [128, 1, 1], shared, &args)
}

fn check(job: &Attention<'_>) -> Result<(), DeviceError> {
    const OP: &str = "attention";
    let Attention { q, k, v, prefix_k, prefix_v, batch, heads, kv_heads, dim, out, .. } = *job;
    ensure(OP, kv_heads > 0 && heads.is_multiple_of(kv_heads), || {
        format!("{heads} heads do not share {kv_heads} key heads evenly")
    })?;
    ensure(OP, batch > 0 && q.rows.is_multiple_of(batch), || {
        format!("{} rows in {batch} sequences", q.rows)
    })?;
    ensure(OP, (1..=1024).contains(&dim), || format!("a head size of {dim}"))?;
    let (q_width, kv_width) = (heads * dim, kv_heads * dim);
    for (what, rows, shape) in [
        ("q", q, (q.rows, q_width)),
        ("k", k, (q.rows, kv_width)),
        ("v", v, (q.rows, kv_width)),
        ("prefix_k", prefix_k, (prefix_k.rows, kv_width)),
        ("prefix_v", prefix_v, (prefix_k.rows, kv_width)),
        ("out", out, (q.rows, q_width)),
    ] {
        ensure(OP, (rows.rows, rows.cols) == shape, || {
            format!("{what} is [{}, {}], not {shape:?}", rows.rows, rows.cols)
        })?;
        ensure(OP, rows.dtype == q.dtype, || format!("{what} is {:?}, q is {:?}", rows.dtype, q.dtype))?;
    }
    Ok(())
}
