// The soft embedding of self-conditioning: the mean of the embedding under a row's probabilities.
//
// Over survivors: a block takes a row and 256 columns, four a thread, and adds the survivors' rows of the table in token order. Over all
// tokens (the exact path): the same over a row of logits, for rows whose survivors were too many. Bound by memory and the
// second-level cache. Twin: soft_embedding_sparse and softmax_rows of this crate. Not yet run on a GPU.
#include "common.cuh"
#include "weight.cuh"

// Columns col.. col + 3 of a row of the table: one load where the type and the width allow.
DEVICE float4 four(const Stored& w, uint64_t row, uint32_t col) {
    uint64_t at = row * w.cols + col;
    if (w.dtype == BF16 && w.cols % 4 == 0) {
        uint2 pairs = *reinterpret_cast<const uint2*>(static_cast<const bf16*>(w.values) + at);
        return make_float4(__uint_as_float(pairs.x << 16), __uint_as_float(pairs.x & 0xffff0000u),
                           __uint_as_float(pairs.y << 16), __uint_as_float(pairs.y & 0xffff0000u));
    }
    if (w.dtype == F32 && w.cols % 4 == 0)
        return *reinterpret_cast<const float4*>(static_cast<const float*>(w.values) + at);
    float x[4] = {};
    for (uint32_t i = 0; i < 4 && col + i < w.cols; i++) x[i] = element(w, row, col + i);
    return make_float4(x[0], x[1], x[2], x[3]);
}

// out[to[row]] = scale · Σ weights · table[ids] / mass; rows whose survivors overflowed are left as they are.
KERNEL soft_embedding_sparse(const uint32_t* survivors, const uint32_t* ids, const float* weights, const float* mass,
                             uint32_t capacity, const void* table, uint32_t table_dtype, uint32_t vocabulary,
                             uint32_t cols, float scale, const uint32_t* to, void* out, uint32_t out_dtype,
                             uint32_t out_stride) {
    uint32_t row = blockIdx.x, count = survivors[row], col = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
    if (count > capacity || col >= cols) return;
    Stored w = stored(table, table_dtype, vocabulary, cols);
    ids += uint64_t(row) * capacity, weights += uint64_t(row) * capacity;
    float total = mass[row], sum[4] = {};
#pragma unroll 4
    for (uint32_t i = 0; i < count; i++) {
        float share = weights[i] / total;
        float4 x = four(w, ids[i], col);
        sum[0] = fused(share, x.x, sum[0]), sum[1] = fused(share, x.y, sum[1]);
        sum[2] = fused(share, x.z, sum[2]), sum[3] = fused(share, x.w, sum[3]);
    }
    uint64_t at = uint64_t(to ? to[row] : row) * out_stride + col;
    for (uint32_t i = 0; i < 4 && col + i < cols; i++) store(out, out_dtype, at + i, sum[i] * scale);
}
EXPORT(soft_embedding_sparse)

// Replaces each row of logits by softmax(row / temperature).
KERNEL softmax_rows(float* x, uint32_t stride, uint32_t cols, float temperature) {
    float* scratch = reinterpret_cast<float*>(shared_memory());
    float* row = x + uint64_t(blockIdx.x) * stride;
    float top = -INFINITY, sum = 0.0f;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) top = fmaxf(top, row[c]);
    top = block_max(top, scratch);
    if (top == -INFINITY) top = 0.0f;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float e = expf((row[c] - top) / temperature);
        row[c] = e;
        sum += e;
    }
    sum = block_sum(sum, scratch);
    float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) row[c] *= factor;
}
EXPORT(softmax_rows)

// out[to[row]] = scale · Σ_v probabilities[row, v] · table[v]. Eight rows share a block's reading of the table.
constexpr uint32_t SOFT_ROWS = 8;
KERNEL soft_embedding_dense(const float* probabilities, uint32_t stride, uint32_t rows, const void* table,
                            uint32_t table_dtype, uint32_t vocabulary, uint32_t cols, float scale, const uint32_t* to,
                            void* out, uint32_t out_dtype, uint32_t out_stride) {
    uint32_t row0 = blockIdx.x * SOFT_ROWS, col = blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= cols) return;
    Stored w = stored(table, table_dtype, vocabulary, cols);
    float sums[SOFT_ROWS] = {};
    for (uint32_t v = 0; v < vocabulary; v++) {
        float x = element(w, v, col);
        for (uint32_t r = 0; r < SOFT_ROWS; r++)
            if (row0 + r < rows) sums[r] = fused(probabilities[uint64_t(row0 + r) * stride + v], x, sums[r]);
    }
    for (uint32_t r = 0; r < SOFT_ROWS; r++)
        if (row0 + r < rows)
            store(out, out_dtype, uint64_t(to ? to[row0 + r] : row0 + r) * out_stride + col, sums[r] * scale);
}
EXPORT(soft_embedding_dense)
