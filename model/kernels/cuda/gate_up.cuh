// The first half of a gated feed-forward in one pass: gelu(a · gateᵀ) · (a · upᵀ), dense or of one expert's slots.
//
// Idea: gate and up rows alternate by eight in a tile of weights, so that the thread with a gate's sum has its up's, and the
// activation happens before anything is stored.
#pragma once
#include "grouping.cuh"
#include "product_mma.cuh"

struct GateUp {
    const bf16* a;
    uint32_t a_stride;
    const uint32_t* slots; // null: rows are slots, and there is one expert
    uint32_t top;
    const void* w; // [experts · 2 · width, depth], an expert's gate rows before its up rows
    uint32_t experts;
    bf16* out;
    uint32_t out_stride, width, depth;
};

template <class T> DEVICE void gate_up(const GateUp& g, GroupTile tile) {
    static_assert(!Copies<T>::FOLLOW, "gate and up rows alternate");
    if (tile.count == 0) return;
    uint32_t unit0 = blockIdx.x * (T::BN / 2);
    uint64_t base = uint64_t(tile.expert) * 2 * g.width;
    ProductOperands o{g.a, g.a_stride, stored(g.w, T::W, uint64_t(g.experts) * 2 * g.width, g.depth), 0, g.depth};
    Sums<T> sums;
    product<T>(
        o, sums, tile.count,
        [&](uint32_t r) {
            if (r >= tile.count) return int64_t(-1);
            return int64_t(g.slots ? g.slots[tile.first + r] / g.top : tile.first + r);
        },
        [&](uint32_t c) {
            uint32_t unit = unit0 + c / 16 * 8 + c % 8;
            return unit < g.width ? int64_t(base + (c / 8 % 2) * g.width + unit) : -1;
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
                if (r >= tile.count || unit >= g.width) continue;
                float x = gelu_tanh(sums.at[m][n][i]) * sums.at[m][n + 1][i];
                uint32_t slot = g.slots ? g.slots[tile.first + r] : tile.first + r;
                g.out[uint64_t(slot) * g.out_stride + unit] = to_bf16(x);
            }
}
