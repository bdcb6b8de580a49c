//! Which products tensor cores take, and how much shared memory their tiles need: `Tiling` of `cuda/product_mma.cuh`.

use super::super::{Device, DeviceError};
use super::{Dtype, Product, Rows, Weight, WeightDtype};

/// Columns of a tile.
pub(super) const TILE_COLS: usize = 128;
/// Depth of a stage.
const STAGE_DEPTH: usize = 64;

/// Whether tensor cores take `a · wᵀ`: bf16 activations, rows that begin at 16 bytes, and whole chunks in depth.
pub(super) fn takes(a: Rows<'_>, weight: Weight<'_>) -> bool {
    let depth = match weight.dtype {
        WeightDtype::F32 => return false,
        WeightDtype::Bf16 => 8,
        WeightDtype::Q8 | WeightDtype::Q4 => STAGE_DEPTH,
    };
    a.dtype == Dtype::Bf16 && a.aligned() && weight.cols.is_multiple_of(depth)
}

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    /// Ordinary cores.
    Plain,
    /// Tensor cores, warp by warp.
    Warps,
    /// Tensor cores by Hopper's warpgroups.
    Warpgroups,
}

impl Core {
    /// Rows of a tile that suit a product of `rows` rows.
    pub(super) fn tile_rows(self, rows: usize) -> usize {
        match self {
            Self::Plain => 64,
            Self::Warps => tile_rows(rows),
            Self::Warpgroups => 128,
        }
    }
}

/// What multiplies `a · wᵀ`, as asked for or as suits it best.
pub(super) fn core(
    device: &Device,
    product: Product,
    a: Rows<'_>,
    weight: Weight<'_>,
) -> Result<Core, DeviceError> {
    let info = device.info();
    let tensor = takes(a, weight);
    // The emulated card follows warpgroups too.
    let hopper = info.emulated || info.compute_capability == (9, 0);
    let warpgroups = tensor && weight.dtype == WeightDtype::Bf16 && hopper;
    let refused = |what| DeviceError::Shape {
        op: "product",
        problem: format!(
            "{what} of {} do not take {:?} rows and {:?} weights of {}",
            info.name, a.dtype, weight.dtype, weight.cols
        ),
    };
    match product {
        Product::Auto if warpgroups && a.rows > 32 && warpgroups_wanted() => Ok(Core::Warpgroups),
        Product::Auto if tensor => Ok(Core::Warps),
        Product::Auto | Product::Plain => Ok(Core::Plain),
        Product::Tensor if tensor => Ok(Core::Warps),
        Product::Tensor => Err(refused("tensor cores")),
        Product::Warpgroups if warpgroups => Ok(Core::Warpgroups),
        Product::Warpgroups => Err(refused("warpgroups")),
    }
}

/// Whether the environment asks for warpgroups, read once.
fn warpgroups_wanted() -> bool {
    static WANTED: std::sync::LazyLock<bool> =
        std::sync::LazyLock::new(|| std::env::var_os("LACUNA_WGMMA").is_some_and(|v| v == "1"));
    *WANTED
}

/// Shared memory of a tile of `rows` by 128, bytes.
pub(super) fn shared_bytes(rows: usize, dtype: WeightDtype) -> usize {
    let (row, scales) = match dtype {
        WeightDtype::Q8 => (64, 4),
        WeightDtype::Q4 => (32, 4),
        WeightDtype::Bf16 | WeightDtype::F32 => (128, 0),
    };
    let stage = rows * 128 + TILE_COLS * (row + scales);
    let stages = match stage {
        _ if 3 * stage > 72 * 1024 => 3,
        _ if stage < 9 * 1024 => 6,
        _ => 4,
    };
    stage * stages
}

/// Rows of a tile that suit a product of `rows` rows.
pub(super) fn tile_rows(rows: usize) -> usize {
    if rows <= 32 { 32 } else { 128 }
}

/// Into how many parts of what depth a dense product is cut, so that there is work for every multiprocessor.
pub(super) fn splits(device: &Device, rows: usize, weight: Weight<'_>) -> (usize, usize) {
    let tiles = rows.div_ceil(tile_rows(rows)) * weight.rows.div_ceil(TILE_COLS);
    let wanted = (device.info().multiprocessors / tiles.max(1)).clamp(1, 8).min(weight.cols.div_ceil(256));
    let depth = weight.cols.div_ceil(wanted.max(1)).next_multiple_of(STAGE_DEPTH);
    (weight.cols.div_ceil(depth), depth)
}

/// Picks the kernel by tile rows and weight type.
pub(super) fn name(
    rows: usize,
    dtype: WeightDtype,
    small: [&'static str; 3],
    large: [&'static str; 3],
) -> &'static str {
    let kind = match dtype {
        WeightDtype::Bf16 | WeightDtype::F32 => 0,
        WeightDtype::Q8 => 1,
        WeightDtype::Q4 => 2,
    };
    if rows == 32 { small[kind] } else { large[kind] }
}
