// Attention on ordinary cores, for any head size: the yardstick of the tensor-core kernel, and the path of f32.
//
// Idea: a block takes one query head of one token; 128 keys at a time, a thread a score, with the running maximum and sum
// of the online softmax. Twin: attention of this crate. Not yet run on a GPU.
#include "common.cuh"
#include "span.cuh"

constexpr uint32_t KEYS = 128, PER_THREAD = 8; // head sizes up to 1024

// Shared memory: the query [dim], 128 weights, 16 floats of scratch.
KERNEL attention_plain(const void* q, uint32_t q_stride, const void* k, uint32_t k_stride, const void* v,
                       uint32_t v_stride, const void* prefix_k, uint32_t prefix_k_stride, const void* prefix_v,
                       uint32_t prefix_v_stride, uint32_t dtype, uint32_t prefix_given, const uint32_t* prefix_now,
                       uint32_t tokens, uint32_t group, uint32_t dim, float scale, uint32_t canvas, uint32_t window,
                       void* out, uint32_t out_stride) {
    uint32_t prefix = given_or_now(prefix_given, prefix_now);
    float* query = reinterpret_cast<float*>(shared_memory());
    float* weights = query + dim;
    float* scratch = weights + KEYS;
    uint32_t head = blockIdx.x, row = blockIdx.y, sequence = row / tokens, token = row % tokens;
    uint64_t at = uint64_t(head / group) * dim;
    for (uint32_t d = threadIdx.x; d < dim; d += KEYS)
        query[d] = load(q, dtype, uint64_t(row) * q_stride + uint64_t(head) * dim + d);
    Range seen = visible(canvas, window, prefix, tokens, token);
    float top = -INFINITY, sum = 0.0f, mixed[PER_THREAD] = {};
    for (uint32_t first = seen.begin; first < seen.end; first += KEYS) {
        __syncthreads();
        uint32_t position = first + threadIdx.x;
        float score = -INFINITY;
        if (position < seen.end) {
            bool cached = position < prefix;
            const void* keys = cached ? prefix_k : k;
            uint64_t from = cached ? uint64_t(position) * prefix_k_stride
                                   : uint64_t(sequence * tokens + position - prefix) * k_stride;
            float dot = 0.0f;
            for (uint32_t d = 0; d < dim; d++) dot = fused(query[d], load(keys, dtype, from + at + d), dot);
            score = dot * scale;
        }
        float higher = fmaxf(top, block_max(score, scratch)), shrink = expf(top - higher);
        float weight = expf(score - higher);
        weights[threadIdx.x] = weight;
        sum = sum * shrink + block_sum(weight, scratch);
        top = higher;
        uint32_t count = seen.end - first < KEYS ? seen.end - first : KEYS;
        for (uint32_t i = 0, d = threadIdx.x; d < dim; i++, d += KEYS) {
            float value = mixed[i] * shrink;
            for (uint32_t j = 0; j < count; j++) {
                uint32_t p = first + j;
                bool cached = p < prefix;
                uint64_t from = cached ? uint64_t(p) * prefix_v_stride
                                       : uint64_t(sequence * tokens + p - prefix) * v_stride;
                value = fused(weights[j], load(cached ? prefix_v : v, dtype, from + at + d), value);
            }
            mixed[i] = value;
        }
    }
    for (uint32_t i = 0, d = threadIdx.x; d < dim; i++, d += KEYS)
        store(out, dtype, uint64_t(row) * out_stride + uint64_t(head) * dim + d, mixed[i] / sum);
}
EXPORT(attention_plain)
