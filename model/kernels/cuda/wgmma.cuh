// Hopper's products by warpgroups: wgmma reads both operands from shared memory. Machine code for sm_90a only.
//
// A stage of bf16 rows of 128 bytes, swizzled as product_mma.cuh does it, is what wgmma calls a K-major operand with
// 128-byte swizzling: eight rows are 1024 bytes, and 16 in depth are 32 bytes further on. So the pipeline stays, and only
// the multiplication is another. PTX manual: "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions".
#pragma once
#include "product_mma.cuh"

// Bits 0-13: address / 16; 16-29: not used with swizzling; 32-45: bytes from eight rows to the next eight / 16; 62-63: the
// kind of swizzling, 1 is 128 bytes.
DEVICE uint64_t wgmma_descriptor(uint32_t address) {
    return uint64_t(address >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

#if defined(__CUDACC__)

DEVICE uint32_t wgmma_address(const void* p) { return shared_address(p); }

// What this thread wrote to shared memory becomes visible to wgmma, after the next barrier for all threads.
DEVICE void wgmma_publish() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
DEVICE void wgmma_begin() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
DEVICE void wgmma_commit() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Naming the sums keeps the compiler from reading or moving them before the products have ended.
DEVICE void wgmma_wait(float (&d)[16][4]) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
    for (uint32_t n = 0; n < 16; n++)
        asm volatile("" : "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3]) :: "memory");
#endif
}

// sums += a · bᵀ: 64 rows (16 for each warp of the group), 128 columns, 16 in depth.
DEVICE void wgmma(float (&d)[16][4], uint64_t a, uint64_t b) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define WGMMA_SUMS(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
    asm volatile(
        "{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, accumulate, 1, 1, 0, 0;\n}"
        : WGMMA_SUMS(0), WGMMA_SUMS(1), WGMMA_SUMS(2), WGMMA_SUMS(3), WGMMA_SUMS(4), WGMMA_SUMS(5), WGMMA_SUMS(6),
          WGMMA_SUMS(7), WGMMA_SUMS(8), WGMMA_SUMS(9), WGMMA_SUMS(10), WGMMA_SUMS(11), WGMMA_SUMS(12), WGMMA_SUMS(13),
          WGMMA_SUMS(14), WGMMA_SUMS(15)
        : "l"(a), "l"(b), "r"(1));
#undef WGMMA_SUMS
#else
    __trap(); // the host launches it on compute capability 9.0 alone
#endif
}

#else

// The emulator follows the descriptors as the manual describes them; that the products run on their own is not emulated.
DEVICE uint32_t wgmma_address(const void* p) {
    return uint32_t(static_cast<const unsigned char*>(p) - lacuna::emulator::block.shared);
}
DEVICE void wgmma_publish() {}
DEVICE void wgmma_begin() {}
DEVICE void wgmma_commit() {}
DEVICE void wgmma_wait(float (&)[16][4]) {}

inline float wgmma_operand(uint64_t descriptor, uint32_t row, uint32_t k) {
    uint32_t start = uint32_t(descriptor & 0x3fff) << 4, stride = uint32_t(descriptor >> 32 & 0x3fff) << 4;
    uint32_t at = start + row / 8 * stride + row % 8 * 128 + k * 2;
    at ^= (at >> 7 & 7) << 4;
    return to_float(*reinterpret_cast<const bf16*>(lacuna::emulator::block.shared + at));
}
inline void wgmma(float (&d)[16][4], uint64_t a, uint64_t b) {
    uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    for (uint32_t n = 0; n < 16; n++)
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t row = warp * 16 + lane / 4 + i / 2 * 8, col = 8 * n + lane % 4 * 2 + i % 2;
            for (uint32_t k = 0; k < 16; k++) d[n][i] += wgmma_operand(a, row, k) * wgmma_operand(b, col, k);
        }
}

#endif

// 128 × 128 outputs by two warpgroups; a warp holds 16 rows of all columns.
using WgmmaTiling = Tiling<128, 128, BF16, 8>;

// As `product`: the same stages, multiplied by warpgroups.
template <class Rows, class Cols>
DEVICE void product_by_warpgroups(const ProductOperands& o, Sums<WgmmaTiling>& sums, Rows rows, Cols cols) {
    using T = WgmmaTiling;
    unsigned char* shared = shared_memory();
#pragma unroll
    for (uint32_t n = 0; n < T::NI; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) sums.at[0][n][i] = 0.0f;
    uint32_t stages = (o.k_end - o.k_begin + BK - 1) / BK, group = threadIdx.x / 128;
    Copies<T> copies = copies_of<T>(o, rows, cols);
#pragma unroll
    for (uint32_t s = 0; s < T::STAGES - 1; s++) {
        if (s < stages) load_stage<T>(o, copies, shared + s * T::STAGE, o.k_begin + s * BK);
        copies_commit();
    }
    for (uint32_t s = 0; s < stages; s++) {
        copies_wait<T::STAGES - 2>();
        wgmma_publish();
        __syncthreads(); // stage s is here for all, and everybody's products of the one before it are done
        const unsigned char* stage = shared + s % T::STAGES * T::STAGE;
        uint32_t a = wgmma_address(stage) + group * 64 * 128, b = wgmma_address(stage) + T::A_BYTES;
        wgmma_begin();
#pragma unroll
        for (uint32_t k = 0; k < BK / 16; k++)
            wgmma(sums.at[0], wgmma_descriptor(a + 32 * k), wgmma_descriptor(b + 32 * k));
        wgmma_commit();
        uint32_t next = s + T::STAGES - 1;
        if (next < stages)
            load_stage<T>(o, copies, shared + next % T::STAGES * T::STAGE, o.k_begin + next * BK);
        copies_commit();
        wgmma_wait(sums.at[0]);
    }
    copies_wait<0>();
    __syncthreads();
}
