//! Soft embeddings for self-conditioning: from a head's survivors, or exactly from logits.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Dtype, Head, Masks, Rows, Weight, ensure, ensure_len, optional};

/// `out[to[i]] = scale · (mean of table's rows under the survivors' weights)` for the head's first `rows` rows; without
/// `to`, `out[i]`. Rows that overflowed ([`super::OVERFLOW`]) are left as they are.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn soft_embedding(
    device: &Device,
    (head, rows): (&Head, usize),
    table: Weight<'_>,
    scale: f32,
    (out, to): (Rows<'_>, Option<Slice<'_>>),
) -> Result<(), DeviceError> {
    const OP: &str = "soft_embedding";
    check(OP, (rows, head.rows_max()), table, out, to)?;
    let args = [
        Arg::Slice(head.survivors().all()),
        Arg::Slice(head.ids().all()),
        Arg::Slice(head.weights().all()),
        Arg::Slice(head.mass().all()),
        Arg::U32(head.capacity() as u32),
        Arg::Slice(table.data),
        Arg::U32(table.dtype.code()),
        Arg::U32(table.rows as u32),
        Arg::U32(table.cols as u32),
        Arg::F32(scale),
        optional(to),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
    ];
    let grid = [rows as u32, table.cols.div_ceil(4 * 64) as u32, 1];
    device.launch("soft_embedding_sparse", grid, [64, 1, 1], 0, &args)
}

/// What [`soft_embedding_exact`] reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct ExactSoft<'a> {
    /// f32 `[rows, vocabulary]`; replaced by probabilities.
    pub logits: Rows<'a>,
    /// What logits are divided by.
    pub temperature: f32,
    /// Tokens that may not be, as the head has them.
    pub masks: Masks<'a>,
    /// Which row of `masks.allowed` each one is, u32 `[rows]`; without it, in order.
    pub mask_rows: Option<Slice<'a>>,
    /// The tied embedding `[vocabulary, hidden]`.
    pub table: Weight<'a>,
    /// What the mean is multiplied by.
    pub scale: f32,
    /// `[.., hidden]`.
    pub out: Rows<'a>,
    /// Rows of `out`, u32 `[rows]`; without it, in order.
    pub to: Option<Slice<'a>>,
    /// Memory for the sums of the vocabulary's parts, f32; at least one part's `[rows, hidden]`.
    pub scratch: Slice<'a>,
}

/// Parts of the vocabulary at most, and the tokens of the smallest.
const PARTS: (usize, usize) = (128, 256);
/// Tokens that a block takes at once: `SOFT_TOKENS` of `cuda/soft.cu`, and its `SOFT_ROWS`.
const TOKENS: usize = 64;
const ROWS: usize = 8;

/// Tokens of a part, where the vocabulary is split into as many as are allowed and there is room for.
fn part_tokens(vocabulary: usize, room: usize) -> usize {
    let parts = (vocabulary / PARTS.1).min(room).clamp(1, PARTS.0);
    vocabulary.div_ceil(parts).next_multiple_of(TOKENS)
}

/// Scratch memory that [`soft_embedding_exact`] makes good use of for so many rows, in bytes.
#[must_use]
pub fn soft_embedding_scratch_bytes(rows: usize, table: Weight<'_>) -> usize {
    let parts = table.rows.div_ceil(part_tokens(table.rows, PARTS.0)).max(1);
    parts * rows * table.cols * 4
}

/// The exact path: replaces `logits` by their softmax at a temperature, and writes `scale · probabilities · table` to `out`.
/// The vocabulary is summed in parts whose number follows from the sizes alone, and these in their order: the same bits every
/// time.
///
/// # Errors
/// As [`soft_embedding`].
pub fn soft_embedding_exact(device: &Device, job: &ExactSoft<'_>) -> Result<(), DeviceError> {
    const OP: &str = "soft_embedding_exact";
    let ExactSoft { logits, table, out, to, scratch, .. } = *job;
    let (rows, vocabulary, cols) = (logits.rows, table.rows, table.cols);
    ensure(OP, logits.cols == vocabulary, || format!("rows of {} over {vocabulary} tokens", logits.cols))?;
    check(OP, (rows, usize::MAX), table, out, to)?;
    ensure(OP, scratch.offset().is_multiple_of(4), || format!("sums at byte {}", scratch.offset()))?;
    ensure_len(OP, "sums", scratch, rows * cols, 4)?;
    masked_softmax(device, (logits, job.temperature), job.masks, job.mask_rows)?;
    let tokens = part_tokens(vocabulary, scratch.len() / (rows * cols * 4).max(1));
    let parts = vocabulary.div_ceil(tokens) as u32;
    let args = [
        Arg::Slice(logits.data),
        Arg::U32(logits.stride as u32),
        Arg::U32(rows as u32),
        Arg::Slice(table.data),
        Arg::U32(table.dtype.code()),
        Arg::U32(vocabulary as u32),
        Arg::U32(cols as u32),
        Arg::U32(tokens as u32),
        Arg::Slice(scratch),
    ];
    let grid = [rows.div_ceil(ROWS) as u32, cols.div_ceil(4 * 64) as u32, parts];
    device.launch("soft_embedding_parts", grid, [64, 1, 1], TOKENS * ROWS * 4, &args)?;
    let args = [
        Arg::Slice(scratch),
        Arg::U32(parts),
        Arg::U32(rows as u32),
        Arg::U32(cols as u32),
        Arg::F32(job.scale),
        optional(to),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
    ];
    let grid = [rows as u32, cols.div_ceil(128) as u32, 1];
    device.launch("soft_embedding_sum", grid, [128, 1, 1], 0, &args)
}

/// Replaces each row of `x` (f32) by `softmax(row / temperature)`.
///
/// # Errors
/// As [`soft_embedding`].
pub fn softmax_rows(device: &Device, x: Rows<'_>, temperature: f32) -> Result<(), DeviceError> {
    masked_softmax(device, (x, temperature), Masks::default(), None)
}

fn masked_softmax(
    device: &Device,
    (x, temperature): (Rows<'_>, f32),
    masks: Masks<'_>,
    mask_rows: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    const OP: &str = "softmax_rows";
    ensure(OP, x.dtype == Dtype::F32 && temperature > 0.0, || {
        format!("{:?} rows at a temperature of {temperature}", x.dtype)
    })?;
    masks.check(OP, if mask_rows.is_some() { 0 } else { x.rows }, x.cols)?;
    if let Some(rows) = mask_rows {
        ensure_len(OP, "rows of the masks", rows, x.rows, 4)?;
    }
    let args = [
        Arg::Slice(x.data),
        Arg::U32(x.stride as u32),
        Arg::U32(x.cols as u32),
        Arg::F32(temperature),
        optional(masks.banned),
        optional(masks.allowed.map(|m| m.0)),
        optional(masks.allowed.map(|m| m.1)),
        optional(mask_rows),
    ];
    let threads = x.cols.next_multiple_of(32).min(1024) as u32;
    device.launch("softmax_rows", [x.rows as u32, 1, 1], [threads, 1, 1], 128, &args)
}

fn check(
    op: &'static str,
    (rows, rows_max): (usize, usize),
    table: Weight<'_>,
    out: Rows<'_>,
    to: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    ensure(op, rows <= rows_max, || format!("{rows} rows, the head has {rows_max}"))?;
    ensure(op, out.cols == table.cols, || format!("rows of {} from a table of {}", out.cols, table.cols))?;
    match to {
        Some(to) => ensure_len(op, "target rows", to, rows, 4),
        None => ensure(op, rows <= out.rows, || format!("{rows} rows into {}", out.rows)),
    }
}
