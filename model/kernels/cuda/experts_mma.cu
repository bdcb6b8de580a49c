// The experts' products on tensor cores. See product_mma.cuh for the idea, grouping.cuh for who computes what.
//
// Up to 32 slots of one expert meet 128 rows of its weights: at 256 canvas rows an expert serves 16 tokens, so each weight
// is read once. Gate and up rows alternate by eight in a tile, so that the thread with a gate has its up, and the activation
// happens before anything is stored. Twin: the plain kernels. Not yet run on a GPU.
#include "product_mma.cuh"
#include "grouping.cuh"

constexpr uint32_t GROUP_ROWS = 32, GROUP_COLS = 128;

template <uint32_t W>
DEVICE void gate_up(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, uint32_t top,
                    const void* w, uint32_t experts, bf16* out, uint32_t out_stride, uint32_t width, uint32_t depth) {
    using T = Tiling<GROUP_ROWS, GROUP_COLS, W>;
    GroupTile tile = group_tile(table, blockIdx.y);
    if (tile.count == 0) return;
    uint32_t unit0 = blockIdx.x * (GROUP_COLS / 2);
    uint64_t base = uint64_t(tile.expert) * 2 * width;
    ProductOperands o{a, a_stride, stored(w, W, uint64_t(experts) * 2 * width, depth), 0, depth};
    Sums<T> sums;
    product<T>(
        o, sums, [=](uint32_t r) { return r < tile.count ? int64_t(slots[tile.first + r] / top) : -1; },
        [=](uint32_t c) {
            uint32_t unit = unit0 + c / 16 * 8 + c % 8;
            return unit < width ? int64_t(base + (c / 8 % 2) * width + unit) : -1;
        });
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t row = warp % T::WARPS_M * T::MI * 16 + lane / 4, col = warp / T::WARPS_M * T::NI * 8 + lane % 4 * 2;
#pragma unroll
    for (uint32_t m = 0; m < T::MI; m++)
#pragma unroll
        for (uint32_t n = 0; n < T::NI; n += 2)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t r = row + 16 * m + i / 2 * 8, unit = unit0 + (col + 8 * n) / 16 * 8 + lane % 4 * 2 + i % 2;
                if (r >= tile.count || unit >= width) continue;
                float x = gelu_tanh(sums.at[m][n][i]) * sums.at[m][n + 1][i];
                out[uint64_t(slots[tile.first + r]) * out_stride + unit] = to_bf16(x);
            }
}

template <uint32_t W>
DEVICE void down(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, const void* w,
                 uint32_t experts, float* out, uint32_t cols, uint32_t depth) {
    using T = Tiling<GROUP_ROWS, GROUP_COLS, W>;
    GroupTile tile = group_tile(table, blockIdx.y);
    if (tile.count == 0) return;
    uint32_t col0 = blockIdx.x * GROUP_COLS;
    uint64_t base = uint64_t(tile.expert) * cols;
    ProductOperands o{a, a_stride, stored(w, W, uint64_t(experts) * cols, depth), 0, depth};
    Sums<T> sums;
    product<T>(
        o, sums, [=](uint32_t r) { return r < tile.count ? int64_t(slots[tile.first + r]) : -1; },
        [=](uint32_t c) { return col0 + c < cols ? int64_t(base + col0 + c) : -1; });
    each_pair<T>(sums, [&](uint32_t r, uint32_t c, float x, float y) {
        if (r >= tile.count) return;
        float* to = out + uint64_t(slots[tile.first + r]) * cols + col0 + c;
        if (col0 + c < cols) to[0] = x;
        if (col0 + c + 1 < cols) to[1] = y;
    });
}

#define GATE_UP(name, W)                                                                                               \
    KERNEL __launch_bounds__(PRODUCT_THREADS, 2)                                                                       \
        name(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, uint32_t top,             \
             const void* w, uint32_t experts, bf16* out, uint32_t out_stride, uint32_t width, uint32_t depth) {        \
        gate_up<W>(a, a_stride, table, slots, top, w, experts, out, out_stride, width, depth);                         \
    }
#define DOWN(name, W)                                                                                                  \
    KERNEL __launch_bounds__(PRODUCT_THREADS, 2)                                                                       \
        name(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, const void* w,            \
             uint32_t experts, float* out, uint32_t cols, uint32_t depth) {                                            \
        down<W>(a, a_stride, table, slots, w, experts, out, cols, depth);                                              \
    }

GATE_UP(experts_gate_up_bf16, BF16)
EXPORT(experts_gate_up_bf16)
GATE_UP(experts_gate_up_q8, Q8)
EXPORT(experts_gate_up_q8)
GATE_UP(experts_gate_up_q4, Q4)
EXPORT(experts_gate_up_q4)
DOWN(experts_down_bf16, BF16)
EXPORT(experts_down_bf16)
DOWN(experts_down_q8, Q8)
EXPORT(experts_down_q8)
DOWN(experts_down_q4, Q4)
EXPORT(experts_down_q4)
