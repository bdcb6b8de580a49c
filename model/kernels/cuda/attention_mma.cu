// Attention on tensor cores: bf16 in and out, online softmax in f32.
//
// Idea: all query rows of one key head (a token's grouped heads, token after token) share its keys, so a block takes 64
// of them and walks over tiles of KEYS positions, those of the prefix and then the sequence's own. Its eight warps are
// four groups of 16 rows with two warps each. Of a tile's scores each of the two sums over one half of the head size,
// with its half of the queries in registers, for all keys side by side: a chain of products for every eight keys, and
// none waits for another. They exchange the halves through shared memory as the products leave them, which is as the
// next products take them. Of the output each holds one half of the columns. Between two barriers a block takes in one
// tile's values and makes the next one's scores, while what comes then is being copied. The positions can be split over
// blocks: each leaves its sum, maximum and weight, and `attention_combine` joins them in a fixed order.
// Twin: attention_plain, and attention of this crate. Not yet run on a GPU.
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

template <uint32_t DIM_, uint32_t KEYS_> struct Flash {
    static constexpr uint32_t DIM = DIM_, KEYS = KEYS_, ROWS = 64, HALF = DIM / 2;
    static constexpr uint32_t NI = HALF / 8, NK = KEYS / 8; // products that a warp holds: of the output, of scores
    static constexpr uint32_t ROW_BYTES = DIM * 2, TILE_BYTES = KEYS * ROW_BYTES;
    static constexpr uint32_t HALVES = 8 * NK * 32; // float4s that the warps exchange for a tile
    static constexpr uint32_t SHARED_BYTES = 2 * (2 * TILE_BYTES + HALVES * 16);
};

// What a block may ask for. A kernel that takes more is empty there, and the host picks its smaller sibling.
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200)
constexpr uint32_t SHARED_BYTES_MAX = 101376;
#else
constexpr uint32_t SHARED_BYTES_MAX = 232448;
#endif

// Where a block stands: its key head, its rows, and its positions in tiles. A tile is of the prefix or of the
// sequence's own, never of both, so that one pointer serves it; each kind's last one may be partly empty.
struct Walk {
    uint32_t sequence, kv_head, row0, rows;
    uint32_t begin, own, end; // positions that any of the rows sees; the first that is not of the prefix
    uint32_t cached, tiles;   // tiles of the prefix, and all
};
struct Tile { uint32_t first, end; }; // positions

template <class F> DEVICE Walk walk(const AttentionJob& j) {
    uint32_t row0 = blockIdx.x * F::ROWS, rows = j.tokens * j.group;
    uint32_t last = (row0 + F::ROWS < rows ? row0 + F::ROWS : rows) - 1;
    uint32_t begin = visible(j.canvas, j.window, j.prefix, j.tokens, row0 / j.group).begin;
    uint32_t end = visible(j.canvas, j.window, j.prefix, j.tokens, last / j.group).end; // a token sees itself at least
    uint32_t own = begin > j.prefix ? begin : j.prefix;
    uint32_t cached = (own - begin + F::KEYS - 1) / F::KEYS;
    uint32_t tiles = cached + (end - own + F::KEYS - 1) / F::KEYS;
    return {blockIdx.y / j.kv_heads, blockIdx.y % j.kv_heads, row0, rows, begin, own, end, cached, tiles};
}

template <class F> DEVICE Tile tile(const Walk& w, uint32_t t) {
    if (t < w.cached) return {w.begin + t * F::KEYS, w.own};
    return {w.own + (t - w.cached) * F::KEYS, w.end};
}

// Row r of a block's sequence and key head: where its query and its output are.
DEVICE uint64_t row_offset(const AttentionJob& j, const Walk& w, uint32_t r, uint32_t stride, uint32_t dim) {
    uint32_t head = w.kv_head * j.group + r % j.group;
    return (uint64_t(w.sequence) * j.tokens + r / j.group) * stride + uint64_t(head) * dim;
}

// Begins to copy tile t from an array of the prefix or of the sequences' own. Chunks of a row are swizzled, so that
// eight rows of one column lie in different banks.
struct Source { const bf16* rows; uint32_t stride; };
template <class F>
DEVICE void copy_tile(const AttentionJob& j, const Walk& w, unsigned char* to, uint32_t t, Source cached, Source own) {
    constexpr uint32_t CHUNKS = F::DIM / 8, STEP = 256 / CHUNKS;
    static_assert(F::KEYS % STEP == 0, "all threads copy alike");
    Source source = t < w.cached ? cached : own;
    Tile here = tile<F>(w, t);
    uint64_t row = t < w.cached ? here.first : uint64_t(w.sequence) * j.tokens + here.first - j.prefix;
    const bf16* first = source.rows + row * source.stride + uint64_t(w.kv_head) * F::DIM;
    uint32_t key = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS, there = here.end - here.first;
    const bf16* from = first + uint64_t(key) * source.stride + chunk * 8;
    uint64_t step = uint64_t(STEP) * source.stride;
    uint32_t at = key * F::ROW_BYTES + (chunk ^ (key & 7)) * 16;
#pragma unroll
    for (uint32_t n = 0; n < F::KEYS / STEP; n++, from += step) {
        bool valid = key + n * STEP < there;
        copy16_async(to + (at ^ (n * STEP & 7) * 16) + n * STEP * F::ROW_BYTES, valid ? from : first, valid);
    }
}
template <class F> DEVICE void copy_keys(const AttentionJob& j, const Walk& w, unsigned char* tiles, uint32_t t) {
    copy_tile<F>(j, w, tiles + t % 2 * F::TILE_BYTES, t, {j.prefix_k, j.prefix_k_stride}, {j.k, j.k_stride});
}
template <class F> DEVICE void copy_values(const AttentionJob& j, const Walk& w, unsigned char* tiles, uint32_t t) {
    copy_tile<F>(j, w, tiles + t % 2 * F::TILE_BYTES, t, {j.prefix_v, j.prefix_v_stride}, {j.v, j.v_stride});
}

// A warp's 16 rows, and which half of the head size it multiplies and of the columns it holds.
DEVICE uint32_t warp_rows() { return threadIdx.x / 32 % 4 * 16; }
DEVICE uint32_t warp_half() { return threadIdx.x / 128; }

// The warp's queries as the fragments of a.
template <class F>
DEVICE void load_queries(const AttentionJob& j, const Walk& w, uint32_t (&q)[F::HALF / 16][4]) {
    uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t row = w.row0 + warp_rows() + lane / 4 + 8 * i;
        uint64_t at = row < w.rows ? row_offset(j, w, row, j.q_stride, F::DIM) : 0;
        const uint32_t* from = reinterpret_cast<const uint32_t*>(j.q + at + warp_half() * F::HALF) + lane % 4;
#pragma unroll
        for (uint32_t k = 0; k < F::HALF / 16; k++)
#pragma unroll
            for (uint32_t c = 0; c < 2; c++) q[k][i + 2 * c] = row < w.rows ? from[8 * k + 4 * c] : 0;
    }
}

// This warp's half of the scores of its rows and all keys of a tile, unscaled: as the fragments of c.
template <class F>
DEVICE void score(float (&sum)[F::NK][4], const uint32_t (&q)[F::HALF / 16][4], const unsigned char* keys) {
    uint32_t lane = threadIdx.x % 32;
    uint32_t at = lane % 8 * F::ROW_BYTES + ((warp_half() * (F::HALF / 8) | lane / 8) ^ lane % 8) * 16;
#pragma unroll
    for (uint32_t n = 0; n < F::NK; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) sum[n][i] = 0.0f;
#pragma unroll
    for (uint32_t k = 0; k < F::HALF / 32; k++)
#pragma unroll
        for (uint32_t n = 0; n < F::NK; n += 2) {
            const unsigned char* from = keys + (at ^ k % 2 * 64) + k / 2 * 128 + 8 * n * F::ROW_BYTES;
            uint32_t b[4], c[4];
            ldmatrix4(b, from);
            ldmatrix4(c, from + 8 * F::ROW_BYTES);
            mma_bf16(sum[n], q[2 * k], b[0], b[1]);
            mma_bf16(sum[n + 1], q[2 * k], c[0], c[1]);
            mma_bf16(sum[n], q[2 * k + 1], b[2], b[3]);
            mma_bf16(sum[n + 1], q[2 * k + 1], c[2], c[3]);
        }
}

// Leaves a half for the other warp of these rows; adds the half that it left.
template <class F> DEVICE void give(float4* halves, const float (&sum)[F::NK][4]) {
    float4* to = halves + threadIdx.x / 32 * F::NK * 32 + threadIdx.x % 32;
#pragma unroll
    for (uint32_t n = 0; n < F::NK; n++) to[32 * n] = make_float4(sum[n][0], sum[n][1], sum[n][2], sum[n][3]);
}
template <class F> DEVICE void take(const float4* halves, float (&sum)[F::NK][4]) {
    const float4* from = halves + (threadIdx.x / 32 ^ 4) * F::NK * 32 + threadIdx.x % 32;
#pragma unroll
    for (uint32_t n = 0; n < F::NK; n++) {
        float4 other = from[32 * n];
        sum[n][0] += other.x, sum[n][1] += other.y, sum[n][2] += other.z, sum[n][3] += other.w;
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

// Scales a tile's scores, and those of unseen positions away; shrinks what was mixed to the new maximum, and leaves the
// tile's weights under it in `x`.
template <class F> DEVICE void weigh(Running<F>& r, float (&x)[F::NK][4], Tile here, float scale) {
    float higher[2] = {r.top[0], r.top[1]}, shrink[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint32_t begin = r.seen[i].begin, end = r.seen[i].end < here.end ? r.seen[i].end : here.end;
        uint32_t seen = end > begin ? end - begin : 0;
        uint32_t at = here.first + threadIdx.x % 4 * 2 - begin; // below the beginning it wraps to beyond the end
#pragma unroll
        for (uint32_t n = 0; n < F::NK; n++)
#pragma unroll
            for (uint32_t c = 0; c < 2; c++) {
                float& score = x[n][2 * i + c];
                score = at + 8 * n + c < seen ? score * scale : -INFINITY;
                higher[i] = fmaxf(higher[i], score);
            }
        higher[i] = quad_max(higher[i]);
        float base = higher[i] == -INFINITY ? 0.0f : higher[i];
        shrink[i] = exp2f(r.top[i] - base);
        r.top[i] = higher[i];
        r.weight[i] *= shrink[i];
#pragma unroll
        for (uint32_t n = 0; n < F::NK; n++)
#pragma unroll
            for (uint32_t c = 0; c < 2; c++) {
                float& weight = x[n][2 * i + c];
                weight = exp2f(weight - base);
                r.weight[i] += weight; // this lane's keys; lanes are summed at the end
            }
    }
    if (__ballot_sync(ALL_LANES, shrink[0] != 1.0f || shrink[1] != 1.0f) == 0) return; // no row has a new maximum
#pragma unroll
    for (uint32_t n = 0; n < F::NI; n++) {
        r.mixed[n][0] *= shrink[0], r.mixed[n][1] *= shrink[0];
        r.mixed[n][2] *= shrink[1], r.mixed[n][3] *= shrink[1];
    }
}

// Adds a tile's values by their weights.
template <class F> DEVICE void mix(Running<F>& r, const float (&x)[F::NK][4], const unsigned char* values) {
    uint32_t lane = threadIdx.x % 32;
    uint32_t at = lane % 16 * F::ROW_BYTES + ((warp_half() * F::NI | lane / 16) ^ lane % 8) * 16;
#pragma unroll
    for (uint32_t s = 0; s < F::KEYS / 16; s++) {
        const float(&near)[4] = x[2 * s], (&far)[4] = x[2 * s + 1];
        uint32_t a[4] = {pack_bf16(near[0], near[1]), pack_bf16(near[2], near[3]), pack_bf16(far[0], far[1]),
                         pack_bf16(far[2], far[3])};
#pragma unroll
        for (uint32_t n = 0; n < F::NI; n += 2) {
            uint32_t b[4];
            ldmatrix4_transposed(b, values + (at ^ n % 8 * 16) + n / 8 * 128 + 16 * s * F::ROW_BYTES);
            mma_bf16(r.mixed[n], a, b[0], b[1]);
            mma_bf16(r.mixed[n + 1], a, b[2], b[3]);
        }
    }
}

// Leaves the rows' outputs, or this split's parts of them.
template <class F> DEVICE void finish(const AttentionJob& j, const Walk& w, const Running<F>& r) {
    uint32_t lane = threadIdx.x % 32, col0 = warp_half() * F::HALF + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float weight = r.weight[i];
        weight += __shfl_xor_sync(ALL_LANES, weight, 1);
        weight += __shfl_xor_sync(ALL_LANES, weight, 2);
        uint32_t row = w.row0 + warp_rows() + lane / 4 + 8 * i;
        if (row >= w.rows) continue;
        if (j.parts) {
            uint64_t all = uint64_t(gridDim.y) * w.rows;
            float* to = j.parts + ((blockIdx.z * all) + uint64_t(blockIdx.y) * w.rows + row) * (F::DIM + 2);
#pragma unroll
            for (uint32_t n = 0; n < F::NI; n++)
                to[col0 + 8 * n] = r.mixed[n][2 * i], to[col0 + 8 * n + 1] = r.mixed[n][2 * i + 1];
            if (col0 == 0) to[F::DIM] = r.top[i], to[F::DIM + 1] = weight;
        } else {
            uint32_t* to = reinterpret_cast<uint32_t*>(j.out + row_offset(j, w, row, j.out_stride, F::DIM));
            float factor = 1.0f / weight;
#pragma unroll
            for (uint32_t n = 0; n < F::NI; n++)
                to[(col0 + 8 * n) / 2] = pack_bf16(r.mixed[n][2 * i] * factor, r.mixed[n][2 * i + 1] * factor);
        }
    }
}

template <class F> DEVICE void flash(const AttentionJob& j) {
    unsigned char *keys = shared_memory(), *values = keys + 2 * F::TILE_BYTES;
    float4* halves = reinterpret_cast<float4*>(values + 2 * F::TILE_BYTES);
    Walk w = walk<F>(j);
    uint32_t first = w.tiles * blockIdx.z / j.splits, end = w.tiles * (blockIdx.z + 1) / j.splits; // this split's share
    if (first < end) copy_keys<F>(j, w, keys, first);
    copies_commit();
    uint32_t q[F::HALF / 16][4];
    load_queries<F>(j, w, q);
    Running<F> r;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint32_t row = w.row0 + warp_rows() + threadIdx.x % 32 / 4 + 8 * i;
        r.top[i] = -INFINITY, r.weight[i] = 0.0f;
        r.seen[i] = visible(j.canvas, j.window, j.prefix, j.tokens, (row < w.rows ? row : w.rows - 1) / j.group);
    }
#pragma unroll
    for (uint32_t n = 0; n < F::NI; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) r.mixed[n][i] = 0.0f;
    float x[F::NK][4] = {};
    for (uint32_t t = first; t <= end; t++) { // the scores of tile t, the values of the one before
        copies_wait<0>();
        __syncthreads(); // both are here for all, and nobody reads what the next copies overwrite
        if (t + 1 < end) copy_keys<F>(j, w, keys, t + 1);
        if (t < end) copy_values<F>(j, w, values, t);
        copies_commit();
        if (t > first) {
            take<F>(halves + (t - 1) % 2 * F::HALVES, x);
            weigh<F>(r, x, tile<F>(w, t - 1), j.scale);
            mix<F>(r, x, values + (t - 1) % 2 * F::TILE_BYTES);
        }
        if (t < end) {
            score<F>(x, q, keys + t % 2 * F::TILE_BYTES);
            give<F>(halves + t % 2 * F::HALVES, x);
        }
    }
    copies_wait<0>();
    finish<F>(j, w, r);
}

#define ATTENTION(name, DIM, KEYS)                                                                                     \
    KERNEL __launch_bounds__(256, 1)                                                                                   \
        name(const bf16* q, uint32_t q_stride, const bf16* k, uint32_t k_stride, const bf16* v, uint32_t v_stride,     \
             const bf16* prefix_k, uint32_t prefix_k_stride, const bf16* prefix_v, uint32_t prefix_v_stride,           \
             uint32_t prefix, const uint32_t* prefix_now, uint32_t tokens, uint32_t kv_heads, uint32_t group,          \
             float scale, uint32_t canvas, uint32_t window, bf16* out, uint32_t out_stride, float* parts,              \
             uint32_t splits) {                                                                                        \
        if constexpr (Flash<DIM, KEYS>::SHARED_BYTES <= SHARED_BYTES_MAX)                                              \
            flash<Flash<DIM, KEYS>>({q, k, v, prefix_k, prefix_v, q_stride, k_stride, v_stride, prefix_k_stride,       \
                                     prefix_v_stride, given_or_now(prefix, prefix_now), tokens, kv_heads, group,       \
                                     scale * 1.4426950408889634f, canvas, window, out, out_stride, parts, splits});    \
    }

ATTENTION(attention_64, 64, 64)
EXPORT(attention_64)
ATTENTION(attention_128, 128, 32)
EXPORT(attention_128)
// The second of each pair is for cards that give a block less shared memory than the first one takes: 192 and 160 KB.
ATTENTION(attention_256, 256, 64)
EXPORT(attention_256)
ATTENTION(attention_256_small, 256, 32)
EXPORT(attention_256_small)
ATTENTION(attention_512, 512, 32)
EXPORT(attention_512)
ATTENTION(attention_512_small, 512, 16)
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
