// The dense feed-forward's first half on tensor cores, 64 rows by 64 units a block. See gate_up.cuh.
// Twin: product_plain and gated. Not yet run on a GPU.
#include "gate_up.cuh"

#define GATED(name, W)                                                                                                 \
    KERNEL __launch_bounds__(PRODUCT_THREADS)                                                                          \
        name(const bf16* a, uint32_t a_stride, const void* w, bf16* out, uint32_t out_stride, uint32_t rows,           \
             uint32_t width, uint32_t depth) {                                                                         \
        uint32_t first = blockIdx.y * 64, left = rows - first;                                                         \
        GateUp g{a, a_stride, nullptr, 1, w, 1, out, out_stride, width, depth};                                        \
        gate_up<Tiling<64, 128, W>>(g, {0, first, left < 64 ? left : 64});                                             \
    }

GATED(gated_bf16, BF16)
EXPORT(gated_bf16)
GATED(gated_q8, Q8)
EXPORT(gated_q8)
GATED(gated_q4, Q4)
EXPORT(gated_q4)
