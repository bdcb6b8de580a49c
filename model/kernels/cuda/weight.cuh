// Stored weights, [rows, cols] row-major: f32, bf16, and two kinds of blocks of 32 along a row with an f16 scale.
//
// Quantised tensors are two planes: all blocks' quants, then all scales [rows, cols / 32]. Inside a block the order is
// that of a tensor core's fragments. Element e = 8i + 2t + j (i, t < 4, j < 2) of a q8 block is its byte
// 8t + 4(i / 2) + i % 2 + 2j; of a q4 block it is nibble i + 4j of its little-endian word t, stored as value + 8.
#pragma once
#include "common.cuh"

struct Stored {
    const void* values;
    const uint16_t* scales; // f16; none for f32 and bf16
    uint32_t dtype;
    uint64_t cols;
};

// `first` is where the tensor begins, `rows` all its rows: the second plane follows from both.
DEVICE Stored stored(const void* first, uint32_t dtype, uint64_t rows, uint64_t cols) {
    uint64_t plane = dtype == Q8 ? rows * cols : rows * cols / 2;
    const void* scales = static_cast<const unsigned char*>(first) + plane;
    return {first, dtype >= Q8 ? static_cast<const uint16_t*>(scales) : nullptr, dtype, cols};
}

DEVICE float element(const Stored& w, uint64_t row, uint64_t col) {
    uint64_t at = row * w.cols + col;
    if (w.dtype < Q8) return load(w.values, w.dtype, at);
    uint32_t e = uint32_t(col % 32), i = e / 8, t = e / 2 % 4, j = e % 2;
    uint64_t block = at / 32;
    float scale = half_to_float(w.scales[block]);
    if (w.dtype == Q8) {
        int8_t q = static_cast<const int8_t*>(w.values)[block * 32 + 8 * t + 4 * (i / 2) + i % 2 + 2 * j];
        return scale * float(q);
    }
    uint32_t word = static_cast<const uint32_t*>(w.values)[block * 4 + t];
    return scale * float(int(word >> 4 * (i + 4 * j) & 15) - 8);
}
