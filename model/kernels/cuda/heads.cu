// From a joint projection to attention's operands. A warp takes one head of one token: norm, rotation, conversion, and the
// store into the cache. Twins: rms_norm and rope of this crate. Not yet run on a GPU.
#include "common.cuh"

KERNEL heads(const void* joint, uint32_t joint_dtype, uint32_t joint_stride, uint32_t q_heads, uint32_t kv_heads,
             uint32_t dim, uint32_t has_values, const float* q_norm, const float* k_norm, float eps, const float* cosines,
             const float* sines, uint32_t pairs, uint32_t first_given, const uint32_t* first_now, uint32_t tokens, void* q,
             uint32_t q_stride, void* k, uint32_t k_stride, void* v, uint32_t v_stride, uint32_t out_dtype) {
    uint32_t head = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32, row = blockIdx.y;
    if (head >= q_heads + 2 * kv_heads) return; // whole warps leave
    bool is_q = head < q_heads, is_v = head >= q_heads + kv_heads;
    if (is_q && !q) return;
    // Without a value projection the values are the raw keys.
    uint32_t source = is_v && !has_values ? head - kv_heads : head;
    uint64_t from = uint64_t(row) * joint_stride + uint64_t(source) * dim;
    float sum = 0.0f;
    for (uint32_t i = lane; i < dim; i += 32) {
        float x = load(joint, joint_dtype, from + i);
        sum = fused(x, x, sum);
    }
    float factor = 1.0f / sqrtf(warp_sum(sum) / float(dim) + eps);
    const float* weight = is_q ? q_norm : is_v ? nullptr : k_norm;
    void* out = is_q ? q : is_v ? v : k;
    uint32_t own = is_q ? head : is_v ? head - q_heads - kv_heads : head - q_heads;
    uint64_t to = uint64_t(row) * (is_q ? q_stride : is_v ? v_stride : k_stride) + uint64_t(own) * dim;
    uint64_t at = uint64_t(given_or_now(first_given, first_now) + row % tokens) * pairs;
    for (uint32_t i = lane; i < dim / 2; i += 32) {
        float a = load(joint, joint_dtype, from + i) * factor, b = load(joint, joint_dtype, from + i + dim / 2) * factor;
        if (weight) a *= weight[i], b *= weight[i + dim / 2];
        if (!is_v && i < pairs) {
            float c = cosines[at + i], s = sines[at + i], turned = a * c - b * s;
            b = fused(b, c, a * s);
            a = turned;
        }
        store(out, out_dtype, to + i, a);
        store(out, out_dtype, to + i + dim / 2, b);
    }
}
EXPORT(heads)
