// Routing: which experts serve a token, with which weights, and the lists of tokens by expert. And the way back: the
// weighted sum of a token's experts.
//
// Idea: scores are a small f32 product whose depth is split over blocks; the norm is applied to the sums. (Without scratch
// memory four tokens share a block, and the router's matrix is read rows / 4 times.) Grouping is
// one block's stable counting sort: a warp owns a stretch of slots, so the order is the same on every run.
// Twins: `Experts` of the diffusion crate. Not yet run on a GPU.
#include "common.cuh"
#include "grouping.cuh"
#include "product_plain.cuh"

constexpr uint32_t ROUTE_ROWS = 4;

// A warp picks a row's experts: the highest score left, ties to the lower index. Destroys the scores.
DEVICE void pick(float* own, uint32_t experts, const float* per_expert, uint32_t top, uint32_t* ids, float* weights) {
    uint32_t lane = threadIdx.x % 32;
    float first = 0.0f, total = 0.0f;
    for (uint32_t k = 0; k < top; k++) {
        float best = -INFINITY;
        uint32_t which = experts;
        for (uint32_t e = lane; e < experts; e += 32)
            if (own[e] > best || (which == experts && own[e] == best)) best = own[e], which = e;
        for (int mask = 16; mask > 0; mask /= 2) {
            float other = __shfl_xor_sync(ALL_LANES, best, mask);
            uint32_t other_which = __shfl_xor_sync(ALL_LANES, which, mask);
            if (other > best || (other == best && other_which < which)) best = other, which = other_which;
        }
        if (which >= experts) which = k < experts ? k : 0; // a row of NaN still names experts that exist
        if (k == 0) first = best;
        float power = expf(best - first);
        total += power;
        if (lane == 0) {
            ids[k] = which;
            weights[k] = power;
            own[which] = -INFINITY;
        }
        __syncwarp();
    }
    if (lane == 0)
        for (uint32_t k = 0; k < top; k++) weights[k] = weights[k] / total * per_expert[ids[k]];
}

// Without scratch memory: one kernel.
// Shared memory: [ROUTE_ROWS][cols] normed rows, [ROUTE_ROWS][experts] scores, 16 floats of scratch.
KERNEL route(const float* x, uint32_t x_stride, uint32_t rows, const float* router_scale, float eps, const void* proj,
             uint32_t proj_dtype, uint32_t experts, const float* per_expert, uint32_t top, uint32_t cols, uint32_t* ids,
             float* weights) {
    float* normed = reinterpret_cast<float*>(shared_memory());
    float* scores = normed + ROUTE_ROWS * cols;
    float* scratch = scores + ROUTE_ROWS * experts;
    uint32_t row0 = blockIdx.x * ROUTE_ROWS, count = rows - row0 < ROUTE_ROWS ? rows - row0 : ROUTE_ROWS;
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (uint32_t r = 0; r < ROUTE_ROWS; r++) {
        const float* row = x + uint64_t(row0 + (r < count ? r : 0)) * x_stride;
        float sum = 0.0f;
        for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) sum = fused(row[c], row[c], sum);
        float factor = 1.0f / sqrtf(block_sum(sum, scratch) / float(cols) + eps);
        for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) normed[r * cols + c] = row[c] * factor * router_scale[c];
    }
    __syncthreads();
    Stored w = stored(proj, proj_dtype, experts, cols);
    for (uint32_t e = warp; e < experts; e += warps) {
        float sums[ROUTE_ROWS] = {};
        for (uint32_t c = lane; c < cols; c += 32) {
            float weight = element(w, e, c);
            for (uint32_t r = 0; r < ROUTE_ROWS; r++) sums[r] = fused(weight, normed[r * cols + c], sums[r]);
        }
        for (uint32_t r = 0; r < ROUTE_ROWS; r++) {
            float score = warp_sum(sums[r]);
            if (lane == 0) scores[r * experts + e] = score;
        }
    }
    __syncthreads();
    if (warp >= count) return; // whole warps leave
    uint64_t out = uint64_t(row0 + warp) * top;
    pick(scores + warp * experts, experts, per_expert, top, ids + out, weights + out);
}
EXPORT(route)

// With scratch memory: scores by tiles of 64 rows and 64 experts, the depth split over blocks; then the choice. The norm is
// a factor of a whole row, so it can wait: parts are [splits, rows, experts + 1], Σ x · scale · proj and last Σ x².
KERNEL route_scores(const float* x, uint32_t x_stride, uint32_t rows, const float* router_scale, const void* proj,
                    uint32_t proj_dtype, uint32_t experts, uint32_t cols, uint32_t split_cols, float* parts) {
    PlainTiles& tiles = *reinterpret_cast<PlainTiles*>(shared_memory());
    uint32_t row0 = blockIdx.x * TILE, expert0 = blockIdx.y * TILE, first = blockIdx.z * split_cols;
    uint32_t end = first + split_cols < cols ? first + split_cols : cols;
    uint32_t tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    Stored w = stored(proj, proj_dtype, experts, cols);
    float sums[4][4] = {}, squares[4] = {}; // a thread loads depth tx of rows ty + 16 · i
    for (uint32_t k0 = first; k0 < end; k0 += DEPTH) {
        __syncthreads();
        uint32_t k = k0 + tx;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t r = ty + 16 * i;
            float value = row0 + r < rows && k < end ? x[uint64_t(row0 + r) * x_stride + k] : 0.0f;
            squares[i] = fused(value, value, squares[i]);
            tiles.a[tx][r] = k < end ? value * router_scale[k] : 0.0f;
            tiles.w[tx][r] = expert0 + r < experts && k < end ? element(w, expert0 + r, k) : 0.0f;
        }
        __syncthreads();
        for (uint32_t d = 0; d < DEPTH; d++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) sums[i][j] = fused(tiles.a[d][4 * ty + i], tiles.w[d][tx + 16 * j], sums[i][j]);
    }
    float* out = parts + uint64_t(blockIdx.z) * rows * (experts + 1);
    for (uint32_t i = 0; i < 4; i++) {
        float square = squares[i];
        for (int mask = 8; mask > 0; mask /= 2) square += __shfl_xor_sync(ALL_LANES, square, mask);
        uint32_t loaded = row0 + ty + 16 * i, row = row0 + 4 * ty + i;
        if (tx == 0 && expert0 == 0 && loaded < rows) out[uint64_t(loaded) * (experts + 1) + experts] = square;
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t expert = expert0 + tx + 16 * j;
            if (row < rows && expert < experts) out[uint64_t(row) * (experts + 1) + expert] = sums[i][j];
        }
    }
}
EXPORT(route_scores)

// A warp a row. Shared memory: [warps][experts].
KERNEL route_pick(const float* parts, uint32_t splits, uint32_t rows, float eps, uint32_t cols, uint32_t experts,
                  const float* per_expert, uint32_t top, uint32_t* ids, float* weights) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, row = blockIdx.x * (blockDim.x / 32) + warp;
    if (row >= rows) return; // whole warps leave
    float* own = reinterpret_cast<float*>(shared_memory()) + warp * experts;
    const float* part = parts + uint64_t(row) * (experts + 1);
    uint64_t stride = uint64_t(rows) * (experts + 1);
    float squares = 0.0f;
    for (uint32_t s = 0; s < splits; s++) squares += part[s * stride + experts];
    float factor = 1.0f / sqrtf(squares / float(cols) + eps);
    for (uint32_t e = lane; e < experts; e += 32) {
        float sum = 0.0f;
        for (uint32_t s = 0; s < splits; s++) sum += part[s * stride + e];
        own[e] = sum * factor;
    }
    __syncwarp();
    pick(own, experts, per_expert, top, ids + uint64_t(row) * top, weights + uint64_t(row) * top);
}
EXPORT(route_pick)

DEVICE uint32_t lanes_with(uint32_t value) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t other = __shfl_sync(ALL_LANES, value, int(i));
        mask |= uint32_t(other == value) << i;
    }
    return mask;
}

// One block. Shared memory: [warps][experts] counts, [experts] starts, [experts] first tiles, [2].
KERNEL group(const uint32_t* ids, uint32_t count, uint32_t experts, uint32_t tile_rows, uint32_t* slots,
             uint32_t* tile_table, uint32_t tiles_max) {
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    uint32_t* counts = reinterpret_cast<uint32_t*>(shared_memory());
    uint32_t* starts = counts + warps * experts;
    uint32_t* first_tiles = starts + experts;
    uint32_t* mine = counts + warp * experts;
    for (uint32_t i = threadIdx.x; i < warps * experts; i += blockDim.x) counts[i] = 0;
    __syncthreads();
    // A warp's stretch is a multiple of 32 slots.
    uint32_t stretch = (count + warps * 32 - 1) / (warps * 32) * 32, begin = warp * stretch;
    uint32_t end = begin + stretch < count ? begin + stretch : count;
    for (uint32_t i = begin; i < end; i += 32) {
        uint32_t expert = i + lane < end ? ids[i + lane] : experts;
        uint32_t same = lanes_with(expert);
        if (expert < experts && (same & ((1u << lane) - 1)) == 0) mine[expert] += __popc(same);
        __syncwarp();
    }
    __syncthreads();
    // Exclusive sums: over the warps of an expert, then over the experts.
    for (uint32_t e = threadIdx.x; e < experts; e += blockDim.x) {
        uint32_t sum = 0;
        for (uint32_t w = 0; w < warps; w++) {
            uint32_t own = counts[w * experts + e];
            counts[w * experts + e] = sum;
            sum += own;
        }
        starts[e] = sum;
    }
    __syncthreads();
    // One warp, 32 experts at a time: what comes before each, of slots and of tiles.
    if (warp == 0) {
        uint32_t slot = 0, tile = 0;
        for (uint32_t first = 0; first < experts; first += 32) {
            uint32_t e = first + lane, own = e < experts ? starts[e] : 0, tiles = (own + tile_rows - 1) / tile_rows;
            uint32_t slots_to = own, tiles_to = tiles; // up to this one and with it
            for (uint32_t step = 1; step < 32; step *= 2) {
                uint32_t s = __shfl_up_sync(ALL_LANES, slots_to, step), t = __shfl_up_sync(ALL_LANES, tiles_to, step);
                if (lane >= step) slots_to += s, tiles_to += t;
            }
            if (e < experts) starts[e] = slot + slots_to - own, first_tiles[e] = tile + tiles_to - tiles;
            slot += __shfl_sync(ALL_LANES, slots_to, 31), tile += __shfl_sync(ALL_LANES, tiles_to, 31);
        }
        if (lane == 0) first_tiles[experts] = tile, first_tiles[experts + 1] = slot;
    }
    __syncthreads();
    uint32_t tiles = first_tiles[experts], all = first_tiles[experts + 1];
    for (uint32_t e = threadIdx.x; e < experts; e += blockDim.x) {
        uint32_t own = (e + 1 < experts ? starts[e + 1] : all) - starts[e];
        for (uint32_t done = 0, t = first_tiles[e]; done < own; done += tile_rows, t++) {
            tile_table[3 * t] = e;
            tile_table[3 * t + 1] = starts[e] + done;
            tile_table[3 * t + 2] = own - done < tile_rows ? own - done : tile_rows;
        }
    }
    for (uint32_t t = tiles + threadIdx.x; t < tiles_max; t += blockDim.x)
        tile_table[3 * t] = tile_table[3 * t + 1] = tile_table[3 * t + 2] = 0;
    for (uint32_t i = begin; i < end; i += 32) {
        uint32_t expert = i + lane < end ? ids[i + lane] : experts;
        uint32_t same = lanes_with(expert), before = same & ((1u << lane) - 1);
        if (expert < experts) slots[starts[expert] + mine[expert] + __popc(before)] = i + lane;
        __syncwarp();
        if (expert < experts && before == 0) mine[expert] += __popc(same);
        __syncwarp();
    }
}
EXPORT(group)

// out[row] = Σ_k weights[row, k] · parts[row · top + k], in the order of the ranks.
KERNEL combine(const float* parts, const float* weights, uint32_t top, float* out, uint32_t out_stride, uint32_t cols) {
    uint64_t row = blockIdx.x;
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float sum = 0.0f;
        for (uint32_t k = 0; k < top; k++) sum = fused(weights[row * top + k], parts[(row * top + k) * cols + c], sum);
        out[row * out_stride + c] = sum;
    }
}
EXPORT(combine)
