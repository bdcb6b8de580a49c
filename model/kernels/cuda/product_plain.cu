// Matrix products on ordinary cores, for any shape and any type: the yardstick of the tensor-core kernels, and the path of
// f32 weights. Dense, or grouped by expert; with an optional soft cap, or GELU(gate)·up, at the end.
//
// Idea: a block makes 64 × 64 outputs from shared tiles of depth 16, a thread 4 × 4 of them. f32 throughout.
// Twin: matmul of this crate. Not yet run on a GPU.
#include "grouping.cuh"
#include "product_plain.cuh"

// out[m, n] = cap(a[m] · w[n])
KERNEL product_plain(const void* a, uint32_t a_dtype, uint32_t a_stride, const void* w, uint32_t w_dtype, void* out,
                     uint32_t out_dtype, uint32_t out_stride, uint32_t rows, uint32_t cols, uint32_t depth,
                     float softcap) {
    PlainTiles& tiles = *reinterpret_cast<PlainTiles*>(shared_memory());
    uint32_t row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;
    float sums[4][4] = {};
    Operands o{a, a_dtype, a_stride, stored(w, w_dtype, cols, depth), depth};
    multiply(
        o, tiles, [=](uint32_t r) { return row0 + r < rows ? int64_t(row0 + r) : -1; },
        [=](uint32_t c) { return col0 + c < cols ? int64_t(col0 + c) : -1; }, sums);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t row = row0 + 4 * (threadIdx.x / 16) + i, col = col0 + threadIdx.x % 16 + 16 * j;
            float x = softcap > 0.0f ? softcap * tanhf(sums[i][j] / softcap) : sums[i][j];
            if (row < rows && col < cols) store(out, out_dtype, uint64_t(row) * out_stride + col, x);
        }
}
EXPORT(product_plain)

// Grouped by expert, gate and up together: out[slot] = gelu(a[slot / top] · gateᵀ) · (a[slot / top] · upᵀ). `w` is
// [experts · 2 · width, depth], an expert's gate rows before its up rows.
KERNEL experts_gate_up_plain(const void* a, uint32_t a_dtype, uint32_t a_stride, const uint32_t* tile_table,
                             const uint32_t* slots, uint32_t top, const void* w, uint32_t w_dtype, uint32_t experts,
                             void* out, uint32_t out_dtype, uint32_t out_stride, uint32_t width, uint32_t depth) {
    GroupTile tile = group_tile(tile_table, blockIdx.y);
    if (tile.count == 0) return;
    PlainTiles& tiles = *reinterpret_cast<PlainTiles*>(shared_memory());
    uint32_t col0 = blockIdx.x * (TILE / 2);
    float sums[4][4] = {};
    Operands o{a, a_dtype, a_stride, stored(w, w_dtype, uint64_t(experts) * 2 * width, depth), depth};
    uint64_t base = uint64_t(tile.expert) * 2 * width;
    // The first half of the tile's columns are gates, the second the same units' ups.
    multiply(
        o, tiles, [=](uint32_t r) { return r < tile.count ? int64_t(slots[tile.first + r] / top) : -1; },
        [=](uint32_t c) {
            uint32_t unit = col0 + c % (TILE / 2);
            return unit < width ? int64_t(base + (c < TILE / 2 ? 0 : width) + unit) : -1;
        },
        sums);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 2; j++) {
            uint32_t r = 4 * (threadIdx.x / 16) + i, unit = col0 + threadIdx.x % 16 + 16 * j;
            if (r >= tile.count || unit >= width) continue;
            float x = gelu_tanh(sums[i][j]) * sums[i][j + 2];
            store(out, out_dtype, uint64_t(slots[tile.first + r]) * out_stride + unit, x);
        }
}
EXPORT(experts_gate_up_plain)

// Grouped by expert: out[slot] = a[slot] · wᵀ; `w` is [experts · cols, depth].
KERNEL experts_down_plain(const void* a, uint32_t a_dtype, uint32_t a_stride, const uint32_t* tile_table,
                          const uint32_t* slots, const void* w, uint32_t w_dtype, uint32_t experts, float* out,
                          uint32_t cols, uint32_t depth) {
    GroupTile tile = group_tile(tile_table, blockIdx.y);
    if (tile.count == 0) return;
    PlainTiles& tiles = *reinterpret_cast<PlainTiles*>(shared_memory());
    uint32_t col0 = blockIdx.x * TILE;
    float sums[4][4] = {};
    Operands o{a, a_dtype, a_stride, stored(w, w_dtype, uint64_t(experts) * cols, depth), depth};
    uint64_t base = uint64_t(tile.expert) * cols;
    multiply(
        o, tiles, [=](uint32_t r) { return r < tile.count ? int64_t(slots[tile.first + r]) : -1; },
        [=](uint32_t c) { return col0 + c < cols ? int64_t(base + col0 + c) : -1; }, sums);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t r = 4 * (threadIdx.x / 16) + i, col = col0 + threadIdx.x % 16 + 16 * j;
            if (r < tile.count && col < cols) out[uint64_t(slots[tile.first + r]) * cols + col] = sums[i][j];
        }
}
EXPORT(experts_down_plain)
