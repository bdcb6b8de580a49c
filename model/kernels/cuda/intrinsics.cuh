// Instructions of a whole warp: matrix loads, tensor-core products, copies to shared memory that run on their own.
//
// Each is PTX for a card and a plain definition for the emulator. Layouts are those of the PTX manual, "Matrix Fragments
// for mma.m16n8k16": with g = lane / 4 and t = lane % 4, a thread holds rows g and g + 8 of A and of the sums, and column g
// of B; columns (or depths) 2t, 2t + 1 and those eight further on.
#pragma once
#include "common.cuh"

#if defined(__CUDACC__)

DEVICE uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }

// Four 8×8 matrices of 16-bit values; lane 8i + r gives the address of row r of matrix i.
DEVICE void ldmatrix4(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}
DEVICE void ldmatrix4_transposed(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}

// c += a · b: a is 16×16 bf16, b 16×8 bf16, c 16×8 f32.
DEVICE void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Copies 16 (or 4) bytes to shared memory in the background; where `valid` is false writes zeros instead.
DEVICE void copy16_async(void* to, const void* from, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(valid ? 16 : 0));
}
DEVICE void copy4_async(void* to, const void* from, bool valid) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(valid ? 4 : 0));
}
// Closes a group of copies; waits until at most N of the groups closed last are still under way.
DEVICE void copies_commit() { asm volatile("cp.async.commit_group;"); }
template <int N> DEVICE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N)); }

// Two floats as bf16, the first in the low half.
DEVICE uint32_t pack_bf16(float low, float high) {
    uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}
// a · b + c on pairs of bf16.
DEVICE uint32_t fused_pair(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t d;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

#else

DEVICE float low_half(uint32_t pair) { return __uint_as_float(pair << 16); }
DEVICE float high_half(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

template <bool TRANSPOSED> inline void emulated_ldmatrix(uint32_t (&r)[4], const void* row) {
    struct Operand { const void* row; uint32_t out[4]; } mine{row, {}};
    static const char* const name = TRANSPOSED ? "ldmatrix.trans" : "ldmatrix";
    lacuna::emulator::collective(name, mine, [](Operand** lanes) {
        for (int i = 0; i < 4; i++)
            for (int lane = 0; lane < 32; lane++) {
                uint16_t pair[2];
                for (int j = 0; j < 2; j++) {
                    int r = TRANSPOSED ? lane % 4 * 2 + j : lane / 4, c = TRANSPOSED ? lane / 4 : lane % 4 * 2 + j;
                    pair[j] = static_cast<const uint16_t*>(lanes[8 * i + r]->row)[c];
                }
                lanes[lane]->out[i] = uint32_t(pair[1]) << 16 | pair[0];
            }
        for (int lane = 0; lane < 32; lane++)
            if (reinterpret_cast<uintptr_t>(lanes[lane]->row) % 16) lacuna::emulator::fatal("ldmatrix: a misaligned row");
    });
    for (int i = 0; i < 4; i++) r[i] = mine.out[i];
}
DEVICE void ldmatrix4(uint32_t (&r)[4], const void* row) { emulated_ldmatrix<false>(r, row); }
DEVICE void ldmatrix4_transposed(uint32_t (&r)[4], const void* row) { emulated_ldmatrix<true>(r, row); }

DEVICE void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    struct Operand { float* c; const uint32_t* a; uint32_t b[2]; } mine{c, a, {b0, b1}};
    lacuna::emulator::collective("mma.m16n8k16", mine, [](Operand** lanes) {
        float a[16][16], b[16][8];
        for (int lane = 0; lane < 32; lane++) {
            int g = lane / 4, t = lane % 4;
            for (int i = 0; i < 4; i++) {
                float* to = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
                to[0] = low_half(lanes[lane]->a[i]), to[1] = high_half(lanes[lane]->a[i]);
            }
            for (int i = 0; i < 2; i++)
                b[2 * t + 8 * i][g] = low_half(lanes[lane]->b[i]), b[2 * t + 8 * i + 1][g] = high_half(lanes[lane]->b[i]);
        }
        for (int r = 0; r < 16; r++) {
            float sums[8] = {};
            for (int k = 0; k < 16; k++)
                for (int n = 0; n < 8; n++) sums[n] += a[r][k] * b[k][n];
            for (int n = 0; n < 8; n++) lanes[r % 8 * 4 + n / 2]->c[r / 8 * 2 + n % 2] += sums[n];
        }
    });
}

DEVICE void copy16_async(void* to, const void* from, bool valid) {
    lacuna::emulator::copy_later(to, from, 16, valid ? 16 : 0);
}
DEVICE void copy4_async(void* to, const void* from, bool valid) {
    lacuna::emulator::copy_later(to, from, 4, valid ? 4 : 0);
}
DEVICE void copies_commit() { lacuna::emulator::copies_commit(); }
template <int N> DEVICE void copies_wait() { lacuna::emulator::copies_wait(N); }

DEVICE uint32_t pack_bf16(float low, float high) { return uint32_t(to_bf16(high).bits) << 16 | to_bf16(low).bits; }
// Both roundings of the emulator's are exact where kernels use it: small integers.
DEVICE uint32_t fused_pair(uint32_t a, uint32_t b, uint32_t c) {
    return pack_bf16(low_half(a) * low_half(b) + low_half(c), high_half(a) * high_half(b) + high_half(c));
}

#endif
