//! The mixture of experts: grouping, the two grouped products, and the weighted sum.

use super::super::{Arg, Buffer, Device, DeviceError, Slice};
use super::matmul::PLAIN_SHARED;
use super::{Dtype, Rows, Weight, ensure, ensure_len, mma, threads_for};

/// Memory for the lists that [`group`] makes.
#[derive(Clone, Debug)]
pub struct Groups {
    slots: Buffer, // u32 [slots_max]
    table: Buffer, // u32 [tiles_max, 3]
    experts: usize,
    slots_max: usize,
}

/// Slots in a tile, what one block of the grouped products takes: few where few share an expert.
fn tile_rows(experts: usize, slots: usize) -> usize {
    if slots > 32 * experts { 64 } else { 32 }
}

impl Groups {
    /// For up to `slots_max` slots (rows · top) of `experts` experts.
    ///
    /// # Errors
    /// As [`Device::alloc`].
    pub fn new(device: &Device, experts: usize, slots_max: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            slots: device.alloc(slots_max.max(1) * 4)?,
            table: device.alloc(tiles_max(experts, slots_max) * 12)?,
            experts,
            slots_max,
        })
    }

    /// Bytes that [`Groups::new`] allocates.
    #[must_use]
    pub fn bytes(experts: usize, slots_max: usize) -> usize {
        slots_max.max(1) * 4 + tiles_max(experts, slots_max) * 12
    }

    /// Slot numbers by expert, u32.
    #[must_use]
    pub fn slots(&self) -> &Buffer {
        &self.slots
    }
}

/// How many tiles there can be at most.
fn tiles(experts: usize, slots: usize) -> usize {
    (slots / tile_rows(experts, slots) + experts.min(slots)).max(1)
}

/// The most for any number of slots up to `slots_max`: of either tile size.
fn tiles_max(experts: usize, slots_max: usize) -> usize {
    tiles(experts, slots_max).max(tiles(experts, slots_max.min(32 * experts)))
}

/// Sorts the `slots` expert numbers `ids` (u32) by expert, keeping their order inside one.
///
/// # Errors
/// As [`super::route`].
pub fn group(device: &Device, ids: Slice<'_>, slots: usize, groups: &Groups) -> Result<(), DeviceError> {
    const OP: &str = "group";
    ensure(OP, slots <= groups.slots_max, || format!("{slots} slots, room for {}", groups.slots_max))?;
    ensure_len(OP, "ids", ids, slots, 4)?;
    let warps = if groups.experts <= 256 { 32 } else { 8 };
    let args = [
        Arg::Slice(ids),
        Arg::U32(slots as u32),
        Arg::U32(groups.experts as u32),
        Arg::U32(tile_rows(groups.experts, slots) as u32),
        Arg::Slice(groups.slots.all()),
        Arg::Slice(groups.table.all()),
        Arg::U32(tiles(groups.experts, slots) as u32),
    ];
    let shared = ((warps + 2) * groups.experts + 2) * 4;
    device.launch("group", [1, 1, 1], [warps as u32 * 32, 1, 1], shared, &args)
}

/// The first grouped product, see [`experts_gate_up`].
#[derive(Clone, Copy, Debug)]
pub struct ExpertsGateUp<'a> {
    /// `[rows, hidden]`.
    pub a: Rows<'a>,
    /// By expert, as [`group`] made them of `rows · top` slots.
    pub groups: &'a Groups,
    /// Experts of a row.
    pub top: usize,
    /// `[experts · 2 · width, hidden]`, each expert's gate rows before its up rows.
    pub weight: Weight<'a>,
    /// `[rows · top, width]`, f32 or bf16.
    pub out: Rows<'a>,
}

/// `out[slot] = gelu_tanh(a[row] · gateᵀ) · (a[row] · upᵀ)` with the slot's expert, `row = slot / top`.
///
/// # Errors
/// As [`super::route`].
pub fn experts_gate_up(device: &Device, job: &ExpertsGateUp<'_>) -> Result<(), DeviceError> {
    const OP: &str = "experts_gate_up";
    let ExpertsGateUp { a, groups, top, weight, out } = *job;
    let (experts, width) = (groups.experts, out.cols);
    ensure(OP, out.rows == a.rows * top && out.rows <= groups.slots_max, || {
        format!("{} rows for {} tokens of {top} experts", out.rows, a.rows)
    })?;
    ensure(OP, (weight.rows, weight.cols) == (experts * 2 * width, a.cols), || {
        format!("the weight is [{}, {}], not [{experts} · 2 · {width}, {}]", weight.rows, weight.cols, a.cols)
    })?;
    if mma::takes(a, weight) && out.dtype == Dtype::Bf16 {
        return gate_up_on_tensor_cores(device, job);
    }
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.dtype.code()),
        Arg::U32(a.stride as u32),
        Arg::Slice(groups.table.all()),
        Arg::Slice(groups.slots.all()),
        Arg::U32(top as u32),
        Arg::Slice(weight.data),
        Arg::U32(weight.dtype.code()),
        Arg::U32(experts as u32),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(width as u32),
        Arg::U32(a.cols as u32),
    ];
    let grid = [width.div_ceil(32) as u32, tiles(experts, out.rows) as u32, 1];
    device.launch("experts_gate_up_plain", grid, [256, 1, 1], PLAIN_SHARED, &args)
}

fn gate_up_on_tensor_cores(device: &Device, job: &ExpertsGateUp<'_>) -> Result<(), DeviceError> {
    let ExpertsGateUp { a, groups, top, weight, out } = *job;
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.stride as u32),
        Arg::Slice(groups.table.all()),
        Arg::Slice(groups.slots.all()),
        Arg::U32(top as u32),
        Arg::Slice(weight.data),
        Arg::U32(groups.experts as u32),
        Arg::Slice(out.data),
        Arg::U32(out.stride as u32),
        Arg::U32(out.cols as u32),
        Arg::U32(a.cols as u32),
    ];
    let tile_rows = tile_rows(groups.experts, out.rows);
    let kernel = mma::name(
        tile_rows,
        weight.dtype,
        ["experts_gate_up_32_bf16", "experts_gate_up_32_q8", "experts_gate_up_32_q4"],
        ["experts_gate_up_64_bf16", "experts_gate_up_64_q8", "experts_gate_up_64_q4"],
    );
    let grid = [out.cols.div_ceil(mma::TILE_COLS / 2) as u32, tiles(groups.experts, out.rows) as u32, 1];
    device.launch(kernel, grid, [256, 1, 1], mma::shared_bytes(tile_rows, weight.dtype), &args)
}

/// The second grouped product, see [`experts_down`].
#[derive(Clone, Copy, Debug)]
pub struct ExpertsDown<'a> {
    /// `[rows · top, width]`, as [`experts_gate_up`] wrote it.
    pub a: Rows<'a>,
    /// The same groups.
    pub groups: &'a Groups,
    /// `[experts · hidden, width]`.
    pub weight: Weight<'a>,
    /// Of every slot, f32 `[rows · top]`, as [`super::route`] wrote them.
    pub weights: Slice<'a>,
    /// f32 `[rows · top, hidden]`.
    pub scratch: Slice<'a>,
    /// f32 `[rows, hidden]`.
    pub out: Rows<'a>,
}

/// `out[row] = Σ weights[slot] · (a[slot] · downᵀ)` over the row's slots, in the order of their ranks: no atomics, the
/// same bits on every run.
///
/// # Errors
/// As [`super::route`].
pub fn experts_down(device: &Device, job: &ExpertsDown<'_>) -> Result<(), DeviceError> {
    const OP: &str = "experts_down";
    let ExpertsDown { a, groups, weight, weights, scratch, out } = *job;
    let (experts, hidden) = (groups.experts, out.cols);
    ensure(OP, out.rows > 0 && a.rows.is_multiple_of(out.rows) && a.rows <= groups.slots_max, || {
        format!("{} slots for {} rows", a.rows, out.rows)
    })?;
    ensure(OP, (weight.rows, weight.cols) == (experts * hidden, a.cols), || {
        format!("the weight is [{}, {}], not [{experts} · {hidden}, {}]", weight.rows, weight.cols, a.cols)
    })?;
    ensure_len(OP, "scratch", scratch, a.rows * hidden, 4)?;
    if mma::takes(a, weight) {
        down_on_tensor_cores(device, job)?;
    } else {
        down_plain(device, job)?;
    }
    combine(device, scratch, weights, out, a.rows / out.rows)
}

fn down_plain(device: &Device, job: &ExpertsDown<'_>) -> Result<(), DeviceError> {
    let ExpertsDown { a, groups, weight, scratch, out, .. } = *job;
    let (experts, hidden) = (groups.experts, out.cols);
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.dtype.code()),
        Arg::U32(a.stride as u32),
        Arg::Slice(groups.table.all()),
        Arg::Slice(groups.slots.all()),
        Arg::Slice(weight.data),
        Arg::U32(weight.dtype.code()),
        Arg::U32(experts as u32),
        Arg::Slice(scratch),
        Arg::U32(hidden as u32),
        Arg::U32(a.cols as u32),
    ];
    let grid = [hidden.div_ceil(64) as u32, tiles(experts, a.rows) as u32, 1];
    device.launch("experts_down_plain", grid, [256, 1, 1], PLAIN_SHARED, &args)
}

fn down_on_tensor_cores(device: &Device, job: &ExpertsDown<'_>) -> Result<(), DeviceError> {
    let ExpertsDown { a, groups, weight, scratch, out, .. } = *job;
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.stride as u32),
        Arg::Slice(groups.table.all()),
        Arg::Slice(groups.slots.all()),
        Arg::Slice(weight.data),
        Arg::U32(groups.experts as u32),
        Arg::Slice(scratch),
        Arg::U32(out.cols as u32),
        Arg::U32(a.cols as u32),
    ];
    let tile_rows = tile_rows(groups.experts, a.rows);
    let kernel = mma::name(
        tile_rows,
        weight.dtype,
        ["experts_down_32_bf16", "experts_down_32_q8", "experts_down_32_q4"],
        ["experts_down_64_bf16", "experts_down_64_q8", "experts_down_64_q4"],
    );
    let grid = [out.cols.div_ceil(mma::TILE_COLS) as u32, tiles(groups.experts, a.rows) as u32, 1];
    device.launch(kernel, grid, [256, 1, 1], mma::shared_bytes(tile_rows, weight.dtype), &args)
}

/// `out[row] = Σ_k weights[row, k] · parts[row · top + k]`; `parts` f32 `[rows · top, cols]`.
///
/// # Errors
/// As [`super::route`].
pub fn combine(
    device: &Device,
    parts: Slice<'_>,
    weights: Slice<'_>,
    out: Rows<'_>,
    top: usize,
) -> Result<(), DeviceError> {
    const OP: &str = "combine";
    ensure(OP, out.dtype == Dtype::F32, || "the output is f32".to_owned())?;
    ensure_len(OP, "parts", parts, out.rows * top * out.cols, 4)?;
    ensure_len(OP, "weights", weights, out.rows * top, 4)?;
    let args = [
        Arg::Slice(parts),
        Arg::Slice(weights),
        Arg::U32(top as u32),
        Arg::Slice(out.data),
        Arg::U32(out.stride as u32),
        Arg::U32(out.cols as u32),
    ];
    device.launch("combine", [out.rows as u32, 1, 1], [threads_for(out.cols), 1, 1], 0, &args)
}
