// One denoising step's decisions, a block for each canvas: acceptance by the entropy bound, renoising, the stop rule, and
// the next step's temperature. Bit for bit what `accept.rs`, `noise.rs` and `denoise.rs` of the diffusion crate decide from
// the same entropies (the sample itself is drawn from the survivors). Uniform noise only. Not yet run on a GPU.
#include "common.cuh"

// What the host sets before the first step, and the device changes. 64-bit words first, so that there is no padding.
struct Canvas {
    uint64_t seed, stream;                // of the random generator
    double t_min, t_max;                  // temperatures of the last and the first step
    uint32_t first_row;                   // of this canvas' hole in the head's outputs
    uint32_t hole_len;                    // rows
    uint32_t first_token;                 // of the hole in `tokens`
    uint32_t steps_max, sampled;          // accepted rows take a sample, or the argmax
    uint32_t stability;                   // for how many earlier steps the argmax must have been the same
    float entropy_bound, confidence;      // nats
    uint32_t steps, settled, unchanged;   // steps taken; came to rest; earlier steps with this argmax, in a row
    uint32_t overflow;                    // rows with too many survivors at the last step
};

DEVICE uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

// 64 random bits that depend on the coordinates alone.
DEVICE uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t step, uint64_t position, uint64_t lane) {
    uint64_t state = seed;
    state = mix(state ^ stream * 0x9e3779b97f4a7c15ull);
    state = mix(state ^ step * 0x9e3779b97f4a7c15ull);
    state = mix(state ^ position * 0x9e3779b97f4a7c15ull);
    return mix(state ^ lane * 0x9e3779b97f4a7c15ull);
}

// A float's place in the total order, as an unsigned integer; and back.
DEVICE uint32_t total_order(float x) {
    uint32_t u = __float_as_uint(x);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}
DEVICE float from_order(uint32_t u) { return __uint_as_float(u & 0x80000000u ? u & 0x7fffffffu : ~u); }

// Inverse-transform sample at the quantile u, over survivors in token order.
DEVICE uint32_t sample(const uint32_t* ids, const float* weights, uint32_t count, float u) {
    float total = 0.0f;
    for (uint32_t i = 0; i < count; i++) total += weights[i];
    float left = u * total;
    for (uint32_t i = 0; i < count; i++) {
        left -= weights[i];
        if (left < 0.0f) return ids[i];
    }
    return count ? ids[count - 1] : 0;
}

// Shared memory: [sort] 64-bit keys, [sort] flags, [sort] entropies, 4 words; sort is a power of two, at least every hole's
// length. One thread adds the entropies up, in the host's order: it reads them from shared memory, not from the card's.
KERNEL sampler_step(void* canvases, uint32_t vocabulary, uint32_t sort, const uint32_t* row_argmax,
                    const float* row_entropy, const uint32_t* survivors, const uint32_t* ids, const float* weights,
                    uint32_t capacity, uint32_t* tokens, uint32_t* last_argmax, uint32_t* accepted,
                    float* temperatures) {
    Canvas& c = static_cast<Canvas*>(canvases)[blockIdx.x];
    uint64_t* keys = reinterpret_cast<uint64_t*>(shared_memory());
    uint32_t* flags = reinterpret_cast<uint32_t*>(keys + sort);
    float* entropies = reinterpret_cast<float*>(flags + sort);
    uint32_t* shared = flags + 2 * sort; // rows that changed, rows that overflowed, the temperature's bits
    uint32_t thread = threadIdx.x, length = c.hole_len, first = c.first_row;
    if (c.settled || c.steps >= c.steps_max) return;
    uint32_t step = c.steps + 1;
    if (thread < 2) shared[thread] = 0;
    for (uint32_t i = thread; i < sort; i += blockDim.x) {
        float entropy = i < length ? row_entropy[first + i] : 0.0f;
        entropies[i] = entropy;
        keys[i] = i < length ? uint64_t(total_order(entropy)) << 32 | i : ~0ull;
    }
    __syncthreads();
    for (uint32_t size = 2; size <= sort; size *= 2)
        for (uint32_t gap = size / 2; gap > 0; gap /= 2) {
            for (uint32_t i = thread; i < sort; i += blockDim.x) {
                uint32_t j = i ^ gap;
                if (j <= i || (keys[i] > keys[j]) != ((i & size) == 0)) continue;
                uint64_t key = keys[i];
                keys[i] = keys[j], keys[j] = key;
            }
            __syncthreads();
        }
    // Sums in the order of the host: entropies of f32 added in f64, each prefix rounded.
    if (thread == 0) {
        double cumulative = 0.0;
        for (uint32_t i = 0; i < length; i++) {
            uint32_t position = uint32_t(keys[i]);
            float entropy = from_order(uint32_t(keys[i] >> 32));
            cumulative += double(entropy);
            flags[position] = float(cumulative) - entropy <= c.entropy_bound;
        }
    }
    __syncthreads();
    for (uint32_t i = thread; i < length; i += blockDim.x) {
        uint32_t row = first + i, token, count = survivors[row];
        if (count > capacity) atomicAdd(&shared[1], 1u);
        if (!flags[i]) {
            token = uint32_t(__umul64hi(random_bits(c.seed, c.stream, step, i, 0), uint64_t(vocabulary)));
        } else if (c.sampled && count <= capacity) {
            float u = float(random_bits(c.seed, c.stream, step, i, 2) >> 40) / 16777216.0f;
            token = sample(ids + uint64_t(row) * capacity, weights + uint64_t(row) * capacity, count, u);
        } else {
            token = row_argmax[row];
        }
        tokens[c.first_token + i] = token;
        accepted[row] = flags[i];
        if (last_argmax[row] != row_argmax[row]) atomicAdd(&shared[0], 1u);
        last_argmax[row] = row_argmax[row];
    }
    __syncthreads();
    if (thread == 0) {
        uint32_t same = step > 1 && shared[0] == 0 ? c.unchanged + 1 : 0;
        double sum = 0.0;
        for (uint32_t i = 0; i < length; i++) sum += double(entropies[i]);
        bool stable = same >= c.stability && step > c.stability;
        c.settled = stable && float(sum / double(length)) < c.confidence;
        c.unchanged = same;
        c.steps = step;
        c.overflow = shared[1];
        uint32_t left = c.steps_max - step;
        double share = double(left) / double(c.steps_max);
        shared[2] = __float_as_uint(float(c.t_min + (c.t_max - c.t_min) * share));
    }
    __syncthreads();
    float temperature = __uint_as_float(shared[2]);
    // After the last step there is no next one; the temperature then would be t_min, and nobody reads it.
    for (uint32_t i = thread; i < length; i += blockDim.x) temperatures[first + i] = temperature;
}
EXPORT(sampler_step)
