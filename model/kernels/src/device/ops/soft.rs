//! Soft embeddings for self-conditioning: from a head's survivors, or exactly from logits.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Dtype, Head, Rows, Weight, ensure, ensure_len, optional};

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

/// The exact path: replaces `logits` (f32 `[rows, vocabulary]`) by their softmax at a temperature, and writes
/// `scale · probabilities · table` to `out`.
///
/// # Errors
/// As [`soft_embedding`].
pub fn soft_embedding_exact(
    device: &Device,
    (logits, temperature): (Rows<'_>, f32),
    table: Weight<'_>,
    scale: f32,
    (out, to): (Rows<'_>, Option<Slice<'_>>),
) -> Result<(), DeviceError> {
    const OP: &str = "soft_embedding_exact";
    ensure(OP, logits.cols == table.rows, || format!("rows of {} over {} tokens", logits.cols, table.rows))?;
    check(OP, (logits.rows, usize::MAX), table, out, to)?;
    softmax_rows(device, logits, temperature)?;
    let args = [
        Arg::Slice(logits.data),
        Arg::U32(logits.stride as u32),
        Arg::U32(logits.rows as u32),
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
    let grid = [logits.rows.div_ceil(8) as u32, table.cols.div_ceil(128) as u32, 1];
    device.launch("soft_embedding_dense", grid, [128, 1, 1], 0, &args)
}

/// Replaces each row of `x` (f32) by `softmax(row / temperature)`.
///
/// # Errors
/// As [`soft_embedding`].
pub fn softmax_rows(device: &Device, x: Rows<'_>, temperature: f32) -> Result<(), DeviceError> {
    ensure("softmax_rows", x.dtype == Dtype::F32 && temperature > 0.0, || {
        format!("{:?} rows at a temperature of {temperature}", x.dtype)
    })?;
    let args =
        [Arg::Slice(x.data), Arg::U32(x.stride as u32), Arg::U32(x.cols as u32), Arg::F32(temperature)];
    device.launch("softmax_rows", [x.rows as u32, 1, 1], [256, 1, 1], 64, &args)
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
