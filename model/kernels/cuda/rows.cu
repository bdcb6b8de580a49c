// Row by row: embedding, norms, residual sums, the gated activation, copies with conversion. A block takes a row.
//
// Idea: bound by memory, so each value is read once and what a layer does between two products happens in one pass.
// Twins: rms_norm, add, gelu_tanh_mul_joint of this crate. Not yet run on a GPU.
#include "common.cuh"
#include "weight.cuh"

KERNEL embed(const uint32_t* ids, const uint32_t* to, const void* table, uint32_t table_dtype, uint32_t vocabulary,
             uint32_t cols, float scale, void* out, uint32_t out_dtype, uint32_t out_stride, uint32_t out_rows) {
    uint32_t id = ids[blockIdx.x], row = to ? to[blockIdx.x] : blockIdx.x;
    if (row >= out_rows) return;
    Stored w = stored(table, table_dtype, vocabulary, cols);
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float x = id < vocabulary ? element(w, id, c) * scale : __uint_as_float(0x7fffffffu);
        store(out, out_dtype, uint64_t(row) * out_stride + c, x);
    }
}
EXPORT(embed)

KERNEL copy_rows(const void* x, uint32_t x_dtype, uint32_t x_stride, uint32_t x_rows, const uint32_t* from, void* out,
                 uint32_t out_dtype, uint32_t out_stride, uint32_t cols) {
    uint32_t row = from ? from[blockIdx.x] : blockIdx.x;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float value = row < x_rows ? load(x, x_dtype, uint64_t(row) * x_stride + c) : __uint_as_float(0x7fffffffu);
        store(out, out_dtype, uint64_t(blockIdx.x) * out_stride + c, value);
    }
}
EXPORT(copy_rows)

// 1 / sqrt(mean(row²) + eps), the same bits in every thread.
DEVICE float inverse_rms(const float* row, uint32_t cols, float eps, float* scratch) {
    float sum = 0.0f;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) sum = fused(row[c], row[c], sum);
    return 1.0f / sqrtf(block_sum(sum, scratch) / float(cols) + eps);
}

KERNEL rms_norm(const float* x, uint32_t x_stride, const float* weight, float eps, void* out, uint32_t out_dtype,
                uint32_t out_stride, uint32_t cols) {
    float* scratch = reinterpret_cast<float*>(shared_memory());
    const float* row = x + uint64_t(blockIdx.x) * x_stride;
    float factor = inverse_rms(row, cols, eps, scratch);
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float y = row[c] * factor;
        store(out, out_dtype, uint64_t(blockIdx.x) * out_stride + c, weight ? y * weight[c] : y);
    }
}
EXPORT(rms_norm)

// x = (x + norm(y) · post) · scale, then up to two norms of x. With y2, y is norm(y) · w + norm(y2) · w2.
KERNEL residual(float* x, uint32_t x_stride, const float* y, uint32_t y_stride, const float* w, const float* y2,
                uint32_t y2_stride, const float* w2, const float* post, float eps, float scale, const float* norm_a,
                void* out_a, uint32_t out_a_dtype, uint32_t out_a_stride, const float* norm_b, void* out_b,
                uint32_t out_b_dtype, uint32_t out_b_stride, uint32_t cols) {
    float* scratch = reinterpret_cast<float*>(shared_memory());
    float* sum = scratch + 16; // [cols]; a thread reads back only what it wrote
    uint64_t row = blockIdx.x;
    x += row * x_stride, y += row * y_stride;
    const float* branch = y;
    if (y2) {
        y2 += row * y2_stride;
        float first = inverse_rms(y, cols, eps, scratch), second = inverse_rms(y2, cols, eps, scratch);
        for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x)
            sum[c] = y[c] * first * w[c] + y2[c] * second * w2[c];
        branch = sum;
    }
    float factor = inverse_rms(branch, cols, eps, scratch);
    float squares = 0.0f;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float value = (x[c] + branch[c] * factor * post[c]) * scale;
        x[c] = sum[c] = value;
        squares = fused(value, value, squares);
    }
    if (!out_a && !out_b) return;
    factor = 1.0f / sqrtf(block_sum(squares, scratch) / float(cols) + eps);
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float value = sum[c] * factor;
        if (out_a) store(out_a, out_a_dtype, row * out_a_stride + c, norm_a ? value * norm_a[c] : value);
        if (out_b) store(out_b, out_b_dtype, row * out_b_stride + c, norm_b ? value * norm_b[c] : value);
    }
}
EXPORT(residual)

KERNEL add_scaled(float* x, uint32_t x_stride, const float* y, uint32_t y_stride, float factor, uint32_t cols) {
    x += uint64_t(blockIdx.x) * x_stride, y += uint64_t(blockIdx.x) * y_stride;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) x[c] = fused(factor, y[c], x[c]);
}
EXPORT(add_scaled)

KERNEL gated(const void* gate_up, uint32_t in_dtype, uint32_t in_stride, void* out, uint32_t out_dtype,
             uint32_t out_stride, uint32_t width) {
    uint64_t in = uint64_t(blockIdx.x) * in_stride, to = uint64_t(blockIdx.x) * out_stride;
    for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) {
        float gate = load(gate_up, in_dtype, in + c), up = load(gate_up, in_dtype, in + width + c);
        store(out, out_dtype, to + c, gelu_tanh(gate) * up);
    }
}
EXPORT(gated)
