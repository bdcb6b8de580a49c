//! Row by row: embedding, norms, residual sums, the gated activation, conversions.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Dtype, Rows, Weight, ensure, ensure_len, optional, threads_for};

/// `out[to[i]] = table[ids[i]] · scale` for `count` ids (u32); without `to`, `out[i]`. An id outside the table makes its
/// row NaN. `out` is f32 or bf16, `[rows, table.cols]`.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn embed(
    device: &Device,
    (ids, count): (Slice<'_>, usize),
    table: Weight<'_>,
    scale: f32,
    (out, to): (Rows<'_>, Option<Slice<'_>>),
) -> Result<(), DeviceError> {
    const OP: &str = "embed";
    ensure_len(OP, "ids", ids, count, 4)?;
    ensure(OP, out.cols == table.cols, || format!("rows of {} from a table of {}", out.cols, table.cols))?;
    match to {
        Some(to) => ensure_len(OP, "target rows", to, count, 4)?,
        None => ensure(OP, count <= out.rows, || format!("{count} ids for {} rows", out.rows))?,
    }
    let args = [
        Arg::Slice(ids),
        optional(to),
        Arg::Slice(table.data),
        Arg::U32(table.dtype.code()),
        Arg::U32(table.rows as u32),
        Arg::U32(table.cols as u32),
        Arg::F32(scale),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(out.rows as u32),
    ];
    device.launch("embed", [count as u32, 1, 1], [threads_for(table.cols), 1, 1], 0, &args)
}

/// `out[i] = x[from[i]]`, for `out.rows` row numbers (u32); converts between types.
///
/// # Errors
/// As [`embed`].
pub fn gather(device: &Device, x: Rows<'_>, from: Slice<'_>, out: Rows<'_>) -> Result<(), DeviceError> {
    ensure_len("gather", "row numbers", from, out.rows, 4)?;
    copy_rows(device, x, Some(from), out)
}

/// `out = x`, converted.
///
/// # Errors
/// As [`embed`].
pub fn convert(device: &Device, x: Rows<'_>, out: Rows<'_>) -> Result<(), DeviceError> {
    ensure("convert", x.rows == out.rows, || format!("{} rows into {}", x.rows, out.rows))?;
    copy_rows(device, x, None, out)
}

fn copy_rows(
    device: &Device,
    x: Rows<'_>,
    from: Option<Slice<'_>>,
    out: Rows<'_>,
) -> Result<(), DeviceError> {
    ensure("gather", x.cols == out.cols, || format!("rows of {} into rows of {}", x.cols, out.cols))?;
    let args = [
        Arg::Slice(x.data),
        Arg::U32(x.dtype.code()),
        Arg::U32(x.stride as u32),
        Arg::U32(x.rows as u32),
        optional(from),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(out.cols as u32),
    ];
    device.launch("copy_rows", [out.rows as u32, 1, 1], [threads_for(out.cols), 1, 1], 0, &args)
}

/// `out = x / sqrt(mean(x²) + eps) · weight`, row by row; `x` f32, `weight` f32 `[cols]`, `out` f32 or bf16. In place
/// where `out` is `x`.
///
/// # Errors
/// As [`embed`].
pub fn rms_norm(
    device: &Device,
    x: Rows<'_>,
    weight: Option<Slice<'_>>,
    eps: f32,
    out: Rows<'_>,
) -> Result<(), DeviceError> {
    const OP: &str = "rms_norm";
    ensure(OP, x.dtype == Dtype::F32, || "the input is f32".to_owned())?;
    ensure(OP, (x.rows, x.cols) == (out.rows, out.cols), || {
        format!("[{}, {}] into [{}, {}]", x.rows, x.cols, out.rows, out.cols)
    })?;
    if let Some(weight) = weight {
        ensure_len(OP, "the weight", weight, x.cols, 4)?;
    }
    let args = [
        Arg::Slice(x.data),
        Arg::U32(x.stride as u32),
        optional(weight),
        Arg::F32(eps),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(x.cols as u32),
    ];
    device.launch("rms_norm", [x.rows as u32, 1, 1], [threads_for(x.cols), 1, 1], 64, &args)
}

/// A residual sum with the norms around it, see [`residual`].
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The residual stream, f32, in and out.
    pub x: Rows<'a>,
    /// What is added, f32: one branch, or two that are normed with their own weights f32 `[cols]` and summed first.
    pub branches: Branches<'a>,
    /// Weight of the norm of the sum, f32 `[cols]`.
    pub post: Slice<'a>,
    /// Of all norms here.
    pub eps: f32,
    /// What the new residual stream is multiplied by.
    pub scale: f32,
    /// Norms of the new residual stream: a weight f32 `[cols]` (or none), and where to.
    pub norms: [Option<(Option<Slice<'a>>, Rows<'a>)>; 2],
}

/// One or two outputs that a residual sum adds.
#[derive(Clone, Copy, Debug)]
pub enum Branches<'a> {
    /// As it is.
    One(Rows<'a>),
    /// Each with the weight of its own norm.
    Two([(Rows<'a>, Slice<'a>); 2]),
}

/// `x = (x + norm(y) · post) · scale` with `y` the branch, or `norm(y1) · w1 + norm(y2) · w2` of two; then up to two norms
/// of the new `x`. One pass over a row.
///
/// # Errors
/// As [`embed`].
pub fn residual(device: &Device, job: &Residual<'_>) -> Result<(), DeviceError> {
    const OP: &str = "residual";
    let x = job.x;
    let fits = |rows: Rows<'_>, what: &str| {
        ensure(OP, (rows.rows, rows.cols) == (x.rows, x.cols), || {
            format!("{what} is [{}, {}], x is [{}, {}]", rows.rows, rows.cols, x.rows, x.cols)
        })
    };
    let f32_only = |rows: Rows<'_>| ensure(OP, rows.dtype == Dtype::F32, || "x and y are f32".to_owned());
    f32_only(x)?;
    ensure_len(OP, "post", job.post, x.cols, 4)?;
    let mut args = vec![Arg::Slice(x.data), Arg::U32(x.stride as u32)];
    let (first, second) = match job.branches {
        Branches::One(y) => ((y, None), None),
        Branches::Two([(y, w), (y2, w2)]) => ((y, Some(w)), Some((y2, w2))),
    };
    fits(first.0, "y")?;
    f32_only(first.0)?;
    args.extend([Arg::Slice(first.0.data), Arg::U32(first.0.stride as u32), optional(first.1)]);
    match second {
        Some((y, weight)) => {
            fits(y, "y2")?;
            f32_only(y)?;
            ensure_len(OP, "the second branch's weight", weight, x.cols, 4)?;
            args.extend([Arg::Slice(y.data), Arg::U32(y.stride as u32), Arg::Slice(weight)]);
        }
        None => args.extend([Arg::Null, Arg::U32(0), Arg::Null]),
    }
    if let Some(weight) = first.1 {
        ensure_len(OP, "the first branch's weight", weight, x.cols, 4)?;
    }
    args.extend([Arg::Slice(job.post), Arg::F32(job.eps), Arg::F32(job.scale)]);
    for norm in job.norms {
        match norm {
            Some((weight, out)) => {
                fits(out, "a norm's output")?;
                if let Some(weight) = weight {
                    ensure_len(OP, "a norm's weight", weight, x.cols, 4)?;
                }
                let out_args =
                    [Arg::Slice(out.data), Arg::U32(out.dtype.code()), Arg::U32(out.stride as u32)];
                args.push(optional(weight));
                args.extend(out_args);
            }
            None => args.extend([Arg::Null, Arg::Null, Arg::U32(0), Arg::U32(0)]),
        }
    }
    args.push(Arg::U32(x.cols as u32));
    let shared = 64 + x.cols * 4;
    device.launch("residual", [x.rows as u32, 1, 1], [threads_for(x.cols), 1, 1], shared, &args)
}

/// `x += factor · y`, both f32.
///
/// # Errors
/// As [`embed`].
pub fn add_scaled(device: &Device, x: Rows<'_>, y: Rows<'_>, factor: f32) -> Result<(), DeviceError> {
    const OP: &str = "add_scaled";
    ensure(OP, (x.dtype, y.dtype) == (Dtype::F32, Dtype::F32), || "x and y are f32".to_owned())?;
    ensure(OP, (x.rows, x.cols) == (y.rows, y.cols), || {
        format!("[{}, {}] and [{}, {}]", x.rows, x.cols, y.rows, y.cols)
    })?;
    let args = [
        Arg::Slice(x.data),
        Arg::U32(x.stride as u32),
        Arg::Slice(y.data),
        Arg::U32(y.stride as u32),
        Arg::F32(factor),
        Arg::U32(x.cols as u32),
    ];
    device.launch("add_scaled", [x.rows as u32, 1, 1], [threads_for(x.cols), 1, 1], 0, &args)
}

/// `out = gelu_tanh(gate) · up`: `gate_up` `[rows, 2 · width]` (f32 or bf16), gate first; `out` `[rows, width]`.
///
/// # Errors
/// As [`embed`].
pub fn gated(device: &Device, gate_up: Rows<'_>, out: Rows<'_>) -> Result<(), DeviceError> {
    const OP: &str = "gated";
    ensure(OP, gate_up.rows == out.rows && gate_up.cols == 2 * out.cols, || {
        format!("[{}, {}] into [{}, {}]", gate_up.rows, gate_up.cols, out.rows, out.cols)
    })?;
    let args = [
        Arg::Slice(gate_up.data),
        Arg::U32(gate_up.dtype.code()),
        Arg::U32(gate_up.stride as u32),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(out.cols as u32),
    ];
    device.launch("gated", [out.rows as u32, 1, 1], [threads_for(out.cols), 1, 1], 0, &args)
}
