// A dense product's tile: where it begins, and how it is stored.
#pragma once
#include "product_mma.cuh"

struct Dense {
    const bf16* a;
    uint32_t a_stride;
    const void* w;
    void* out;
    uint32_t out_dtype, out_stride, rows, cols, depth, split_depth;
    float softcap;
    float* parts; // [splits, rows, cols], or null
};

// `multiply(operands, sums, count, rows, cols)` makes the tile.
template <class T, class Multiply> DEVICE void dense(const Dense& d, Multiply multiply) {
    uint32_t row0 = blockIdx.x * T::BM, col0 = blockIdx.y * T::BN, k0 = blockIdx.z * d.split_depth;
    uint32_t k1 = k0 + d.split_depth < d.depth ? k0 + d.split_depth : d.depth;
    ProductOperands o{d.a, d.a_stride, stored(d.w, T::W, d.cols, d.depth), k0, k1};
    Sums<T> sums;
    multiply(
        o, sums, d.rows - row0, [=](uint32_t r) { return row0 + r < d.rows ? int64_t(row0 + r) : -1; },
        [=](uint32_t c) { return col0 + c < d.cols ? int64_t(col0 + c) : -1; });
    each_pair<T>(sums, [&](uint32_t r, uint32_t c, float x, float y) {
        uint32_t row = row0 + r, col = col0 + c;
        if (row >= d.rows) return;
        float values[2] = {x, y};
        for (uint32_t i = 0; i < 2 && col + i < d.cols; i++) {
            if (d.parts) {
                d.parts[(uint64_t(blockIdx.z) * d.rows + row) * d.cols + col + i] = values[i];
            } else {
                float value = d.softcap > 0.0f ? d.softcap * tanhf(values[i] / d.softcap) : values[i];
                store(d.out, d.out_dtype, uint64_t(row) * d.out_stride + col + i, value);
            }
        }
    });
}
