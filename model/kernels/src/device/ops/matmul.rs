//! Products with stored weights: on tensor cores where types and shapes allow, else on ordinary cores.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Dtype, Rows, Weight, ensure, gated, mma, optional, threads_for, u32_of};

/// Which kernel makes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// The fastest that takes these operands.
    Auto,
    /// Ordinary cores, f32 throughout: any shape, any type.
    Plain,
    /// Tensor cores: bf16 activations with aligned rows; weights in bf16 with a depth of whole eights, or quantised with
    /// one of whole 64s.
    Tensor,
    /// Tensor cores by warpgroups: bf16 throughout, compute capability 9.0 alone. Not yet run on a GPU, so that
    /// [`Product::Auto`] takes it only where the environment says `LACUNA_WGMMA=1`.
    Warpgroups,
}

/// Scratch memory that [`matmul`] makes good use of for `rows` rows and this weight, in bytes; 0 for none.
#[must_use]
pub fn matmul_scratch_bytes(device: &Device, rows: usize, weight: Weight<'_>) -> usize {
    let (splits, _) = mma::splits(device, rows, weight);
    if splits > 1 { splits * rows * weight.rows * 4 } else { 0 }
}

/// `out = a · weightᵀ`: `a` `[rows, weight.cols]`, `out` `[rows, weight.rows]`, each f32 or bf16; sums in f32.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn matmul(
    device: &Device,
    a: Rows<'_>,
    weight: Weight<'_>,
    out: Rows<'_>,
    scratch: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    matmul_in(device, Product::Auto, (a, weight, out), scratch)
}

/// [`matmul`] by a kernel of choice.
///
/// # Errors
/// As [`matmul`].
pub fn matmul_in(
    device: &Device,
    product: Product,
    (a, weight, out): (Rows<'_>, Weight<'_>, Rows<'_>),
    scratch: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    check(a, weight, out)?;
    match mma::core(device, product, a, weight)? {
        mma::Core::Plain => plain(device, (a, weight, out), 0.0),
        core => on_tensor_cores(device, (a, weight, out), (0.0, core), scratch),
    }
}

fn on_tensor_cores(
    device: &Device,
    (a, weight, out): (Rows<'_>, Weight<'_>, Rows<'_>),
    (softcap, core): (f32, mma::Core),
    scratch: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    let (splits, depth) = mma::splits(device, a.rows, weight);
    let parts = scratch.filter(|s| splits > 1 && s.len() >= splits * a.rows * weight.rows * 4);
    let (splits, depth) = if parts.is_some() { (splits, depth) } else { (1, weight.cols) };
    let tile_rows = core.tile_rows(a.rows);
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.stride as u32),
        Arg::Slice(weight.data),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(a.rows as u32),
        Arg::U32(weight.rows as u32),
        Arg::U32(weight.cols as u32),
        Arg::U32(depth as u32),
        Arg::F32(softcap),
        optional(parts),
    ];
    let kernel = mma::name(
        tile_rows,
        weight.dtype,
        ["product_32_bf16", "product_32_q8", "product_32_q4"],
        ["product_128_bf16", "product_128_q8", "product_128_q4"],
    );
    let kernel = if core == mma::Core::Warpgroups { "product_wgmma" } else { kernel };
    let columns = u32_of("matmul", "the number of tiles", weight.rows.div_ceil(mma::TILE_COLS))?;
    let grid = [a.rows.div_ceil(tile_rows) as u32, columns, splits as u32];
    device.launch(kernel, grid, [256, 1, 1], mma::shared_bytes(tile_rows, weight.dtype), &args)?;
    let Some(parts) = parts else { return Ok(()) };
    let args = [
        Arg::Slice(parts),
        Arg::U32(splits as u32),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(a.rows as u32),
        Arg::U32(weight.rows as u32),
        Arg::F32(softcap),
    ];
    device.launch("product_sum", [a.rows as u32, 1, 1], [threads_for(weight.rows), 1, 1], 0, &args)
}

/// `out = cap · tanh(states · tableᵀ / cap)`, `[rows, vocabulary]` f32: logits before any temperature.
///
/// # Errors
/// As [`matmul`].
pub fn logits(
    device: &Device,
    states: Rows<'_>,
    table: Weight<'_>,
    softcap: f32,
    out: Rows<'_>,
) -> Result<(), DeviceError> {
    check(states, table, out)?;
    match mma::core(device, Product::Auto, states, table)? {
        mma::Core::Plain => plain(device, (states, table, out), softcap),
        core => on_tensor_cores(device, (states, table, out), (softcap, core), None),
    }
}

/// `out = gelu_tanh(a · gateᵀ) · (a · upᵀ)`: `gate_up` is `[2 · width, depth]`, gate rows first; `out` `[rows, width]`. In
/// one pass where tensor cores take it and `out` is bf16; else over `joint`, f32 `[rows, 2 · width]`.
///
/// # Errors
/// As [`matmul`].
pub fn matmul_gated(
    device: &Device,
    (a, gate_up, out): (Rows<'_>, Weight<'_>, Rows<'_>),
    joint: Rows<'_>,
    scratch: Option<Slice<'_>>,
) -> Result<(), DeviceError> {
    let width = out.cols;
    ensure("matmul_gated", (gate_up.rows, gate_up.cols, out.rows) == (2 * width, a.cols, a.rows), || {
        let (r, c) = (gate_up.rows, gate_up.cols);
        format!("[{}, {}] and [{r}, {c}] do not make [{}, {width}]", a.rows, a.cols, out.rows)
    })?;
    if !mma::takes(a, gate_up) || out.dtype != Dtype::Bf16 {
        matmul(device, a, gate_up, joint, scratch)?;
        return gated(device, joint, out);
    }
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.stride as u32),
        Arg::Slice(gate_up.data),
        Arg::Slice(out.data),
        Arg::U32(out.stride as u32),
        Arg::U32(a.rows as u32),
        Arg::U32(width as u32),
        Arg::U32(a.cols as u32),
    ];
    let names = ["gated_bf16", "gated_q8", "gated_q4"];
    let grid = [width.div_ceil(mma::TILE_COLS / 2) as u32, a.rows.div_ceil(64) as u32, 1];
    let kernel = mma::name(64, gate_up.dtype, names, names);
    device.launch(kernel, grid, [256, 1, 1], mma::shared_bytes(64, gate_up.dtype), &args)
}

fn check(a: Rows<'_>, weight: Weight<'_>, out: Rows<'_>) -> Result<(), DeviceError> {
    ensure("matmul", a.cols == weight.cols && out.cols == weight.rows && a.rows == out.rows, || {
        format!(
            "[{}, {}] · [{}, {}]ᵀ does not make [{}, {}]",
            a.rows, a.cols, weight.rows, weight.cols, out.rows, out.cols
        )
    })
}

fn plain(
    device: &Device,
    (a, weight, out): (Rows<'_>, Weight<'_>, Rows<'_>),
    softcap: f32,
) -> Result<(), DeviceError> {
    let args = [
        Arg::Slice(a.data),
        Arg::U32(a.dtype.code()),
        Arg::U32(a.stride as u32),
        Arg::Slice(weight.data),
        Arg::U32(weight.dtype.code()),
        Arg::Slice(out.data),
        Arg::U32(out.dtype.code()),
        Arg::U32(out.stride as u32),
        Arg::U32(a.rows as u32),
        Arg::U32(weight.rows as u32),
        Arg::U32(weight.cols as u32),
        Arg::F32(softcap),
    ];
    let grid = [weight.rows.div_ceil(64) as u32, a.rows.div_ceil(64) as u32, 1];
    device.launch("product_plain", grid, [256, 1, 1], PLAIN_SHARED, &args)
}

/// Two tiles of 16 × 65 floats.
pub(super) const PLAIN_SHARED: usize = 2 * 16 * 65 * 4;
