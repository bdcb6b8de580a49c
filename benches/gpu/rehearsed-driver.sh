#!/usr/bin/env bash
# Builds a libcuda.so.1 whose card is the emulator: benches/gpu/rehearsed-driver.sh DIR
# Needs a C++ compiler with OpenMP, and CUDA's headers (cuda.h) in $CUDA_HOME/include or $CUDA_PATH/include.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"; to=$(realpath "$1")
cd "$(dirname "$0")/../../model/kernels/cuda"
headers=${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}/include
[ -f "$headers/cuda.h" ] || { echo "$0: no cuda.h in $headers; set CUDA_HOME (model/kernels/README.md says how to get it)" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names=$(sed -n 's/^EXPORT(\([a-z0-9_]*\)).*/\1/p' ./*.cu | sort)
{
  printf '#include "emulator/emulator.h"\nusing lacuna::emulator::Entry;\n'
  for name in $names; do printf 'extern "C" const Entry lacuna_entry_%s;\n' "$name"; done
  printf 'extern "C" const Entry* lacuna_emulated_kernel(const char* name, size_t length) {\n    static const Entry* const all[] = {\n'
  for name in $names; do printf '        &lacuna_entry_%s,\n' "$name"; done
  printf '    };\n    for (const Entry* entry : all)\n        if (std::strlen(entry->name) == length && !std::memcmp(entry->name, name, length)) return entry;\n    return nullptr;\n}\n'
} >"$work/table.cpp"
compile() { ${CXX:-c++} -xc++ -std=c++17 -O2 -fPIC -ffp-contract=off -fno-strict-aliasing -fopenmp -w ${EXTRA_FLAGS-} -I. -I"$headers" -c "$1" -o "$work/$(basename "$1").o"; }
export -f compile
export work headers
printf '%s\n' ./*.cu emulator/emulator.cpp emulator/driver.cpp "$work/table.cpp" | xargs -P "$(nproc)" -I{} bash -c 'compile {}'
${CXX:-c++} -shared -fopenmp ${EXTRA_FLAGS-} -Wl,-soname,libcuda.so.1 -Wl,--no-undefined "$work"/*.o -o "$to/libcuda.so.1" -lpthread
