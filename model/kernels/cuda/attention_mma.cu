// Attention on tensor cores: bf16 in and out, online softmax in f32.
//
// Idea: all query rows of one key head (a token's grouped heads, token after token) share its keys, so a block takes ROWS
// of them and walks over tiles of KEYS positions, prefix and own tokens alike. Eight warps stand in ROWS / 16 groups by
// rows; inside a group they share the scores through shared memory and split the head size of the output, so that a size
// of 512 fits in registers. The positions can be split over blocks: each leaves its sum, maximum and weight, and
// `attention_combine` joins them in a fixed order. Twin: attention_plain, and attention of this crate.
// Not yet run on a GPU.
#include "intrinsics.cuh"
#include "span.cuh"

struct AttentionJob {
    const bf16 *q, *k, *v, *prefix_k, *prefix_v;
    uint32_t q_stride, k_stride, v_stride, prefix_k_stride, prefix_v_stride;
    uint32_t prefix, tokens, kv_heads, group;
    float scale; // times log2(e)
    uint32_t canvas, window;
    bf16* out;
    uint32_t out_stride;
    float* parts; // [splits, rows · heads, dim + 2]: unweighted sum, maximum, weight; or null
    uint32_t splits;
};

template <uint32_t DIM_, uint32_t ROWS_, uint32_t KEYS_> struct Flash {
    static constexpr uint32_t DIM = DIM_, ROWS = ROWS_, KEYS = KEYS_;
    static constexpr uint32_t ROW_GROUPS = ROWS / 16, COL_GROUPS = 8 / ROW_GROUPS;
    static constexpr uint32_t NI = DIM / COL_GROUPS / 8; // tiles of the output that a warp holds
    static constexpr uint32_t ROW_BYTES = DIM * 2, TILE_BYTES = KEYS * ROW_BYTES, WIDTH = KEYS + 8;
    static constexpr uint32_t Q_BYTES = ROWS * ROW_BYTES, STAGE = 2 * TILE_BYTES;
};

template <class F> DEVICE uint32_t place(uint32_t row, uint32_t chunk) {
    return row * F::ROW_BYTES + (chunk ^ (row & 7)) * 16;
}

// Row r of a block's sequence and key head: where its query and its output are.
DEVICE uint64_t row_offset(const AttentionJob& j, uint32_t r, uint32_t stride, uint32_t dim) {
    uint32_t sequence = blockIdx.y / j.kv_heads, head = blockIdx.y % j.kv_heads * j.group + r % j.group;
    return (uint64_t(sequence) * j.tokens + r / j.group) * stride + uint64_t(head) * dim;
}

template <class F> DEVICE void load_keys(const AttentionJob& j, unsigned char* stage, uint32_t first, uint32_t end) {
    constexpr uint32_t CHUNKS = F::DIM / 8;
    uint32_t sequence = blockIdx.y / j.kv_heads;
    uint64_t head = uint64_t(blockIdx.y % j.kv_heads) * F::DIM;
    for (uint32_t i = threadIdx.x; i < F::KEYS * CHUNKS; i += 256) {
        uint32_t key = i / CHUNKS, chunk = i % CHUNKS, p = first + key;
        bool valid = p < end, cached = p < j.prefix;
        uint64_t own = uint64_t(sequence) * j.tokens + p - j.prefix;
        const bf16* k = cached ? j.prefix_k + uint64_t(p) * j.prefix_k_stride : j.k + own * j.k_stride;
        const bf16* v = cached ? j.prefix_v + uint64_t(p) * j.prefix_v_stride : j.v + own * j.v_stride;
        copy16_async(stage + place<F>(key, chunk), valid ? k + head + chunk * 8 : j.q, valid);
        copy16_async(stage + F::TILE_BYTES + place<F>(key, chunk), valid ? v + head + chunk * 8 : j.q, valid);
    }
}

// scores[row][key] of the warp's rows and its share of the keys, unscaled.
template <class F> DEVICE void score(const unsigned char* q, const unsigned char* keys, float* scores) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = warp % F::ROW_GROUPS * 16;
    for (uint32_t n = warp / F::ROW_GROUPS; n < F::KEYS / 8; n += F::COL_GROUPS) {
        float sum[4] = {};
#pragma unroll 4
        for (uint32_t k = 0; k < F::DIM / 32; k++) {
            uint32_t a[4], b[4];
            ldmatrix4(b, keys + place<F>(8 * n + lane % 8, 4 * k + lane / 8));
            ldmatrix4(a, q + place<F>(row + lane % 16, 4 * k + lane / 16));
            mma_bf16(sum, a, b[0], b[1]);
            ldmatrix4(a, q + place<F>(row + lane % 16, 4 * k + 2 + lane / 16));
            mma_bf16(sum, a, b[2], b[3]);
        }
        float* to = scores + (row + lane / 4) * F::WIDTH + 8 * n + lane % 4 * 2;
        to[0] = sum[0], to[1] = sum[1];
        to[8 * F::WIDTH] = sum[2], to[8 * F::WIDTH + 1] = sum[3];
    }
}

// A warp's running softmax: of rows lane / 4 and eight further on.
template <class F> struct Running {
    float top[2], weight[2];
    float mixed[F::NI][4];
    Range seen[2];
};

DEVICE float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}

// Takes a tile's scores and values in.
template <class F>
DEVICE void absorb(Running<F>& r, const float* scores, const unsigned char* values, uint32_t first, float scale) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = warp % F::ROW_GROUPS * 16 + lane / 4;
    uint32_t chunk0 = warp / F::ROW_GROUPS * F::NI;
    constexpr uint32_t STEPS = F::KEYS / 16;
    float x[STEPS][4][2]; // as the fragments of a: rows g, g + 8, then the same eight keys on
    float higher[2] = {r.top[0], r.top[1]};
#pragma unroll
    for (uint32_t s = 0; s < STEPS; s++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t key = 16 * s + lane % 4 * 2 + i / 2 * 8;
            float2 pair = *reinterpret_cast<const float2*>(scores + (row + i % 2 * 8) * F::WIDTH + key);
            Range seen = r.seen[i % 2];
            uint32_t p = first + key;
            x[s][i][0] = p >= seen.begin && p < seen.end ? pair.x * scale : -INFINITY;
            x[s][i][1] = p + 1 >= seen.begin && p + 1 < seen.end ? pair.y * scale : -INFINITY;
            higher[i % 2] = fmaxf(higher[i % 2], fmaxf(x[s][i][0], x[s][i][1]));
        }
    float shrink[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        higher[i] = quad_max(higher[i]);
        float base = higher[i] == -INFINITY ? 0.0f : higher[i];
        shrink[i] = exp2f(r.top[i] - base);
        r.top[i] = higher[i];
        higher[i] = base;
        r.weight[i] *= shrink[i];
    }
#pragma unroll
    for (uint32_t n = 0; n < F::NI; n++) {
        r.mixed[n][0] *= shrink[0], r.mixed[n][1] *= shrink[0];
        r.mixed[n][2] *= shrink[1], r.mixed[n][3] *= shrink[1];
    }
#pragma unroll
    for (uint32_t s = 0; s < STEPS; s++) {
        uint32_t a[4];
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            float e0 = exp2f(x[s][i][0] - higher[i % 2]), e1 = exp2f(x[s][i][1] - higher[i % 2]);
            r.weight[i % 2] += e0 + e1; // this lane's keys; lanes are summed at the end
            a[i] = pack_bf16(e0, e1);
        }
#pragma unroll
        for (uint32_t n = 0; n < F::NI; n += 2) {
            uint32_t b[4];
            uint32_t key = 16 * s + lane / 8 % 2 * 8 + lane % 8;
            ldmatrix4_transposed(b, values + place<F>(key, chunk0 + n + lane / 16));
            mma_bf16(r.mixed[n], a, b[0], b[1]);
            mma_bf16(r.mixed[n + 1], a, b[2], b[3]);
        }
    }
}

// Leaves the rows' outputs, or this split's parts of them.
template <class F> DEVICE void finish(const AttentionJob& j, const Running<F>& r, uint32_t row0, uint32_t rows) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t col0 = warp / F::ROW_GROUPS * F::NI * 8 + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float weight = r.weight[i];
        weight += __shfl_xor_sync(ALL_LANES, weight, 1);
        weight += __shfl_xor_sync(ALL_LANES, weight, 2);
        uint32_t row = row0 + warp % F::ROW_GROUPS * 16 + lane / 4 + 8 * i;
        if (row >= rows) continue;
        if (j.parts) {
            uint64_t all = uint64_t(gridDim.y) * rows;
            float* to = j.parts + ((blockIdx.z * all) + uint64_t(blockIdx.y) * rows + row) * (F::DIM + 2);
#pragma unroll
            for (uint32_t n = 0; n < F::NI; n++)
                to[col0 + 8 * n] = r.mixed[n][2 * i], to[col0 + 8 * n + 1] = r.mixed[n][2 * i + 1];
            if (col0 == 0) to[F::DIM] = r.top[i], to[F::DIM + 1] = weight;
        } else {
            uint32_t* to = reinterpret_cast<uint32_t*>(j.out + row_offset(j, row, j.out_stride, F::DIM));
            float factor = 1.0f / weight;
#pragma unroll
            for (uint32_t n = 0; n < F::NI; n++)
                to[(col0 + 8 * n) / 2] = pack_bf16(r.mixed[n][2 * i] * factor, r.mixed[n][2 * i + 1] * factor);
        }
    }
}

template <class F> DEVICE void flash(const AttentionJob& j) {
    unsigned char* q = shared_memory();
    unsigned char* stages = q + F::Q_BYTES;
    float* scores = reinterpret_cast<float*>(stages + 2 * F::STAGE);
    uint32_t rows = j.tokens * j.group, row0 = blockIdx.x * F::ROWS;
    uint32_t last = (row0 + F::ROWS < rows ? row0 + F::ROWS : rows) - 1;
    for (uint32_t i = threadIdx.x; i < F::ROWS * (F::DIM / 8); i += 256) {
        uint32_t r = i / (F::DIM / 8), chunk = i % (F::DIM / 8);
        bool valid = row0 + r < rows;
        const bf16* from = valid ? j.q + row_offset(j, row0 + r, j.q_stride, F::DIM) + chunk * 8 : j.q;
        copy16_async(q + place<F>(r, chunk), from, valid);
    }
    // What the block's rows see between them, in tiles; this split's share of the tiles.
    uint32_t begin = visible(j.canvas, j.window, j.prefix, j.tokens, row0 / j.group).begin;
    uint32_t end = visible(j.canvas, j.window, j.prefix, j.tokens, last / j.group).end;
    uint32_t tiles = (end - begin + F::KEYS - 1) / F::KEYS;
    uint32_t tile = tiles * blockIdx.z / j.splits, tile_end = tiles * (blockIdx.z + 1) / j.splits;
    Running<F> r;
    uint32_t own = row0 + threadIdx.x / 32 % F::ROW_GROUPS * 16 + threadIdx.x % 32 / 4;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        r.top[i] = -INFINITY, r.weight[i] = 0.0f;
        r.seen[i] = visible(j.canvas, j.window, j.prefix, j.tokens, (own + 8 * i < rows ? own + 8 * i : last) / j.group);
    }
#pragma unroll
    for (uint32_t n = 0; n < F::NI; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) r.mixed[n][i] = 0.0f;
    if (tile < tile_end) load_keys<F>(j, stages + tile % 2 * F::STAGE, begin + tile * F::KEYS, end);
    copies_commit();
    for (; tile < tile_end; tile++) {
        copies_wait<0>();
        __syncthreads(); // this tile is here for all, and nobody reads the one before it any more
        if (tile + 1 < tile_end)
            load_keys<F>(j, stages + (tile + 1) % 2 * F::STAGE, begin + (tile + 1) * F::KEYS, end);
        copies_commit();
        const unsigned char* stage = stages + tile % 2 * F::STAGE;
        score<F>(q, stage, scores);
        __syncthreads();
        absorb<F>(r, scores, stage + F::TILE_BYTES, begin + tile * F::KEYS, j.scale);
    }
    copies_wait<0>();
    finish<F>(j, r, row0, rows);
}

#define ATTENTION(name, DIM, ROWS, KEYS)                                                                               \
    KERNEL __launch_bounds__(256, 1)                                                                                   \
        name(const bf16* q, uint32_t q_stride, const bf16* k, uint32_t k_stride, const bf16* v, uint32_t v_stride,     \
             const bf16* prefix_k, uint32_t prefix_k_stride, const bf16* prefix_v, uint32_t prefix_v_stride,           \
             uint32_t prefix, uint32_t tokens, uint32_t kv_heads, uint32_t group, float scale, uint32_t canvas,        \
             uint32_t window, bf16* out, uint32_t out_stride, float* parts, uint32_t splits) {                         \
        flash<Flash<DIM, ROWS, KEYS>>({q, k, v, prefix_k, prefix_v, q_stride, k_stride, v_stride, prefix_k_stride,     \
                                       prefix_v_stride, prefix, tokens, kv_heads, group, scale * 1.4426950408889634f,  \
                                       canvas, window, out, out_stride, parts, splits});                               \
    }

ATTENTION(attention_64, 64, 64, 64)
EXPORT(attention_64)
ATTENTION(attention_128, 128, 64, 32)
EXPORT(attention_128)
// The second of each pair is for cards that give a block less than 100 KB of shared memory.
ATTENTION(attention_256, 256, 64, 32)
EXPORT(attention_256)
ATTENTION(attention_256_small, 256, 32, 32)
EXPORT(attention_256_small)
ATTENTION(attention_512, 512, 64, 16)
EXPORT(attention_512)
ATTENTION(attention_512_small, 512, 32, 16)
EXPORT(attention_512_small)

// Joins the splits of one query head of one token: a block each.
KERNEL attention_combine(const float* parts, uint32_t splits, uint32_t dim, uint32_t rows, uint32_t tokens,
                         uint32_t kv_heads, uint32_t group, bf16* out, uint32_t out_stride) {
    uint32_t row = blockIdx.x, pair = blockIdx.y;
    uint64_t all = uint64_t(gridDim.y) * rows, at = uint64_t(pair) * rows + row;
    float top = -INFINITY, weight = 0.0f;
    for (uint32_t s = 0; s < splits; s++) top = fmaxf(top, parts[(s * all + at) * (dim + 2) + dim]);
    for (uint32_t s = 0; s < splits; s++) {
        const float* part = parts + (s * all + at) * (dim + 2);
        weight += exp2f(part[dim] - top) * part[dim + 1];
    }
    uint32_t token = pair / kv_heads * tokens + row / group, head = pair % kv_heads * group + row % group;
    for (uint32_t d = threadIdx.x; d < dim; d += blockDim.x) {
        float sum = 0.0f;
        for (uint32_t s = 0; s < splits; s++) {
            const float* part = parts + (s * all + at) * (dim + 2);
            sum = fused(exp2f(part[dim] - top), part[d], sum);
        }
        out[uint64_t(token) * out_stride + uint64_t(head) * dim + d] = to_bf16(sum / weight);
    }
}
EXPORT(attention_combine)
