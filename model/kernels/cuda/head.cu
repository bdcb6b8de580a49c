// The fused head: hidden states to what a sampler needs of each row's logits, which never stand in memory.
//
// Idea: a block multiplies a tile of rows by a tile of the vocabulary as any product does, leaves the tile in shared memory,
// and a warp reads each row's statistics off it. Candidates for the soft embedding are those within ten nats of the best
// logit seen so far, in whatever order blocks come; `head_finish` combines the tiles' shares in a fixed order, drops the
// candidates that are not within ten nats of the true best, and sorts the rest by token. How many there are on the way does
// depend on the order: rows with more than there is room for are taken a second time, when the true best is known, so that
// nothing depends on it in the end. `head_begin` keeps them few: the logit of one token that is likely to be among a row's
// best bounds the best from below before any tile has run. Twin: row_stats and soft_embedding_sparse of this crate. Not yet
// run on a GPU.
#include "head.cuh"
#include "product_mma.cuh"
#include "product_plain.cuh"
#include "wgmma.cuh"

#define HEAD_PARAMETERS                                                                                                \
    uint32_t rows, uint32_t vocabulary, uint32_t depth, float softcap, const float *temperatures,                      \
        const uint32_t *banned, const uint32_t *mask_of, const uint32_t *masks, void *shares, uint32_t tiles,          \
        uint32_t *tops, uint32_t *counts, uint32_t *candidate_ids, float *candidate_logits, uint32_t room,             \
        const uint32_t *only
#define HEAD                                                                                                           \
    {softcap, temperatures, banned, mask_of, masks, vocabulary, rows, static_cast<Share*>(shares), tiles, tops, counts, \
     candidate_ids, candidate_logits, room, only}

// Σ a[row] · w[id], the same bits in every thread of the block.
DEVICE float row_dot(const void* a, uint32_t a_dtype, uint64_t a_at, const Stored& w, uint32_t id, float* scratch) {
    float sum = 0.0f;
#pragma unroll 4
    for (uint32_t k = threadIdx.x; k < w.cols; k += blockDim.x)
        sum = fused(load(a, a_dtype, a_at + k), element(w, id, k), sum);
    return block_sum(sum, scratch);
}

// Nats by which the logit of a guess, summed in another order than the tiles', is trusted less.
constexpr float GUESS_MARGIN = 0.05f;

// A block a row: no candidates yet, and the row's best is at least the guess's logit, where there is one.
KERNEL head_begin(const void* a, uint32_t a_dtype, uint32_t a_stride, const void* w, uint32_t w_dtype, uint32_t vocabulary,
                  uint32_t depth, float softcap, const float* temperatures, const uint32_t* banned,
                  const uint32_t* mask_of, const uint32_t* masks, const uint32_t* guesses, uint32_t* tops,
                  uint32_t* counts) {
    uint32_t row = blockIdx.x, id = guesses ? guesses[row] : vocabulary;
    float bound = -INFINITY;
    if (id < vocabulary) {
        Head h{};
        h.softcap = softcap, h.banned = banned, h.mask_of = mask_of, h.masks = masks, h.vocabulary = vocabulary;
        Stored table = stored(w, w_dtype, vocabulary, depth);
        float raw = row_dot(a, a_dtype, uint64_t(row) * a_stride, table, id, reinterpret_cast<float*>(shared_memory()));
        bound = scaled_logit(h, raw, row, id, temperature_of(temperatures, row)) - GUESS_MARGIN;
    }
    if (threadIdx.x == 0) tops[row] = bound > -INFINITY ? ordered(bound) : 0, counts[row] = 0;
}
EXPORT(head_begin)

// out[row] = ln p(ids[row]), a block a row, once the head has the row's log_sum_exp.
KERNEL head_log_probs(const void* a, uint32_t a_dtype, uint32_t a_stride, const void* w, uint32_t w_dtype,
                      uint32_t vocabulary, uint32_t depth, float softcap, const float* temperatures,
                      const uint32_t* banned, const uint32_t* mask_of, const uint32_t* masks, const uint32_t* ids,
                      const float* log_sum_exp, float* out) {
    uint32_t row = blockIdx.x, id = ids[row];
    float log_prob = -INFINITY;
    if (id < vocabulary) {
        Head h{};
        h.softcap = softcap, h.banned = banned, h.mask_of = mask_of, h.masks = masks, h.vocabulary = vocabulary;
        Stored table = stored(w, w_dtype, vocabulary, depth);
        float raw = row_dot(a, a_dtype, uint64_t(row) * a_stride, table, id, reinterpret_cast<float*>(shared_memory()));
        // Summed in another order than the total: where one token has it all, it may come out above.
        log_prob = scaled_logit(h, raw, row, id, temperature_of(temperatures, row)) - log_sum_exp[row];
        if (log_prob > 0.0f) log_prob = 0.0f;
    }
    if (threadIdx.x == 0) out[row] = log_prob;
}
EXPORT(head_log_probs)

KERNEL head_plain(const void* a, uint32_t a_dtype, uint32_t a_stride, const void* w, uint32_t w_dtype, HEAD_PARAMETERS) {
    PlainTiles& tiles_of = *reinterpret_cast<PlainTiles*>(shared_memory());
    float* raw = reinterpret_cast<float*>(shared_memory() + sizeof(PlainTiles)); // [TILE][TILE]
    Head h = HEAD;
    uint32_t row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE;
    if (!head_wanted(h, row0, TILE)) return;
    float sums[4][4] = {};
    Operands o{a, a_dtype, a_stride, stored(w, w_dtype, vocabulary, depth), depth};
    multiply(
        o, tiles_of, [=](uint32_t r) { return row0 + r < rows ? int64_t(row0 + r) : -1; },
        [=](uint32_t c) { return col0 + c < vocabulary ? int64_t(col0 + c) : -1; }, sums);
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t j = 0; j < 4; j++)
            raw[(4 * (threadIdx.x / 16) + i) * TILE + threadIdx.x % 16 + 16 * j] = sums[i][j];
    __syncthreads();
    for (uint32_t r = threadIdx.x / 32; r < TILE && row0 + r < rows; r += 8)
        head_row(h, raw + r * TILE, TILE, row0 + r, col0, blockIdx.y);
}
EXPORT(head_plain)

// The tile of logits takes the place of the stages: [BM][BN + 4] floats.
template <class T, class Multiply>
DEVICE void head_tile(const bf16* a, uint32_t a_stride, const void* w, uint32_t depth, const Head& h, Multiply multiply) {
    constexpr uint32_t WIDTH = T::BN + 4;
    uint32_t row0 = blockIdx.x * T::BM, col0 = blockIdx.y * T::BN;
    if (!head_wanted(h, row0, T::BM)) return;
    ProductOperands o{a, a_stride, stored(w, T::W, h.vocabulary, depth), 0, depth};
    Sums<T> sums;
    multiply(
        o, sums, h.rows - row0, [&](uint32_t r) { return row0 + r < h.rows ? int64_t(row0 + r) : -1; },
        [&](uint32_t c) { return col0 + c < h.vocabulary ? int64_t(col0 + c) : -1; });
    float* raw = reinterpret_cast<float*>(shared_memory());
    each_pair<T>(sums, [&](uint32_t r, uint32_t c, float x, float y) {
        raw[r * WIDTH + c] = x, raw[r * WIDTH + c + 1] = y;
    });
    __syncthreads();
    for (uint32_t r = threadIdx.x / 32; r < T::BM && row0 + r < h.rows; r += PRODUCT_THREADS / 32)
        head_row(h, raw + r * WIDTH, T::BN, row0 + r, col0, blockIdx.y);
}

// On Hopper, whose shared memory holds two blocks of bf16 in 128 rows, registers are to have room for two as well.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define HEAD_TWO_BLOCKS PRODUCT_THREADS, 2
#else
#define HEAD_TWO_BLOCKS PRODUCT_THREADS
#endif
#define HEAD_MMA(name, BM, W, ...)                                                                                     \
    KERNEL __launch_bounds__(__VA_ARGS__)                                                                              \
        name(const bf16* a, uint32_t a_stride, const void* w, HEAD_PARAMETERS) {                                       \
        Head h = HEAD;                                                                                                 \
        using T = Tiling<BM, 128, W>;                                                                                  \
        head_tile<T>(a, a_stride, w, depth, h,                                                                         \
                     [](const ProductOperands& o, Sums<T>& sums, uint32_t count, auto rows_of, auto cols_of) {         \
                         product<T>(o, sums, count, rows_of, cols_of);                                                 \
                     });                                                                                               \
    }

HEAD_MMA(head_32_bf16, 32, BF16, PRODUCT_THREADS)
EXPORT(head_32_bf16)
HEAD_MMA(head_32_q8, 32, Q8, PRODUCT_THREADS)
EXPORT(head_32_q8)
HEAD_MMA(head_32_q4, 32, Q4, PRODUCT_THREADS)
EXPORT(head_32_q4)
HEAD_MMA(head_128_bf16, 128, BF16, HEAD_TWO_BLOCKS)
EXPORT(head_128_bf16)
HEAD_MMA(head_128_q8, 128, Q8, PRODUCT_THREADS)
EXPORT(head_128_q8)
HEAD_MMA(head_128_q4, 128, Q4, PRODUCT_THREADS)
EXPORT(head_128_q4)

// By Hopper's warpgroups, as product_wgmma.
KERNEL __launch_bounds__(PRODUCT_THREADS, 2) head_wgmma(const bf16* a, uint32_t a_stride, const void* w, HEAD_PARAMETERS) {
    Head h = HEAD;
    using T = WgmmaTiling;
    head_tile<T>(a, a_stride, w, depth, h,
                 [](const ProductOperands& o, Sums<T>& sums, uint32_t, auto rows_of, auto cols_of) {
                     product_by_warpgroups(o, sums, rows_of, cols_of);
                 });
}
EXPORT(head_wgmma)

// Adds `other` to `share`; which is the earlier does not matter to the bits beyond rounding, so the order is kept fixed.
DEVICE void absorb(Share& share, const Share& other) {
    if (other.max == -INFINITY) return;
    if (share.max == -INFINITY) {
        share = other;
        return;
    }
    bool takes = other.max > share.max || (other.max == share.max && other.argmax < share.argmax);
    float top = fmaxf(share.max, other.max), down = share.max - top, other_down = other.max - top;
    float shrink = expf(down), other_shrink = expf(other_down);
    // Σ (x - top) e^(x - top) = e^down · (weighted + down · sum)
    share.weighted = shrink * fused(down, share.sum, share.weighted) +
                     other_shrink * fused(other_down, other.sum, other.weighted);
    share.sum = shrink * share.sum + other_shrink * other.sum;
    share.max = top;
    if (takes) share.argmax = other.argmax;
}

// A block a row. Shared memory: [threads] shares, then [sort] pairs of token and logit, sort a power of two ≥ capacity. The first
// time all rows are finished, the second time (`again`) those that were taken again.
KERNEL head_finish(const void* all_shares, uint32_t tiles, uint32_t* counts, const uint32_t* candidate_ids,
                   const float* candidate_logits, uint32_t room, uint32_t capacity, uint32_t sort, uint32_t again,
                   uint32_t* argmax, float* max, float* log_sum_exp, float* entropy, uint32_t* survivors, uint32_t* ids, float* weights, float* mass) {
    Share* shares = reinterpret_cast<Share*>(shared_memory());
    uint32_t* tokens = reinterpret_cast<uint32_t*>(shares + blockDim.x);
    float* logits = reinterpret_cast<float*>(tokens + sort);
    uint32_t* kept = reinterpret_cast<uint32_t*>(logits + sort);
    uint32_t row = blockIdx.x, thread = threadIdx.x;
    if (again && survivors[row] != AGAIN) return;
    const Share* own = static_cast<const Share*>(all_shares) + uint64_t(row) * tiles;
    Share share{-INFINITY, 0.0f, 0.0f, 0};
    for (uint32_t t = thread; t < tiles; t += blockDim.x) absorb(share, own[t]);
    shares[thread] = share;
    for (uint32_t i = thread; i < sort; i += blockDim.x) tokens[i] = 0xffffffffu, logits[i] = 0.0f;
    if (thread == 0) *kept = 0;
    __syncthreads();
    for (uint32_t half = blockDim.x / 2; half > 0; half /= 2) {
        if (thread < half) absorb(shares[thread], shares[thread + half]);
        __syncthreads();
    }
    share = shares[0];
    if (thread == 0) {
        float log = share.sum > 0.0f ? logf(share.sum) : 0.0f;
        float spread = share.sum > 0.0f ? log - share.weighted / share.sum : 0.0f;
        argmax[row] = share.argmax;
        max[row] = share.max;
        log_sum_exp[row] = share.max + log;
        entropy[row] = spread < 0.0f ? 0.0f : spread;
    }
    if (!candidate_ids) return; // statistics alone
    uint32_t count = counts[row];
    for (uint32_t i = thread; i < count && count <= room; i += blockDim.x) {
        float x = candidate_logits[uint64_t(row) * room + i];
        if (!(x - share.max >= CUT)) continue;
        uint32_t place = atomicAdd(kept, 1u);
        if (place < sort) tokens[place] = candidate_ids[uint64_t(row) * room + i], logits[place] = x;
    }
    __syncthreads();
    if (count > room || *kept > capacity) {
        bool more = count > room && !again;
        if (thread == 0) survivors[row] = more ? AGAIN : OVERFLOWED;
        if (thread == 0 && more) counts[row] = 0;
        return;
    }
    count = *kept;
    for (uint32_t size = 2; size <= sort; size *= 2)
        for (uint32_t step = size / 2; step > 0; step /= 2) {
            for (uint32_t i = thread; i < sort; i += blockDim.x) {
                uint32_t j = i ^ step;
                if (j <= i || (tokens[i] > tokens[j]) != ((i & size) == 0)) continue;
                uint32_t token = tokens[i];
                float logit = logits[i];
                tokens[i] = tokens[j], logits[i] = logits[j];
                tokens[j] = token, logits[j] = logit;
            }
            __syncthreads();
        }
    if (thread == 0) survivors[row] = count;
    float sum = 0.0f;
    for (uint32_t i = thread; i < count; i += blockDim.x) {
        float weight = expf(logits[i] - share.max);
        ids[uint64_t(row) * capacity + i] = tokens[i];
        weights[uint64_t(row) * capacity + i] = weight;
        sum += weight;
    }
    sum = block_sum(sum, reinterpret_cast<float*>(shares));
    if (thread == 0) mass[row] = sum;
}
EXPORT(head_finish)
