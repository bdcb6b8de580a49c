// What every kernel file starts from: the language (CUDA, or the emulator's), exported names, number formats, and sums
// over a warp and a block.
//
// Rules of this folder. Kernels use dynamic shared memory only (`shared_memory()`), blocks of whole warps, full warp masks.
// The compiler may not contract a multiplication and an addition (`-fmad=false`): where a fused one is wanted it says
// `fused`, so that what must be equal to the CPU's bits is.
#pragma once

#if defined(__CUDACC__)
#include <cstdint>
#define EXPORT(name)
#define DEVICE static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
DEVICE unsigned char* shared_memory() {
    extern __shared__ __align__(1024) unsigned char lacuna_shared[];
    return lacuna_shared;
}
#else
#include "emulator/emulator.h"
#define EXPORT(name)                                                                                                   \
    extern "C" const lacuna::emulator::Entry lacuna_entry_##name{                                                      \
        #name, lacuna::emulator::Trampoline<&name>::types, &lacuna::emulator::Trampoline<&name>::call};
#define DEVICE static inline
#define KERNEL extern "C" void
DEVICE unsigned char* shared_memory() { return lacuna::emulator::block.shared; }
#endif

constexpr uint32_t ALL_LANES = 0xffffffffu;

// Types of activations and weights, as `Dtype` and `WeightDtype` of the host number them.
enum : uint32_t { F32 = 0, BF16 = 1, Q8 = 2, Q4 = 3 };

struct bf16 { uint16_t bits; };

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }

// Round to nearest even; NaN stays NaN.
DEVICE bf16 to_bf16(float x) {
    uint32_t u = __float_as_uint(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {uint16_t(u >> 16 | 0x40)};
    return {uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}

DEVICE float half_to_float(uint16_t h) {
#if defined(__CUDACC__)
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
#else
    uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
    if (exponent == 0) {
        float x = float(mantissa) * (1.0f / 16777216.0f);
        return sign ? -x : x;
    }
    return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
#endif
}

// a · b + c. One rounding on a card; the emulator rounds twice, which no caller may depend on.
DEVICE float fused(float a, float b, float c) {
#if defined(__CUDACC__)
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

// Element `i` of an array of `dtype` (F32 or BF16).
DEVICE float load(const void* p, uint32_t dtype, uint64_t i) {
    return dtype == F32 ? static_cast<const float*>(p)[i] : to_float(static_cast<const bf16*>(p)[i]);
}
DEVICE void store(void* p, uint32_t dtype, uint64_t i, float x) {
    if (dtype == F32) static_cast<float*>(p)[i] = x;
    else static_cast<bf16*>(p)[i] = to_bf16(x);
}

// A number that a launch was given, or what stands in memory when it runs: a recorded launch then serves every prefix.
DEVICE uint32_t given_or_now(uint32_t given, const uint32_t* now) { return now ? *now : given; }

// What other blocks may be changing by atomic operations: some value that it has had lately.
DEVICE uint32_t lately(const uint32_t* at) {
#if defined(__CUDACC__)
    uint32_t x;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(x) : "l"(at));
    return x;
#else
    return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}

DEVICE float warp_sum(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x += __shfl_xor_sync(ALL_LANES, x, mask);
    return x;
}
DEVICE float warp_max(float x) {
    for (int mask = 16; mask > 0; mask /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, mask));
    return x;
}

// Sum over the block, the same bits in every thread. `scratch` has a float for each warp; it may be reused at once.
DEVICE float block_sum(float x, float* scratch) {
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
    for (uint32_t w = 0; w < blockDim.x / 32; w++) sum += scratch[w];
    return sum;
}
DEVICE float block_max(float x, float* scratch) {
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
    __syncthreads();
    float top = scratch[0];
    for (uint32_t w = 1; w < blockDim.x / 32; w++) top = fmaxf(top, scratch[w]);
    return top;
}

DEVICE float gelu_tanh(float g) {
    float inner = fused(g * g * g, 0.044715f, g);
    return g / (1.0f + expf(-1.595769122f * inner)); // 2·√(2/π)
}
