// The experts' products on tensor cores. See product_mma.cuh for the idea, grouping.cuh for who computes what.
//
// Up to 32 slots of one expert meet 128 rows of its weights: at 256 canvas rows an expert serves 16 tokens, so each weight
// is read once, and half a tile is skipped where it is empty. When a prompt is read, tiles are of 64 slots. Twin: the plain kernels. Not yet run on a GPU.
#include "gate_up.cuh"

constexpr uint32_t GROUP_COLS = 128;

template <class T>
DEVICE void down(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, const void* w,
                 uint32_t experts, float* out, uint32_t cols, uint32_t depth) {
    static_assert(!Copies<T>::FOLLOW, "an expert's slots are gathered");
    GroupTile tile = group_tile(table, blockIdx.y);
    if (tile.count == 0) return;
    uint32_t col0 = blockIdx.x * GROUP_COLS;
    uint64_t base = uint64_t(tile.expert) * cols;
    ProductOperands o{a, a_stride, stored(w, T::W, uint64_t(experts) * cols, depth), 0, depth};
    Sums<T> sums;
    product<T>(
        o, sums, tile.count, [=](uint32_t r) { return r < tile.count ? int64_t(slots[tile.first + r]) : -1; },
        [=](uint32_t c) { return col0 + c < cols ? int64_t(base + col0 + c) : -1; });
    each_pair<T>(sums, [&](uint32_t r, uint32_t c, float x, float y) {
        if (r >= tile.count) return;
        float* to = out + uint64_t(slots[tile.first + r]) * cols + col0 + c;
        if (col0 + c < cols) to[0] = x;
        if (col0 + c + 1 < cols) to[1] = y;
    });
}

#define GATE_UP(name, ROWS, W)                                                                                         \
    KERNEL __launch_bounds__(PRODUCT_THREADS, 2)                                                                       \
        name(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, uint32_t top,             \
             const void* w, uint32_t experts, bf16* out, uint32_t out_stride, uint32_t width, uint32_t depth) {        \
        GateUp g{a, a_stride, slots, top, w, experts, out, out_stride, width, depth};                                  \
        gate_up<Tiling<ROWS, GROUP_COLS, W>>(g, group_tile(table, blockIdx.y));                                        \
    }
#define DOWN(name, ROWS, W)                                                                                            \
    KERNEL __launch_bounds__(PRODUCT_THREADS, 2)                                                                       \
        name(const bf16* a, uint32_t a_stride, const uint32_t* table, const uint32_t* slots, const void* w,            \
             uint32_t experts, float* out, uint32_t cols, uint32_t depth) {                                            \
        down<Tiling<ROWS, GROUP_COLS, W>>(a, a_stride, table, slots, w, experts, out, cols, depth);                    \
    }

GATE_UP(experts_gate_up_32_bf16, 32, BF16)
EXPORT(experts_gate_up_32_bf16)
GATE_UP(experts_gate_up_32_q8, 32, Q8)
EXPORT(experts_gate_up_32_q8)
GATE_UP(experts_gate_up_32_q4, 32, Q4)
EXPORT(experts_gate_up_32_q4)
GATE_UP(experts_gate_up_64_bf16, 64, BF16)
EXPORT(experts_gate_up_64_bf16)
GATE_UP(experts_gate_up_64_q8, 64, Q8)
EXPORT(experts_gate_up_64_q8)
GATE_UP(experts_gate_up_64_q4, 64, Q4)
EXPORT(experts_gate_up_64_q4)
DOWN(experts_down_32_bf16, 32, BF16)
EXPORT(experts_down_32_bf16)
DOWN(experts_down_32_q8, 32, Q8)
EXPORT(experts_down_32_q8)
DOWN(experts_down_32_q4, 32, Q4)
EXPORT(experts_down_32_q4)
DOWN(experts_down_64_bf16, 64, BF16)
EXPORT(experts_down_64_bf16)
DOWN(experts_down_64_q8, 64, Q8)
EXPORT(experts_down_64_q8)
DOWN(experts_down_64_q4, 64, Q4)
EXPORT(experts_down_64_q4)
