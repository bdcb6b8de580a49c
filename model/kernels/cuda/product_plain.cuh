// The core of the products on ordinary cores: a tile of 64 × 64 outputs, from any types of operands.
#pragma once
#include "common.cuh"
#include "weight.cuh"

constexpr uint32_t TILE = 64, DEPTH = 16;

struct PlainTiles {
    float a[DEPTH][TILE + 1];
    float w[DEPTH][TILE + 1];
};

// A product's operands: out[r] = a[row_of(r)] · wᵀ, with w the part of the stack that belongs to the tile's expert.
struct Operands {
    const void* a;
    uint32_t a_dtype, a_stride;
    Stored w;
    uint32_t depth;
};

// Thread (ty, tx) of 16 × 16 sums rows 4·ty + i and columns tx + 16·j.
template <class RowOf, class WeightRowOf>
DEVICE void multiply(const Operands& o, PlainTiles& tiles, RowOf row_of, WeightRowOf weight_row_of, float (&sums)[4][4]) {
    uint32_t tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    for (uint32_t first = 0; first < o.depth; first += DEPTH) {
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < TILE * DEPTH; i += 256) {
            uint32_t r = i / DEPTH, k = i % DEPTH;
            int64_t row = row_of(r), weight_row = weight_row_of(r);
            bool inside = first + k < o.depth;
            tiles.a[k][r] = inside && row >= 0 ? load(o.a, o.a_dtype, uint64_t(row) * o.a_stride + first + k) : 0.0f;
            tiles.w[k][r] = inside && weight_row >= 0 ? element(o.w, uint64_t(weight_row), first + k) : 0.0f;
        }
        __syncthreads();
        for (uint32_t k = 0; k < DEPTH; k++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) sums[i][j] = fused(tiles.a[k][4 * ty + i], tiles.w[k][tx + 16 * j], sums[i][j]);
    }
}
