// What the fused head does with a tile of raw logits, before they are forgotten: a row's share of the softmax statistics,
// and the tokens that may survive the cut.
#pragma once
#include "common.cuh"

// Tokens this many nats below a row's best are left out of the soft embedding.
constexpr float CUT = -10.0f;
// In the survivors' counts between two passes: more candidates than room, to be looked for again under the row's true best.
constexpr uint32_t AGAIN = 0xfffffffeu, OVERFLOWED = 0xffffffffu;

// A tile's share of a row: the largest logit and its first place, Σ e^(x - max), Σ (x - max) e^(x - max).
struct Share { float max, sum, weighted; uint32_t argmax; };

struct Head {
    float softcap;
    const float* temperatures; // [rows], or null: 1
    const uint32_t* banned;    // a bit for each token, or null
    const uint32_t* mask_of;   // [rows]: which of `masks`; beyond all of them: none
    const uint32_t* masks;     // [n, ceil(vocabulary / 32)] bits of allowed tokens, or null
    uint32_t vocabulary, rows;
    Share* shares;             // [rows, tiles]
    uint32_t tiles;
    uint32_t* tops;            // [rows] the largest logit so far, as `ordered`
    uint32_t* counts;          // [rows] candidates so far, also those that found no room
    uint32_t* candidate_ids;   // [rows, room], or null: statistics alone
    float* candidate_logits;   // [rows, room]
    uint32_t room;
    const uint32_t* only;      // [rows]: rows that are not AGAIN are left as they are; null: all count
};

// Whether any of the rows row0.. row0 + count, a multiple of 32, counts. The same in every warp.
DEVICE bool head_wanted(const Head& h, uint32_t row0, uint32_t count) {
    if (!h.only) return true;
    bool any = false;
    for (uint32_t r = threadIdx.x % 32; r < count; r += 32)
        any = any || (row0 + r < h.rows && h.only[row0 + r] == AGAIN);
    return __ballot_sync(ALL_LANES, any) != 0;
}

DEVICE float temperature_of(const float* temperatures, uint32_t row) { return temperatures ? temperatures[row] : 1.0f; }

// Unsigned integers that compare as the floats do; 0 is below all of them.
DEVICE uint32_t ordered(float x) {
    uint32_t u = __float_as_uint(x);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}
DEVICE float unordered(uint32_t u) { return __uint_as_float(u & 0x80000000u ? u & 0x7fffffffu : ~u); }

// A lane's logit, as the sampler sees it: capped, scaled, and -∞ where it must not be.
DEVICE float scaled_logit(const Head& h, float raw, uint32_t row, uint32_t id, float temperature) {
    if (h.softcap > 0.0f) raw = h.softcap * tanhf(raw / h.softcap);
    if (h.banned && h.banned[id / 32] >> id % 32 & 1) return -INFINITY;
    if (h.masks && h.mask_of[row] != 0xffffffffu) {
        const uint32_t* allowed = h.masks + uint64_t(h.mask_of[row]) * ((h.vocabulary + 31) / 32);
        if (!(allowed[id / 32] >> id % 32 & 1)) return -INFINITY;
    }
    return raw / temperature;
}

DEVICE void better(float& best, uint32_t& which, float other, uint32_t other_which) {
    if (other > best || (other == best && other_which < which)) best = other, which = other_which;
}

// One row of a tile, by one warp: `raw` [cols] in shared memory, tokens `first`.. of the vocabulary.
DEVICE void head_row(const Head& h, const float* raw, uint32_t cols, uint32_t row, uint32_t first, uint32_t tile) {
    if (h.only && h.only[row] != AGAIN) return;
    uint32_t lane = threadIdx.x % 32;
    // Read ahead of the arithmetic, so that nobody waits for what the maximum below finds.
    uint32_t seen = h.candidate_ids ? lately(&h.tops[row]) : 0;
    float temperature = temperature_of(h.temperatures, row), x[4], best = -INFINITY;
    uint32_t which = 0xffffffffu;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t c = lane + 32 * i, id = first + c;
        x[i] = c < cols && id < h.vocabulary ? scaled_logit(h, raw[c], row, id, temperature) : -INFINITY;
        if (x[i] > best) best = x[i], which = id;
    }
    for (int mask = 16; mask > 0; mask /= 2) {
        float other = __shfl_xor_sync(ALL_LANES, best, mask);
        uint32_t other_which = __shfl_xor_sync(ALL_LANES, which, mask);
        better(best, which, other, other_which);
    }
    float sum = 0.0f, weighted = 0.0f;
    for (uint32_t i = 0; i < 4; i++) {
        float d = x[i] - best;
        if (!(d >= -104.0f)) continue; // below, the exponential is zero anyway; also -∞ and whatever else is not a number
        float e = expf(d);
        sum += e;
        weighted = fused(d, e, weighted);
    }
    sum = warp_sum(sum), weighted = warp_sum(weighted);
    if (lane == 0) h.shares[uint64_t(row) * h.tiles + tile] = {best, sum, weighted, which};
    if (!h.candidate_ids) return;
    // All lanes go by the same; only a best that is news is told.
    seen = __shfl_sync(ALL_LANES, seen, 0);
    if (lane == 0 && best > -INFINITY && ordered(best) > seen) atomicMax(&h.tops[row], ordered(best));
    // Whatever is below the cut from any logit of the row is below it from the largest.
    float top = seen ? fmaxf(best, unordered(seen)) : best;
    for (uint32_t i = 0; i < 4; i++) {
        bool keep = x[i] - top >= CUT;
        uint32_t keeping = __ballot_sync(ALL_LANES, keep), place = 0;
        if (keeping == 0) continue;
        if (lane == 0) place = atomicAdd(&h.counts[row], uint32_t(__popc(keeping)));
        place = __shfl_sync(ALL_LANES, place, 0) + __popc(keeping & ((1u << lane) - 1));
        if (keep && place < h.room) {
            h.candidate_ids[uint64_t(row) * h.room + place] = first + lane + 32 * i;
            h.candidate_logits[uint64_t(row) * h.room + place] = x[i];
        }
    }
}
