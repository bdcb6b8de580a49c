// A libcuda.so.1 whose only card is the emulator: programs built for real cards run on it unchanged, slowly, and what they ask
// of the driver is checked. benches/gpu/rehearse.sh builds it.
//
// Strict where a real driver is lenient or late: nothing runs before somebody waits for it; copies must stay inside one
// allocation; more than 48 KB of shared memory needs the attribute; what must not happen during a capture spoils it; a kernel
// that fails makes every later call fail, as an illegal address does.
//
// REHEARSAL_FAULT is one of: no-device, old-driver, busy, no-kernels, illegal=KERNEL, hang=KERNEL.
// REHEARSAL_MEMORY is the card's memory in bytes. REHEARSAL_ORDER is 0, 1 or 2 as in emulator.h. With REHEARSAL_DRY=1 every
// call and launch is checked and nothing runs: memory is addresses without pages, and reads as zero. So a program can be seen
// to ask for what a real card allows at sizes that no emulator computes.
#include <cuda.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace lacuna::emulator {
struct Entry { const char* name; const char* types; void (*call)(const uint64_t*); };
}
using lacuna::emulator::Entry;
extern "C" const Entry* lacuna_emulated_kernel(const char* name, size_t length);
extern "C" int lacuna_emulated_block(const Entry*, const uint64_t* arguments, const uint32_t* grid, const uint32_t* threads,
                                     size_t shared, const uint32_t* index, int order);

namespace {

constexpr size_t RED_ZONE = 4096, SHARED_DEFAULT = 48 << 10, SHARED_MAX = 227 << 10;
constexpr unsigned char POISON = 0xff, GUARD = 0xfb;

using Work = std::function<CUresult()>;
struct Function { const Entry* entry; size_t shared_allowed; };
struct Moment { bool reached; std::chrono::steady_clock::time_point at; };
struct Graph { std::vector<Work> work; };
enum class Capture { None, Going, Spoiled };

std::recursive_mutex door;
std::map<uint64_t, size_t> allocations;
std::map<std::string, Function> functions;
std::vector<Work> queue;
Graph* recording;
Capture capture = Capture::None;
CUresult sticky = CUDA_SUCCESS;
size_t used;

std::string setting(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}
bool dry() {
    static const bool set = setting("REHEARSAL_DRY") == "1";
    return set;
}
bool fault(const char* name) { return setting("REHEARSAL_FAULT") == name; }
std::string faulty_kernel(const char* kind) {
    std::string wanted = setting("REHEARSAL_FAULT"), prefix = std::string(kind) + "=";
    return wanted.rfind(prefix, 0) == 0 ? wanted.substr(prefix.size()) : "";
}
size_t memory() {
    std::string bytes = setting("REHEARSAL_MEMORY");
    return bytes.empty() ? size_t(dry() ? 140 : 8) << 30 : std::strtoull(bytes.c_str(), nullptr, 10);
}
CUresult refuse(CUresult result, const char* why) {
    std::fprintf(stderr, "rehearsed driver: %s\n", why);
    return result;
}

// Whether `bytes` from `at` are inside one allocation.
bool inside(uint64_t at, size_t bytes) {
    auto next = allocations.upper_bound(at);
    if (next == allocations.begin()) return false;
    auto [first, size] = *std::prev(next);
    return at - first <= size && bytes <= size - (at - first);
}
unsigned char* memory_at(uint64_t at) { return reinterpret_cast<unsigned char*>(at); }

// The bytes around every allocation are as they were made.
bool intact() {
    if (dry()) return true;
    for (auto [first, size] : allocations)
        for (size_t i = 0; i < RED_ZONE; i++)
            if (memory_at(first)[-1 - long(i)] != GUARD || memory_at(first)[size + i] != GUARD) return false;
    return true;
}

// What is not allowed while a stream records spoils the recording.
bool spoils(const char* what) {
    if (capture == Capture::None) return false;
    capture = Capture::Spoiled;
    std::fprintf(stderr, "rehearsed driver: %s during a capture\n", what);
    return true;
}

CUresult enqueue(Work work) {
    if (sticky) return sticky;
    if (dry() && capture == Capture::None) return CUDA_SUCCESS;
    if (capture == Capture::Spoiled) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    (capture == Capture::Going ? recording->work : queue).push_back(std::move(work));
    return CUDA_SUCCESS;
}

CUresult drain() {
    std::vector<Work> work;
    work.swap(queue);
    for (Work& one : work) {
        if (sticky) break;
        sticky = one();
    }
    return sticky;
}

struct Launch {
    const Entry* entry;
    uint32_t grid[3], threads[3];
    size_t shared;
    std::vector<uint64_t> arguments;
};

CUresult run(const Launch& launch) {
    if (faulty_kernel("illegal") == launch.entry->name) return CUDA_ERROR_ILLEGAL_ADDRESS;
    if (faulty_kernel("hang") == launch.entry->name) for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    int64_t count = int64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2];
    int order = std::atoi(setting("REHEARSAL_ORDER").c_str()), worst = 0;
#pragma omp parallel for schedule(dynamic) reduction(max : worst)
    for (int64_t i = 0; i < count; i++) {
        uint32_t n = uint32_t(order ? count - 1 - i : i), x = launch.grid[0], y = launch.grid[1];
        uint32_t index[3] = {n % x, n / x % y, n / x / y};
        int result = lacuna_emulated_block(launch.entry, launch.arguments.data(), launch.grid, launch.threads, launch.shared, index, order);
        worst = result > worst ? result : worst;
    }
    if (worst || !intact()) {
        std::fprintf(stderr, "rehearsed driver: kernel %s %s\n", launch.entry->name,
                     worst == 1 ? "deadlocks" : worst ? "writes outside its shared memory" : "writes outside its buffers");
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    return CUDA_SUCCESS;
}

// A fat binary is a header and entries; an entry's kind (1: PTX, 2: machine code) and architecture decide whether it runs.
bool has_code(const unsigned char* image, uint32_t architecture) {
    auto at32 = [](const unsigned char* p) { uint32_t x; std::memcpy(&x, p, 4); return x; };
    auto at16 = [](const unsigned char* p) { uint16_t x; std::memcpy(&x, p, 2); return x; };
    uint64_t size;
    if (at32(image) != 0xba55ed50) return false;
    std::memcpy(&size, image + 8, 8);
    const unsigned char* entry = image + at16(image + 6);
    for (const unsigned char* end = entry + size; entry < end; entry += at32(entry + 4) + at32(entry + 8)) {
        uint32_t kind = at16(entry), made_for = at32(entry + 28);
        if (kind == 2 ? made_for == architecture : made_for <= architecture) return true;
    }
    return false;
}

} // namespace

extern "C" {

CUresult cuDriverGetVersion(int* version) { *version = fault("old-driver") ? 12080 : 13000; return CUDA_SUCCESS; }
CUresult cuInit(unsigned) { return fault("no-device") ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { *count = 1; return CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
CUresult cuDeviceGetName(char* name, int size, CUdevice) {
    std::snprintf(name, size_t(size), "Rehearsal");
    return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(size_t* bytes, CUdevice) { *bytes = memory(); return CUDA_SUCCESS; }
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice) {
    switch (which) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; return CUDA_SUCCESS;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; return CUDA_SUCCESS;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = dry() ? 132 : 4; return CUDA_SUCCESS;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = SHARED_MAX; return CUDA_SUCCESS;
        default: return refuse(CUDA_ERROR_INVALID_VALUE, "an attribute that it does not know");
    }
}
CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
    *context = reinterpret_cast<CUcontext>(&allocations);
    return fault("busy") ? CUDA_ERROR_DEVICE_UNAVAILABLE : CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    std::lock_guard lock(door);
    if (spoils("loading a module")) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (reinterpret_cast<uintptr_t>(image) % 8) return refuse(CUDA_ERROR_INVALID_IMAGE, "a module that is not aligned to 8 bytes");
    *module = reinterpret_cast<CUmodule>(const_cast<void*>(image));
    return fault("no-kernels") || !has_code(static_cast<const unsigned char*>(image), 90) ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunctionCount(unsigned* count, CUmodule) { *count = 1; return CUDA_SUCCESS; }
CUresult cuModuleEnumerateFunctions(CUfunction* all, unsigned count, CUmodule module) {
    for (unsigned i = 0; i < count; i++) all[i] = reinterpret_cast<CUfunction>(module);
    return CUDA_SUCCESS;
}
CUresult cuFuncLoad(CUfunction) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
    std::lock_guard lock(door);
    const Entry* entry = lacuna_emulated_kernel(name, std::strlen(name));
    if (!entry) return CUDA_ERROR_NOT_FOUND;
    *function = reinterpret_cast<CUfunction>(&functions.try_emplace(name, Function{entry, SHARED_DEFAULT}).first->second);
    return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
    std::lock_guard lock(door);
    if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || size_t(value) > SHARED_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    reinterpret_cast<Function*>(function)->shared_allowed = size_t(value);
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo(size_t* free, size_t* total) {
    std::lock_guard lock(door);
    *total = memory();
    *free = *total > used ? *total - used : 0;
    return sticky;
}
CUresult cuMemAlloc(CUdeviceptr* address, size_t bytes) {
    std::lock_guard lock(door);
    if (spoils("allocating")) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (sticky) return sticky;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > memory() || used > memory() - bytes) return CUDA_ERROR_OUT_OF_MEMORY;
    size_t whole = (bytes + 2 * RED_ZONE + 4095) / 4096 * 4096;
    if (dry()) {
        void* nothing = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (nothing == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
        *address = reinterpret_cast<uint64_t>(nothing) + RED_ZONE;
        allocations[*address] = bytes;
        used += bytes;
        return CUDA_SUCCESS;
    }
    auto* first = static_cast<unsigned char*>(std::aligned_alloc(4096, whole));
    if (!first) return CUDA_ERROR_OUT_OF_MEMORY;
    std::memset(first, GUARD, RED_ZONE);
    std::memset(first + RED_ZONE, POISON, bytes);
    std::memset(first + RED_ZONE + bytes, GUARD, RED_ZONE);
    *address = reinterpret_cast<uint64_t>(first + RED_ZONE);
    allocations[*address] = bytes;
    used += bytes;
    return CUDA_SUCCESS;
}
CUresult cuMemFree(CUdeviceptr address) {
    std::lock_guard lock(door);
    if (spoils("freeing")) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    CUresult before = drain();
    auto found = allocations.find(address);
    if (found == allocations.end()) return refuse(CUDA_ERROR_INVALID_VALUE, "freeing what was not allocated");
    size_t whole = (found->second + 2 * RED_ZONE + 4095) / 4096 * 4096;
    used -= found->second;
    allocations.erase(found);
    if (dry()) munmap(memory_at(address) - RED_ZONE, whole);
    else std::free(memory_at(address) - RED_ZONE);
    return before;
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream) {
    std::lock_guard lock(door);
    if (spoils("a copy from the host")) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (!inside(to, bytes)) return refuse(CUDA_ERROR_INVALID_VALUE, "a copy to outside of an allocation");
    return enqueue([=] { std::memcpy(memory_at(to), from, bytes); return CUDA_SUCCESS; });
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream) {
    std::lock_guard lock(door);
    if (spoils("a copy to the host")) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (!inside(from, bytes)) return refuse(CUDA_ERROR_INVALID_VALUE, "a copy from outside of an allocation");
    if (dry()) std::memset(to, 0, bytes);
    return enqueue([=] { std::memcpy(to, memory_at(from), bytes); return CUDA_SUCCESS; });
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream) {
    std::lock_guard lock(door);
    if (!inside(to, bytes) || !inside(from, bytes)) return refuse(CUDA_ERROR_INVALID_VALUE, "a copy outside of allocations");
    return enqueue([=] { std::memcpy(memory_at(to), memory_at(from), bytes); return CUDA_SUCCESS; });
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream) {
    std::lock_guard lock(door);
    if (!inside(to, bytes)) return refuse(CUDA_ERROR_INVALID_VALUE, "memset outside of an allocation");
    return enqueue([=] { std::memset(memory_at(to), value, bytes); return CUDA_SUCCESS; });
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream, void** arguments, void**) {
    std::lock_guard lock(door);
    auto* f = reinterpret_cast<Function*>(function);
    bool grid = gx && gx <= 0x7fffffffu && gy && gy <= 65535 && gz && gz <= 65535;
    bool threads = bx && by && bz && bz <= 64 && uint64_t(bx) * by * bz <= 1024;
    if (!grid || !threads || shared > f->shared_allowed) {
        std::fprintf(stderr, "rehearsed driver: kernel %s with grid %u %u %u, block %u %u %u, %u bytes of shared memory (%zu allowed)\n",
                     f->entry->name, gx, gy, gz, bx, by, bz, shared, f->shared_allowed);
        return CUDA_ERROR_INVALID_VALUE;
    }
    Launch launch{f->entry, {gx, gy, gz}, {bx, by, bz}, shared, {}};
    for (const char* type = f->entry->types; *type; type++, arguments++) {
        uint64_t word = 0;
        std::memcpy(&word, *arguments, *type == 'p' || *type == 'U' ? 8 : 4);
        if (*type == 'p' && word && !inside(word, 0)) return refuse(CUDA_ERROR_INVALID_VALUE, "an argument points nowhere");
        launch.arguments.push_back(word);
    }
    return enqueue([launch] { return run(launch); });
}

CUresult cuStreamCreate(CUstream* stream, unsigned) { *stream = reinterpret_cast<CUstream>(&queue); return CUDA_SUCCESS; }
CUresult cuStreamDestroy(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream) {
    std::lock_guard lock(door);
    return spoils("waiting") ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : drain();
}
CUresult cuStreamBeginCapture(CUstream, CUstreamCaptureMode) {
    std::lock_guard lock(door);
    if (capture != Capture::None) return CUDA_ERROR_ILLEGAL_STATE;
    capture = Capture::Going;
    recording = new Graph;
    return sticky;
}
CUresult cuStreamEndCapture(CUstream, CUgraph* graph) {
    std::lock_guard lock(door);
    bool spoiled = capture == Capture::Spoiled;
    capture = Capture::None;
    if (spoiled) delete recording;
    *graph = spoiled ? nullptr : reinterpret_cast<CUgraph>(recording);
    return spoiled ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
    *executable = reinterpret_cast<CUgraphExec>(new Graph(*reinterpret_cast<Graph*>(graph)));
    return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
    std::lock_guard lock(door);
    if (spoils("launching a graph")) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (dry()) return CUDA_SUCCESS;
    for (const Work& work : reinterpret_cast<Graph*>(executable)->work)
        if (CUresult result = enqueue(work)) return result;
    return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { delete reinterpret_cast<Graph*>(graph); return CUDA_SUCCESS; }
CUresult cuGraphExecDestroy(CUgraphExec executable) {
    std::lock_guard lock(door);
    drain();
    delete reinterpret_cast<Graph*>(executable);
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* event, unsigned) { *event = reinterpret_cast<CUevent>(new Moment{}); return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent event, CUstream) {
    std::lock_guard lock(door);
    auto* moment = reinterpret_cast<Moment*>(event);
    if (dry()) *moment = {true, std::chrono::steady_clock::now()};
    return enqueue([=] { *moment = {true, std::chrono::steady_clock::now()}; return CUDA_SUCCESS; });
}
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) { return sticky; } // all streams are one queue
CUresult cuEventElapsedTime(float* ms, CUevent from, CUevent to) {
    auto *a = reinterpret_cast<Moment*>(from), *b = reinterpret_cast<Moment*>(to);
    if (!a->reached || !b->reached) return CUDA_ERROR_NOT_READY;
    *ms = std::chrono::duration<float, std::milli>(b->at - a->at).count();
    return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent event) {
    std::lock_guard lock(door);
    drain();
    delete reinterpret_cast<Moment*>(event);
    return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char** text) { *text = "the rehearsed driver says no"; return CUDA_SUCCESS; }

} // extern "C"
