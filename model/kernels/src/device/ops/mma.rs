//! Which products tensor cores take, and how much shared memory their tiles need: `Tiling` of `cuda/product_mma.cuh`.

use super::super::Device;
use super::{Dtype, Rows, Weight, WeightDtype};

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

/// Whether Hopper's warpgroups take it: bf16 by bf16, on a card that has them (the emulated one follows them too).
pub(super) fn takes_by_warpgroups(device: &Device, a: Rows<'_>, weight: Weight<'_>) -> bool {
    let info = device.info();
    takes(a, weight)
        && weight.dtype == WeightDtype::Bf16
        && (info.emulated || info.compute_capability == (9, 0))
}

/// Whether the environment asks for warpgroups, read once.
pub(super) fn warpgroups_wanted() -> bool {
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
