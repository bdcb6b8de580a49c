// The soft embedding of self-conditioning: the mean of the embedding under a row's probabilities.
//
// Over survivors: a block takes a row and 256 columns, four a thread, and adds the survivors' rows of the table in token order. Over all
// tokens (the exact path), for rows whose survivors were too many: the vocabulary is split over blocks, and the parts' sums are
// added in a fixed order, so that a row has the same bits every time. Bound by memory and the second-level cache. Twin:
// soft_embedding_sparse and softmax_rows of this crate. Not yet run on a GPU.
#include "common.cuh"
#include "weight.cuh"

// Columns col.. col + 3 of a row of the table, col a multiple of 4: one load where the type and the width allow.
DEVICE float4 four(const Stored& w, uint64_t row, uint32_t col) {
    uint64_t at = row * w.cols + col;
    if (w.dtype == BF16 && w.cols % 4 == 0) {
        uint2 pairs = *reinterpret_cast<const uint2*>(static_cast<const bf16*>(w.values) + at);
        return make_float4(__uint_as_float(pairs.x << 16), __uint_as_float(pairs.x & 0xffff0000u),
                           __uint_as_float(pairs.y << 16), __uint_as_float(pairs.y & 0xffff0000u));
    }
    if (w.dtype == F32 && w.cols % 4 == 0)
        return *reinterpret_cast<const float4*>(static_cast<const float*>(w.values) + at);
    if (w.dtype == Q8) { // whole blocks, so four columns from a multiple of four on share a scale; weight.cuh has their order
        uint32_t e = col % 32, i = e / 8;
        const int8_t* q = static_cast<const int8_t*>(w.values) + at / 32 * 32 + 8 * (e / 2 % 4) + 4 * (i / 2) + i % 2;
        float scale = half_to_float(w.scales[at / 32]);
        return make_float4(scale * float(q[0]), scale * float(q[2]), scale * float(q[8]), scale * float(q[10]));
    }
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

// Replaces each row of logits by softmax(row / temperature), where what is masked (as in the head) is nothing. `mask_rows` says
// which of the head's rows each one is.
KERNEL softmax_rows(float* x, uint32_t stride, uint32_t cols, float temperature, const uint32_t* banned,
                    const uint32_t* mask_of, const uint32_t* masks, const uint32_t* mask_rows) {
    float* scratch = reinterpret_cast<float*>(shared_memory());
    float* row = x + uint64_t(blockIdx.x) * stride;
    if (banned || masks) {
        uint32_t of = mask_rows ? mask_rows[blockIdx.x] : blockIdx.x, words = (cols + 31) / 32;
        uint32_t mask = masks ? mask_of[of] : 0xffffffffu;
        const uint32_t* allowed = mask == 0xffffffffu ? nullptr : masks + uint64_t(mask) * words;
        // A thread reads back only what it wrote.
        for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
            bool out = banned && (banned[c / 32] >> c % 32 & 1);
            if (out || (allowed && !(allowed[c / 32] >> c % 32 & 1))) row[c] = -INFINITY;
        }
    }
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

// parts[part, row, col] = Σ_v probabilities[row, v] · table[v, col] over the part's `part_tokens` tokens, in their order. A block
// takes eight rows, which share its reading of the table, and 256 columns, four a thread. Shared memory: [tokens][rows] floats.
constexpr uint32_t SOFT_ROWS = 8, SOFT_TOKENS = 64;
KERNEL soft_embedding_parts(const float* probabilities, uint32_t stride, uint32_t rows, const void* table,
                            uint32_t table_dtype, uint32_t vocabulary, uint32_t cols, uint32_t part_tokens, float* parts) {
    float* shared = reinterpret_cast<float*>(shared_memory());
    uint32_t row0 = blockIdx.x * SOFT_ROWS, col = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
    uint32_t first = blockIdx.z * part_tokens, end = first + part_tokens < vocabulary ? first + part_tokens : vocabulary;
    Stored w = stored(table, table_dtype, vocabulary, cols);
    float sums[SOFT_ROWS][4] = {};
    for (uint32_t v0 = first; v0 < end; v0 += SOFT_TOKENS) {
        __syncthreads(); // nobody reads the last tokens any more
        for (uint32_t i = threadIdx.x; i < SOFT_TOKENS * SOFT_ROWS; i += blockDim.x) {
            uint32_t r = i / SOFT_TOKENS, v = i % SOFT_TOKENS;
            bool valid = row0 + r < rows && v0 + v < end;
            shared[v * SOFT_ROWS + r] = valid ? probabilities[uint64_t(row0 + r) * stride + v0 + v] : 0.0f;
        }
        __syncthreads();
        if (col >= cols) continue;
        uint32_t count = end - v0 < SOFT_TOKENS ? end - v0 : SOFT_TOKENS;
#pragma unroll 4
        for (uint32_t v = 0; v < count; v++) {
            float4 x = four(w, v0 + v, col);
            const float4* at = reinterpret_cast<const float4*>(shared + v * SOFT_ROWS);
            float4 low = at[0], high = at[1];
            float p[SOFT_ROWS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
            for (uint32_t r = 0; r < SOFT_ROWS; r++) {
                sums[r][0] = fused(p[r], x.x, sums[r][0]), sums[r][1] = fused(p[r], x.y, sums[r][1]);
                sums[r][2] = fused(p[r], x.z, sums[r][2]), sums[r][3] = fused(p[r], x.w, sums[r][3]);
            }
        }
    }
#pragma unroll
    for (uint32_t r = 0; r < SOFT_ROWS; r++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            if (row0 + r < rows && col + i < cols)
                parts[(uint64_t(blockIdx.z) * rows + row0 + r) * cols + col + i] = sums[r][i];
}
EXPORT(soft_embedding_parts)

// out[to[row]] = scale · Σ parts, in the order of the parts.
KERNEL soft_embedding_sum(const float* parts, uint32_t count, uint32_t rows, uint32_t cols, float scale,
                          const uint32_t* to, void* out, uint32_t out_dtype, uint32_t out_stride) {
    uint32_t row = blockIdx.x, col = blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= cols) return;
    float sum = 0.0f;
#pragma unroll 8
    for (uint32_t p = 0; p < count; p++) sum += parts[(uint64_t(p) * rows + row) * cols + col];
    store(out, out_dtype, uint64_t(to ? to[row] : row) * out_stride + col, sum * scale);
}
EXPORT(soft_embedding_sum)
