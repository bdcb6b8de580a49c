// The core of every tensor-core product: out[m, n] = Σ_k a[m, k] · w[n, k], a in bf16, w in bf16, q8 or q4, sums in f32.
//
// Idea: a block makes BM × BN outputs with eight warps. Stages of 64 in depth travel to shared memory by cp.async, several
// under way at once; rows are swizzled by 16 bytes so that no access meets a bank conflict. Quantised weights travel as
// they are stored: an integer of up to 8 bits is exact in bf16, so the tensor core sums q · a over a block of 32, and the
// block's scale multiplies that sum in f32. The weights' order inside a block is such that a thread finds its fragments of
// 32 in depth in one 4-byte (q4) or 8-byte (q8) word, and makes a pair of bf16 from it with two or three instructions.
#pragma once
#include "intrinsics.cuh"
#include "weight.cuh"

constexpr uint32_t BK = 64, PRODUCT_THREADS = 256;

// Sizes of a tile, and where things lie in a stage of shared memory.
template <uint32_t BM_, uint32_t BN_, uint32_t W_, uint32_t WARPS_M_ = BM_ >= 64 ? 2 : 1> struct Tiling {
    static constexpr uint32_t BM = BM_, BN = BN_, W = W_;
    static constexpr uint32_t WARPS_M = WARPS_M_, WARPS_N = 8 / WARPS_M;
    static constexpr uint32_t MI = BM / WARPS_M / 16, NI = BN / WARPS_N / 8; // tensor-core tiles of a warp
    static constexpr uint32_t ROW = W == BF16 ? 128 : W == Q8 ? 64 : 32;     // bytes of a weight row in a stage
    static constexpr uint32_t A_BYTES = BM * 128, W_BYTES = BN * ROW, SCALE_BYTES = W == BF16 ? 0 : BN * 4;
    static constexpr uint32_t STAGE = A_BYTES + W_BYTES + SCALE_BYTES;
    static constexpr uint32_t STAGES = 3 * STAGE > 72 * 1024 ? 3 : STAGE < 9 * 1024 ? 6 : 4;
    static constexpr uint32_t SHARED = STAGES * STAGE;
};

// A product's operands. `Rows` maps a tile's row to a row of `a`, `Cols` a tile's column to a row of `w`; below 0: none.
struct ProductOperands {
    const bf16* a;
    uint32_t a_stride;
    Stored w;
    uint32_t k_begin, k_end; // k_begin a multiple of 64
};

template <class T> struct Sums { float at[T::MI][T::NI][4]; };

// Where a 16-byte chunk of a row lies in its stage.
template <uint32_t ROW> DEVICE uint32_t swizzled(uint32_t row, uint32_t chunk) {
    if (ROW == 128) return row * 128 + (chunk ^ (row & 7)) * 16;
    if (ROW == 64) return row * 64 + (chunk ^ (row >> 1 & 1) << 1) * 16;
    return row * 32 + (chunk ^ (row >> 2 & 1)) * 16;
}

// What a thread copies of every stage: the same chunks of the same rows, 64 further on each time. Rows are looked up once.
template <class T> struct Copies {
    static constexpr uint32_t CHUNKS = T::ROW / 16, VALUES = BK / CHUNKS;                // of a weight row in a stage
    static constexpr uint32_t A_STEP = PRODUCT_THREADS / 8, W_STEP = PRODUCT_THREADS / CHUNKS; // rows between two of a thread's
    static constexpr uint32_t A = T::BM / A_STEP, W = T::BN / W_STEP;
    static_assert(A * A_STEP == T::BM && W * W_STEP == T::BN && A + W < 32 && T::BN <= PRODUCT_THREADS, "whole rows of chunks");
    static_assert(A_STEP % 8 == 0 && W_STEP % 8 == 0, "all of a thread's rows are swizzled alike");
    // Tiles of 128 rows are those of dense products, whose rows follow each other on both sides: the first place says all, and
    // two blocks keep finding room. Experts gather theirs.
    static constexpr bool FOLLOW = T::BM == 128;
    const bf16* a[FOLLOW ? 1 : A];
    const unsigned char* w[FOLLOW ? 1 : W];
    const uint16_t* scale; // of the thread's own column
    uint32_t there;        // a bit for each row of a, then of w, then of the scale
};

template <class T, class Rows, class Cols>
DEVICE Copies<T> copies_of(const ProductOperands& o, Rows rows, Cols cols) {
    using C = Copies<T>;
    C c;
    c.there = 0, c.scale = nullptr;
#pragma unroll
    for (uint32_t j = 0; j < C::A; j++) {
        int64_t row = rows(threadIdx.x / 8 + C::A_STEP * j);
        if (j == 0 || !C::FOLLOW)
            c.a[j] = row >= 0 ? o.a + uint64_t(row) * o.a_stride + o.k_begin + threadIdx.x % 8 * 8 : o.a;
        c.there |= uint32_t(row >= 0) << j;
    }
    const unsigned char* values = static_cast<const unsigned char*>(o.w.values);
#pragma unroll
    for (uint32_t j = 0; j < C::W; j++) {
        int64_t row = cols(threadIdx.x / C::CHUNKS + C::W_STEP * j);
        uint64_t at = uint64_t(row) * o.w.cols + o.k_begin + threadIdx.x % C::CHUNKS * C::VALUES;
        if (j == 0 || !C::FOLLOW) c.w[j] = row >= 0 ? values + at * T::ROW / BK : values;
        c.there |= uint32_t(row >= 0) << (C::A + j);
    }
    if (T::W != BF16 && threadIdx.x < T::BN) {
        int64_t row = cols(threadIdx.x);
        c.scale = row >= 0 ? o.w.scales + (uint64_t(row) * o.w.cols + o.k_begin) / 32 : o.w.scales;
        c.there |= uint32_t(row >= 0) << (C::A + C::W);
    }
    return c;
}

// Asks for the next stage, which begins at k0. Stages are asked for in order, none is left out.
template <class T>
DEVICE void load_stage(const ProductOperands& o, Copies<T>& c, unsigned char* stage, uint32_t k0) {
    using C = Copies<T>;
    uint32_t chunk = threadIdx.x % 8;
    bool within = k0 + chunk * 8 < o.k_end;
    unsigned char* to = stage + swizzled<128>(threadIdx.x / 8, chunk);
#pragma unroll
    for (uint32_t j = 0; j < C::A; j++) {
        bool valid = within && (c.there >> j & 1);
        const bf16* from = C::FOLLOW ? c.a[0] + uint64_t(C::A_STEP * j) * o.a_stride : c.a[C::FOLLOW ? 0 : j];
        copy16_async(to + C::A_STEP * 128 * j, valid ? from : o.a, valid);
        if (!C::FOLLOW) c.a[C::FOLLOW ? 0 : j] += BK;
    }
    if (C::FOLLOW) c.a[0] += BK;
    unsigned char* weights = stage + T::A_BYTES;
    chunk = threadIdx.x % C::CHUNKS;
    within = k0 + chunk * C::VALUES < o.k_end;
    to = weights + swizzled<T::ROW>(threadIdx.x / C::CHUNKS, chunk);
#pragma unroll
    for (uint32_t j = 0; j < C::W; j++) {
        bool valid = within && (c.there >> (C::A + j) & 1);
        const void* from = C::FOLLOW ? c.w[0] + uint64_t(C::W_STEP * j) * o.w.cols * T::ROW / BK : c.w[C::FOLLOW ? 0 : j];
        copy16_async(to + C::W_STEP * T::ROW * j, valid ? from : o.w.values, valid);
        if (!C::FOLLOW) c.w[C::FOLLOW ? 0 : j] += T::ROW;
    }
    if (C::FOLLOW) c.w[0] += T::ROW;
    if (T::W != BF16 && threadIdx.x < T::BN) {
        bool valid = k0 < o.k_end && (c.there >> (C::A + C::W) & 1);
        copy4_async(weights + T::W_BYTES + threadIdx.x * 4, valid ? c.scale : o.w.scales, valid);
        c.scale += BK / 32;
    }
}

// Fragments of `a` for 16 in depth from chunk 2 · k16 on: rows `row`.. of the tile.
DEVICE void load_a(uint32_t (&a)[4], const unsigned char* stage, uint32_t row, uint32_t k16) {
    uint32_t lane = threadIdx.x % 32;
    ldmatrix4(a, stage + swizzled<128>(row + lane % 16, 2 * k16 + lane / 16));
}

constexpr uint32_t ONES = 0x3f803f80u; // 1, 1

// A thread's eight weights of 32 in depth (column `col` of the tile plus lane / 4) as bf16 integers: pairs at depths
// 2t + 8i, i < 4.
template <class T> DEVICE void load_quants(uint32_t (&b)[4], const unsigned char* weights, uint32_t col, uint32_t block) {
    uint32_t lane = threadIdx.x % 32, t = lane % 4, row = col + lane / 4;
    if (T::W == Q4) {
        uint32_t word = *reinterpret_cast<const uint32_t*>(weights + swizzled<32>(row, block) + 4 * t);
        // 0x4300 is 128 in bf16, whose last bit is worth 1: or-ing a nibble in adds it. 128 + (q + 8) - 136 = q.
        for (int i = 0; i < 4; i++) b[i] = fused_pair((word >> 4 * i & 0x000f000fu) | 0x43004300u, ONES, 0xc308c308u);
    } else {
        uint2 words = *reinterpret_cast<const uint2*>(weights + swizzled<64>(row, 2 * block + t / 2) + 8 * (t % 2));
        // Seven low bits are added to 128; a set sign bit turns the 128 that is taken off into 256 (0x4380).
        uint32_t shifted[4] = {words.x, words.x >> 8, words.y, words.y >> 8};
        for (int i = 0; i < 4; i++)
            b[i] = fused_pair((shifted[i] & 0x007f007fu) | 0x43004300u, ONES, (shifted[i] & 0x00800080u) | 0xc300c300u);
    }
}

// Whether tile m of the warp's rows holds any of the block's `count`: with few rows (experts) half the work may be spared.
template <class T> DEVICE bool holds_rows(uint32_t m, uint32_t count) { return T::BM > 32 || m * 16 < count; }

// Adds a stage's 64 in depth to the warp's sums.
template <class T> DEVICE void multiply_stage(Sums<T>& sums, const unsigned char* stage, uint32_t count) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t row = warp % T::WARPS_M * T::MI * 16, col = warp / T::WARPS_M * T::NI * 8;
    const unsigned char* weights = stage + T::A_BYTES;
    // Of a thread's two columns of a tile, and the stage's two blocks: f16 in halves, the first block's in the low one. Read
    // once a stage where registers allow, else once a block.
    const unsigned char* scales_at = weights + T::W_BYTES + (col + lane % 4 * 2) * 4;
    constexpr bool KEEP = T::W != BF16 && T::NI <= 2;
    uint2 scales[KEEP ? T::NI : 1];
    if (KEEP) {
#pragma unroll
        for (uint32_t n = 0; n < T::NI; n++) scales[n] = *reinterpret_cast<const uint2*>(scales_at + 32 * n);
    }
    constexpr int UNROLL = T::BM == 64 && T::W != BF16 ? 1 : 2; // there, both at once would take more than 128 registers
#pragma unroll UNROLL
    for (uint32_t block = 0; block < 2; block++) {
        uint32_t a[2][T::MI][4];
#pragma unroll
        for (uint32_t k = 0; k < 2; k++)
#pragma unroll
            for (uint32_t m = 0; m < T::MI; m++)
                if (holds_rows<T>(m, count)) load_a(a[k][m], stage, row + 16 * m, 2 * block + k);
#pragma unroll
        for (uint32_t n = 0; n < T::NI; n++) {
            uint32_t b[4];
            if (T::W == BF16) {
                // Four matrices: 32 in depth of eight columns.
                ldmatrix4(b, weights + swizzled<128>(col + 8 * n + lane % 8, 4 * block + lane / 8));
#pragma unroll
                for (uint32_t m = 0; m < T::MI; m++) {
                    if (!holds_rows<T>(m, count)) continue;
                    mma_bf16(sums.at[m][n], a[0][m], b[0], b[1]);
                    mma_bf16(sums.at[m][n], a[1][m], b[2], b[3]);
                }
            } else {
                load_quants<T>(b, weights, col + 8 * n, block);
                uint2 pair = KEEP ? scales[KEEP ? n : 0] : *reinterpret_cast<const uint2*>(scales_at + 32 * n);
                float scale0 = half_to_float(uint16_t(pair.x >> 16 * block));
                float scale1 = half_to_float(uint16_t(pair.y >> 16 * block));
#pragma unroll
                for (uint32_t m = 0; m < T::MI; m++) {
                    if (!holds_rows<T>(m, count)) continue;
                    float part[4] = {};
                    mma_bf16(part, a[0][m], b[0], b[1]);
                    mma_bf16(part, a[1][m], b[2], b[3]);
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        sums.at[m][n][i] = fused(part[i], i % 2 ? scale1 : scale0, sums.at[m][n][i]);
                }
            }
        }
    }
}

// The whole product of a tile of which `count` rows count. Shared memory may be reused as soon as it returns.
template <class T, class Rows, class Cols>
DEVICE void product(const ProductOperands& o, Sums<T>& sums, uint32_t count, Rows rows, Cols cols) {
    unsigned char* shared = shared_memory();
#pragma unroll
    for (uint32_t m = 0; m < T::MI; m++)
#pragma unroll
        for (uint32_t n = 0; n < T::NI; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums.at[m][n][i] = 0.0f;
    uint32_t stages = (o.k_end - o.k_begin + BK - 1) / BK;
    Copies<T> copies = copies_of<T>(o, rows, cols);
#pragma unroll
    for (uint32_t s = 0; s < T::STAGES - 1; s++) {
        if (s < stages) load_stage<T>(o, copies, shared + s * T::STAGE, o.k_begin + s * BK);
        copies_commit();
    }
    for (uint32_t s = 0; s < stages; s++) {
        copies_wait<T::STAGES - 2>();
        __syncthreads(); // stage s is here for all, and everybody is done with the one before it
        uint32_t next = s + T::STAGES - 1;
        if (next < stages)
            load_stage<T>(o, copies, shared + next % T::STAGES * T::STAGE, o.k_begin + next * BK);
        copies_commit();
        multiply_stage<T>(sums, shared + s % T::STAGES * T::STAGE, count);
    }
    copies_wait<0>();
    __syncthreads();
}

// Calls `store(row, col, x, y)` for the warp's sums: row and column in the tile, and the sums of that column and the next.
template <class T, class Store> DEVICE void each_pair(const Sums<T>& sums, Store store) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t row = warp % T::WARPS_M * T::MI * 16 + lane / 4, col = warp / T::WARPS_M * T::NI * 8 + lane % 4 * 2;
#pragma unroll
    for (uint32_t m = 0; m < T::MI; m++)
#pragma unroll
        for (uint32_t n = 0; n < T::NI; n++) {
            store(row + 16 * m, col + 8 * n, sums.at[m][n][0], sums.at[m][n][1]);
            store(row + 16 * m + 8, col + 8 * n, sums.at[m][n][2], sums.at[m][n][3]);
        }
}
