// What CUDA C++ gives a kernel, for the host's C++ compiler: a block's threads are fibers on one thread of the host.
//
// Warp-wide instructions meet in `collective`: the last lane to arrive computes for all 32. A lane that diverges from its
// warp, or a barrier that not everybody reaches, ends in a deadlock, which is reported with the kernel's name.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct uint3 { uint32_t x, y, z; };
struct dim3 { uint32_t x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

namespace lacuna::emulator {

// A kernel, and how to call it with its arguments in 64-bit words. `types` has a letter for each argument.
struct Entry {
    const char* name;
    const char* types;
    void (*call)(const uint64_t* arguments);
};

template <class T> constexpr char letter() {
    if constexpr (std::is_pointer_v<T>) return 'p';
    else if constexpr (std::is_same_v<T, uint32_t>) return 'u';
    else if constexpr (std::is_same_v<T, int32_t>) return 'i';
    else if constexpr (std::is_same_v<T, uint64_t> || std::is_same_v<T, unsigned long long>) return 'U';
    else { static_assert(std::is_same_v<T, float>, "kernels take pointers, 32-bit and 64-bit integers, and floats"); return 'f'; }
}

template <auto F> struct Trampoline;
template <class... A, void (*F)(A...)> struct Trampoline<F> {
    static constexpr char types[] = {letter<A>()..., 0};
    template <class T> static T read(const uint64_t* word) {
        T value;
        std::memcpy(&value, word, sizeof value);
        return value;
    }
    template <size_t... I> static void spread(const uint64_t* words, std::index_sequence<I...>) {
        F(read<A>(words + I)...);
    }
    static void call(const uint64_t* words) { spread(words, std::index_sequence_for<A...>{}); }
};

struct Warp {
    int arrived = 0;
    uint32_t generation = 0;
    const char* operation = nullptr;
    void* operands[32];
};

// A copy to shared memory that was asked for and not waited for.
struct Pending { void* to; const void* from; uint32_t bytes; uint32_t valid; uint32_t group; };

struct Fiber {
    void* stack_pointer;
    uint3 thread;
    uint32_t lane;
    Warp* warp;
    bool done;
    const uint32_t* waits_for; // blocked while it equals `waits_while`
    uint32_t waits_while;
    Pending* pending;          // a queue of `pending_len`
    uint32_t pending_len, pending_capacity, group;
};

struct Block {
    dim3 grid, block;
    uint3 index;
    unsigned char* shared;
    uint32_t live, arrived, generation;
    int order; // 0 forward, 1 reverse, 2 shuffled
};

extern thread_local Fiber* current;
extern thread_local Block block;
void yield_while(const uint32_t* address, uint32_t value);
[[noreturn]] void fatal(const char* what);

// All 32 lanes of a warp bring an operand; the last to come runs `compute` on all of them.
template <class T, class F> void collective(const char* operation, T& mine, F compute) {
    Warp& warp = *current->warp;
    if (warp.arrived == 0) warp.operation = operation;
    if (warp.operation != operation) fatal(operation);
    warp.operands[current->lane] = &mine;
    if (++warp.arrived < 32) {
        yield_while(&warp.generation, warp.generation);
        return;
    }
    T* lanes[32];
    std::memcpy(lanes, warp.operands, sizeof lanes);
    compute(lanes);
    warp.arrived = 0;
    warp.generation++;
}

void barrier();
void copy_later(void* to, const void* from, uint32_t bytes, uint32_t valid);
void copies_commit();
void copies_wait(uint32_t groups_left);

} // namespace lacuna::emulator

#define threadIdx (::lacuna::emulator::current->thread)
#define blockIdx (::lacuna::emulator::block.index)
#define blockDim (::lacuna::emulator::block.block)
#define gridDim (::lacuna::emulator::block.grid)

inline void __syncthreads() { lacuna::emulator::barrier(); }
inline void __syncwarp(uint32_t = 0xffffffffu) {
    int nothing = 0;
    lacuna::emulator::collective("__syncwarp", nothing, [](int**) {});
}

template <class T, class Source> T emulated_shuffle(T value, Source source) {
    struct Operand { T in, out; int from; } mine{value, value, source(int(lacuna::emulator::current->lane))};
    static const char* const name = "__shfl_sync";
    lacuna::emulator::collective(name, mine, [](Operand** lanes) {
        for (int i = 0; i < 32; i++) lanes[i]->out = lanes[lanes[i]->from & 31]->in;
    });
    return mine.out;
}
template <class T> T __shfl_sync(uint32_t, T value, int source) {
    return emulated_shuffle(value, [=](int) { return source; });
}
template <class T> T __shfl_xor_sync(uint32_t, T value, int mask) {
    return emulated_shuffle(value, [=](int lane) { return lane ^ mask; });
}
template <class T> T __shfl_up_sync(uint32_t, T value, uint32_t delta) {
    return emulated_shuffle(value, [=](int lane) { return lane < int(delta) ? lane : lane - int(delta); });
}
template <class T> T __shfl_down_sync(uint32_t, T value, uint32_t delta) {
    return emulated_shuffle(value, [=](int lane) { return lane + int(delta) > 31 ? lane : lane + int(delta); });
}
inline uint32_t __ballot_sync(uint32_t, int predicate) {
    struct Operand { int in; uint32_t out; } mine{predicate, 0};
    lacuna::emulator::collective("__ballot_sync", mine, [](Operand** lanes) {
        uint32_t mask = 0;
        for (int i = 0; i < 32; i++) mask |= uint32_t(lanes[i]->in != 0) << i;
        for (int i = 0; i < 32; i++) lanes[i]->out = mask;
    });
    return mine.out;
}

template <class T> T atomicAdd(T* at, T value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
inline uint32_t atomicMax(uint32_t* at, uint32_t value) {
    uint32_t seen = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (seen < value && !__atomic_compare_exchange_n(at, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return seen;
}
inline uint32_t atomicOr(uint32_t* at, uint32_t value) { return __atomic_fetch_or(at, value, __ATOMIC_RELAXED); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

inline uint32_t __float_as_uint(float x) { uint32_t u; std::memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(uint32_t u) { float x; std::memcpy(&x, &u, 4); return x; }
inline int __popc(uint32_t x) { return __builtin_popcount(x); }
inline int __ffs(uint32_t x) { return __builtin_ffs(int(x)); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return uint64_t((unsigned __int128)a * b >> 64); }
