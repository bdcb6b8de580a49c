//! Routing: which experts serve a token, and with which weights.

use super::super::{Arg, Device, DeviceError, Slice};
use super::matmul::PLAIN_SHARED;
use super::{Dtype, Rows, Weight, ensure, ensure_len};

/// A layer's router.
#[derive(Clone, Copy, Debug)]
pub struct Router<'a> {
    /// `router.scale · hidden^-0.5`, f32 `[hidden]`: the weight of the router's norm.
    pub scale: Slice<'a>,
    /// Of that norm.
    pub eps: f32,
    /// `[experts, hidden]`.
    pub proj: Weight<'a>,
    /// f32 `[experts]`.
    pub per_expert: Slice<'a>,
    /// Experts of a token.
    pub top: usize,
}

/// The `top` experts of every row of the residual stream `x` (f32): their numbers u32 `[rows, top]`, the surest first, and
/// their weights f32 `[rows, top]`: softmax over the chosen, times `per_expert`.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn route(
    device: &Device,
    x: Rows<'_>,
    router: &Router<'_>,
    ids: Slice<'_>,
    weights: Slice<'_>,
) -> Result<(), DeviceError> {
    route_in(device, x, router, (ids, weights), None)
}

/// [`route`] spread over more blocks, given scratch memory of [`route_scratch_bytes`].
///
/// # Errors
/// As [`route`].
pub fn route_in(
    device: &Device,
    x: Rows<'_>,
    router: &Router<'_>,
    (ids, weights): (Slice<'_>, Slice<'_>),
    scratch: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    const OP: &str = "route";
    const ROWS: usize = 4;
    let (experts, hidden, top) = (router.proj.rows, router.proj.cols, router.top);
    ensure(OP, x.dtype == Dtype::F32 && x.cols == hidden, || format!("x is f32 [rows, {hidden}]"))?;
    ensure(OP, top > 0 && top <= experts, || format!("{top} of {experts} experts"))?;
    ensure_len(OP, "the router's scale", router.scale, hidden, 4)?;
    ensure_len(OP, "per_expert", router.per_expert, experts, 4)?;
    ensure_len(OP, "ids", ids, x.rows * top, 4)?;
    ensure_len(OP, "weights", weights, x.rows * top, 4)?;
    if let Some(scratch) = scratch.filter(|s| s.len() >= route_scratch_bytes(device, x.rows, router.proj)) {
        return split(device, x, router, (ids, weights, scratch));
    }
    let args = [
        Arg::Slice(x.data),
        Arg::U32(x.stride as u32),
        Arg::U32(x.rows as u32),
        Arg::Slice(router.scale),
        Arg::F32(router.eps),
        Arg::Slice(router.proj.data),
        Arg::U32(router.proj.dtype.code()),
        Arg::U32(experts as u32),
        Arg::Slice(router.per_expert),
        Arg::U32(top as u32),
        Arg::U32(hidden as u32),
        Arg::Slice(ids),
        Arg::Slice(weights),
    ];
    let shared = (ROWS * (hidden + experts) + 16) * 4;
    device.launch("route", [x.rows.div_ceil(ROWS) as u32, 1, 1], [256, 1, 1], shared, &args)
}

/// Scratch memory that [`route_in`] makes good use of for `rows` rows and this matrix, in bytes.
#[must_use]
pub fn route_scratch_bytes(device: &Device, rows: usize, proj: Weight<'_>) -> usize {
    splits(device, rows, proj).0 * rows * (proj.rows + 1) * 4
}

/// Into how many parts of what depth the scores' product is cut.
fn splits(device: &Device, rows: usize, proj: Weight<'_>) -> (usize, usize) {
    let tiles = rows.div_ceil(64) * proj.rows.div_ceil(64);
    let wanted = (device.info().multiprocessors / tiles.max(1)).clamp(1, 32).min(proj.cols.div_ceil(64));
    let depth = proj.cols.div_ceil(wanted.max(1)).next_multiple_of(16);
    (proj.cols.div_ceil(depth), depth)
}

fn split(
    device: &Device,
    x: Rows<'_>,
    router: &Router<'_>,
    (ids, weights, scratch): (Slice<'_>, Slice<'_>, Slice<'_>),
) -> Result<(), DeviceError> {
    let (experts, hidden) = (router.proj.rows, router.proj.cols);
    let (splits, depth) = splits(device, x.rows, router.proj);
    let args = [
        Arg::Slice(x.data),
        Arg::U32(x.stride as u32),
        Arg::U32(x.rows as u32),
        Arg::Slice(router.scale),
        Arg::Slice(router.proj.data),
        Arg::U32(router.proj.dtype.code()),
        Arg::U32(experts as u32),
        Arg::U32(hidden as u32),
        Arg::U32(depth as u32),
        Arg::Slice(scratch),
    ];
    let grid = [x.rows.div_ceil(64) as u32, experts.div_ceil(64) as u32, splits as u32];
    device.launch("route_scores", grid, [256, 1, 1], PLAIN_SHARED, &args)?;
    let args = [
        Arg::Slice(scratch),
        Arg::U32(splits as u32),
        Arg::U32(x.rows as u32),
        Arg::F32(router.eps),
        Arg::U32(hidden as u32),
        Arg::U32(experts as u32),
        Arg::Slice(router.per_expert),
        Arg::U32(router.top as u32),
        Arg::Slice(ids),
        Arg::Slice(weights),
    ];
    let shared = 4 * experts * 4;
    device.launch("route_pick", [x.rows.div_ceil(4) as u32, 1, 1], [128, 1, 1], shared, &args)
}
