//! From a joint projection to attention's operands: per-head norms, rotary positions, and the cache's rows.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Rows, ensure, ensure_len, optional};

/// What [`heads`] reads and writes. Rows are tokens, several sequences of `tokens` one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// Projections `[rows, (heads + kv_heads (+ kv_heads)) · dim]`, f32 or bf16: queries, keys and, where there is a value
    /// projection, values.
    pub joint: Rows<'a>,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Size of a head, even.
    pub dim: usize,
    /// Weight of the queries' norm, f32 `[dim]`.
    pub q_norm: Slice<'a>,
    /// Weight of the keys' norm, f32 `[dim]`. Values are normed without weight.
    pub k_norm: Slice<'a>,
    /// Of the norms.
    pub eps: f32,
    /// Rotary tables f32 `[positions, pairs]`: cosines, sines.
    pub rope: (Slice<'a>, Slice<'a>),
    /// Pairs that turn, at most `dim / 2`.
    pub pairs: usize,
    /// Position of each sequence's first token, a row of the tables.
    pub first_position: usize,
    /// The position as a u32 in device memory, at most `first_position`, that counts instead: one that a recorded launch
    /// reads anew whenever it runs.
    pub position_now: Option<Slice<'a>>,
    /// Tokens of a sequence.
    pub tokens: usize,
    /// Queries `[rows, heads · dim]`; `None` where only keys and values are wanted.
    pub q: Option<Rows<'a>>,
    /// Keys `[rows, kv_heads · dim]`: a part of a cache, or a buffer of its own.
    pub k: Rows<'a>,
    /// Values, likewise.
    pub v: Rows<'a>,
}

/// Norms queries and keys per head with weights and values without, and turns queries and keys by their positions.
/// Without a value projection the values are the raw keys.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn heads(device: &Device, job: &Heads<'_>) -> Result<(), DeviceError> {
    const OP: &str = "heads";
    let Heads { joint, heads, kv_heads, dim, pairs, tokens, k, v, .. } = *job;
    let (q_width, kv_width) = (heads * dim, kv_heads * dim);
    let values = joint.cols == q_width + 2 * kv_width;
    ensure(OP, values || joint.cols == q_width + kv_width, || {
        format!("{heads} + {kv_heads} heads of {dim} do not make rows of {}", joint.cols)
    })?;
    ensure(OP, dim.is_multiple_of(2) && pairs <= dim / 2, || format!("{pairs} pairs of a head of {dim}"))?;
    ensure(OP, tokens > 0 && joint.rows.is_multiple_of(tokens), || {
        format!("{} rows are not sequences of {tokens}", joint.rows)
    })?;
    let positions = job.first_position + tokens;
    ensure_len(OP, "q_norm", job.q_norm, dim, 4)?;
    ensure_len(OP, "k_norm", job.k_norm, dim, 4)?;
    ensure_len(OP, "cosines", job.rope.0, positions * pairs, 4)?;
    ensure_len(OP, "sines", job.rope.1, positions * pairs, 4)?;
    let outputs = [
        (job.q.unwrap_or(k), if job.q.is_some() { q_width } else { kv_width }),
        (k, kv_width),
        (v, kv_width),
    ];
    for (rows, width) in outputs {
        ensure(OP, (rows.rows, rows.cols) == (joint.rows, width), || {
            format!("an output is [{}, {}], not [{}, {width}]", rows.rows, rows.cols, joint.rows)
        })?;
        ensure(OP, rows.dtype == k.dtype, || "all outputs have one type".to_owned())?;
    }
    let args = [
        Arg::Slice(joint.data),
        Arg::U32(joint.dtype.code()),
        Arg::U32(joint.stride as u32),
        Arg::U32(heads as u32),
        Arg::U32(kv_heads as u32),
        Arg::U32(dim as u32),
        Arg::U32(u32::from(values)),
        Arg::Slice(job.q_norm),
        Arg::Slice(job.k_norm),
        Arg::F32(job.eps),
        Arg::Slice(job.rope.0),
        Arg::Slice(job.rope.1),
        Arg::U32(pairs as u32),
        Arg::U32(job.first_position as u32),
        optional(job.position_now),
        Arg::U32(tokens as u32),
        job.q.map_or(Arg::Null, |q| Arg::Slice(q.data)),
        Arg::U32(job.q.map_or(0, |q| q.stride as u32)),
        Arg::Slice(k.data),
        Arg::U32(k.stride as u32),
        Arg::Slice(v.data),
        Arg::U32(v.stride as u32),
        Arg::U32(k.dtype.code()),
    ];
    let blocks = (heads + 2 * kv_heads).div_ceil(4) as u32;
    device.launch("heads", [blocks, joint.rows as u32, 1], [128, 1, 1], 0, &args)
}
