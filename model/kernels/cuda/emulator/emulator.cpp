// The emulated card: fibers, their scheduler, barriers, asynchronous copies, and the entry that runs one block.
#include "emulator.h"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace lacuna::emulator {

thread_local Fiber* current;
thread_local Block block;

namespace {

constexpr size_t STACK = 256 << 10;
constexpr uint32_t THREADS_MAX = 1024;
constexpr size_t RED_ZONE = 256;
constexpr unsigned char POISON = 0xff, GUARD = 0xfb;

// What a thread of the host needs to run blocks; made when it first does.
struct Host {
    unsigned char* stacks = nullptr;
    Fiber fibers[THREADS_MAX] = {};
    Warp warps[THREADS_MAX / 32];
    unsigned char* shared = nullptr;
    size_t shared_size = 0;
    void* scheduler_sp = nullptr;
    const Entry* entry = nullptr;
    const uint64_t* arguments = nullptr;
#if !defined(__x86_64__)
    ucontext_t scheduler, contexts[THREADS_MAX];
#endif
    ~Host() {
        if (stacks) munmap(stacks, STACK * THREADS_MAX);
        std::free(shared);
        for (Fiber& fiber : fibers) std::free(fiber.pending);
    }
};
thread_local Host* host_of_thread;

Host& host() {
    thread_local struct Owner { Host* host = nullptr; ~Owner() { delete host; } } owner;
    if (!owner.host) host_of_thread = owner.host = new Host;
    return *host_of_thread;
}

void finish() {
    current->done = true;
    block.live--;
    if (block.live && block.arrived == block.live) {
        block.arrived = 0;
        block.generation++;
    }
}

#if defined(__x86_64__)
extern "C" void lacuna_emulator_switch(void** save, void* load);
asm(R"(
.text
.globl lacuna_emulator_switch
.type lacuna_emulator_switch, @function
lacuna_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size lacuna_emulator_switch, .-lacuna_emulator_switch
)");

void fiber_main() {
    Host& h = *host_of_thread;
    h.entry->call(h.arguments);
    finish();
    void* unused;
    lacuna_emulator_switch(&unused, host_of_thread->scheduler_sp);
    std::abort();
}

void prepare(Host& h, uint32_t i) {
    void** top = reinterpret_cast<void**>(h.stacks + STACK * (i + 1));
    *--top = nullptr; // where a caller's return address would be: keeps the stack aligned as a call does
    *--top = reinterpret_cast<void*>(&fiber_main);
    for (int r = 0; r < 6; r++) *--top = nullptr;
    h.fibers[i].stack_pointer = top;
}

void resume(Host& h, uint32_t i) {
    current = &h.fibers[i];
    lacuna_emulator_switch(&h.scheduler_sp, h.fibers[i].stack_pointer);
}

void suspend() { lacuna_emulator_switch(&current->stack_pointer, host_of_thread->scheduler_sp); }
#else
void fiber_main() {
    Host& h = *host_of_thread;
    h.entry->call(h.arguments);
    finish();
}

void prepare(Host& h, uint32_t i) {
    getcontext(&h.contexts[i]);
    h.contexts[i].uc_stack.ss_sp = h.stacks + STACK * i;
    h.contexts[i].uc_stack.ss_size = STACK;
    h.contexts[i].uc_link = &h.scheduler;
    makecontext(&h.contexts[i], fiber_main, 0);
}

void resume(Host& h, uint32_t i) {
    current = &h.fibers[i];
    swapcontext(&h.scheduler, &h.contexts[i]);
}

void suspend() { swapcontext(&host_of_thread->contexts[current - host_of_thread->fibers], &host_of_thread->scheduler); }
#endif

// The n-th of `count` in this round: forward, reverse, or a bijection that changes from round to round.
uint32_t turn(int order, uint32_t n, uint32_t count, uint32_t round) {
    if (order == 0) return n;
    if (order == 1) return count - 1 - n;
    uint32_t odd = (round * 2654435761u) | 1;
    if ((count & (count - 1)) == 0) return (n * odd + round * 7) & (count - 1);
    return (n + round * 7) % count;
}

// Runs all fibers to their ends; false when none can go on.
bool run(Host& h, uint32_t threads) {
    uint32_t warps = threads / 32, round = block.index.x + 1;
    while (block.live) {
        bool progress = false;
        uint32_t pass = round;
        for (uint32_t w = 0; w < warps; w++) {
            uint32_t warp = turn(block.order, w, warps, pass);
            for (bool again = true; again; round++) {
                again = false;
                for (uint32_t l = 0; l < 32; l++) {
                    uint32_t i = warp * 32 + turn(block.order, l, 32, round);
                    Fiber& fiber = h.fibers[i];
                    if (fiber.done || (fiber.waits_for && *fiber.waits_for == fiber.waits_while)) continue;
                    fiber.waits_for = nullptr;
                    resume(h, i);
                    again = progress = true;
                }
            }
        }
        if (!progress) return false;
    }
    return true;
}

void copy_now(const Pending& p) {
    std::memcpy(p.to, p.from, p.valid);
    std::memset(static_cast<unsigned char*>(p.to) + p.valid, 0, p.bytes - p.valid);
}

} // namespace

void yield_while(const uint32_t* address, uint32_t value) {
    current->waits_for = address;
    current->waits_while = value;
    suspend();
}

void fatal(const char* what) {
    std::fprintf(stderr, "emulated kernel %s, block (%u, %u, %u), thread %u: %s, where its warp is in %s\n",
                 host_of_thread->entry->name, block.index.x, block.index.y, block.index.z, current->thread.x, what,
                 current->warp->operation);
    std::abort();
}

void barrier() {
    if (++block.arrived < block.live) {
        yield_while(&block.generation, block.generation);
        return;
    }
    block.arrived = 0;
    block.generation++;
}

// Forward and shuffled, a copy happens as late as it may (a missing wait then reads poison); in reverse, as early (a
// buffer still being read is then overwritten).
void copy_later(void* to, const void* from, uint32_t bytes, uint32_t valid) {
    if (reinterpret_cast<uintptr_t>(to) % bytes || (valid && reinterpret_cast<uintptr_t>(from) % bytes))
        fatal("cp.async with a misaligned address");
    Fiber& f = *current;
    Pending copy{to, from, bytes, valid, f.group};
    if (block.order == 1) return copy_now(copy);
    if (f.pending_len == f.pending_capacity) {
        f.pending_capacity = f.pending_capacity ? 2 * f.pending_capacity : 64;
        f.pending = static_cast<Pending*>(std::realloc(f.pending, f.pending_capacity * sizeof(Pending)));
    }
    f.pending[f.pending_len++] = copy;
}

void copies_commit() { current->group++; }

void copies_wait(uint32_t groups_left) {
    Fiber& f = *current;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f.pending_len; i++) {
        // Groups not among the last `groups_left` committed ones are complete.
        if (f.pending[i].group + groups_left < f.group) copy_now(f.pending[i]);
        else f.pending[kept++] = f.pending[i];
    }
    f.pending_len = kept;
}

} // namespace lacuna::emulator

using namespace lacuna::emulator;

// Runs block `index` of a grid. 0: done; 1: deadlock; 2: shared memory was written outside its bounds.
extern "C" int lacuna_emulated_block(const Entry* entry, const uint64_t* arguments, const uint32_t* grid,
                                     const uint32_t* threads, size_t shared, const uint32_t* index, int order) {
    Host& h = host();
    if (!h.stacks) {
        h.stacks = static_cast<unsigned char*>(mmap(nullptr, STACK * THREADS_MAX, PROT_READ | PROT_WRITE,
                                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    }
    uint32_t count = threads[0] * threads[1] * threads[2];
    size_t wanted = (shared + 2 * RED_ZONE + 1023) / 1024 * 1024;
    if (h.shared_size < wanted) {
        std::free(h.shared);
        h.shared = static_cast<unsigned char*>(std::aligned_alloc(1024, wanted));
        h.shared_size = wanted;
    }
    std::memset(h.shared, GUARD, RED_ZONE);
    std::memset(h.shared + RED_ZONE, POISON, shared);
    std::memset(h.shared + RED_ZONE + shared, GUARD, RED_ZONE);
    block = {{grid[0], grid[1], grid[2]}, {threads[0], threads[1], threads[2]}, {index[0], index[1], index[2]},
             h.shared + RED_ZONE, count, 0, 0, order};
    h.entry = entry;
    h.arguments = arguments;
    for (uint32_t i = 0; i < count; i++) {
        Fiber& f = h.fibers[i];
        f.thread = {i % threads[0], i / threads[0] % threads[1], i / threads[0] / threads[1]};
        f.lane = i % 32;
        f.warp = &h.warps[i / 32];
        f.done = false;
        f.waits_for = nullptr;
        f.pending_len = f.group = 0;
        if (i % 32 == 0) *f.warp = Warp{};
        prepare(h, i);
    }
    if (!run(h, count)) return 1;
    for (size_t i = 0; i < RED_ZONE; i++)
        if (h.shared[i] != GUARD || h.shared[RED_ZONE + shared + i] != GUARD) return 2;
    return 0;
}
