//! Products with stored weights: on tensor cores where types and shapes allow, else on ordinary cores.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Rows, Weight, ensure};

/// Which kernel makes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// The fastest that takes these operands.
    Auto,
    /// Ordinary cores, f32 throughout: any shape, any type.
    Plain,
}

/// Scratch memory that [`matmul`] makes good use of for `rows` rows and this weight, in bytes; 0 for none.
#[must_use]
pub fn matmul_scratch_bytes(_device: &Device, _rows: usize, _weight: Weight<'_>) -> usize {
    0
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
    let _ = (product, scratch);
    plain(device, (a, weight, out), 0.0)
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
    plain(device, (states, table, out), softcap)
}

fn plain(
    device: &Device,
    (a, weight, out): (Rows<'_>, Weight<'_>, Rows<'_>),
    softcap: f32,
) -> Result<(), DeviceError> {
    ensure("matmul", a.cols == weight.cols && out.cols == weight.rows && a.rows == out.rows, || {
        format!(
            "[{}, {}] · [{}, {}]ᵀ does not make [{}, {}]",
            a.rows, a.cols, weight.rows, weight.cols, out.rows, out.cols
        )
    })?;
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
