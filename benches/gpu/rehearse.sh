#!/usr/bin/env bash
# Goes through everything that run.sh does on a card, on a machine without one: benches/gpu/rehearse.sh ARCHIVE
# ARCHIVE is what package.sh made. Its programs, built for real cards, run on a driver whose card is the emulator
# (rehearsed-driver.sh), at small sizes; the sizes of the 26B model are launched and checked, and not computed. Then what
# happens where there is no driver, no card, no memory, a kernel that fails and one that never ends. Some ten minutes.
# Needs bash, python3, a C++ compiler, CUDA's headers; with torch and transformers the reference is rehearsed too.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 ARCHIVE.tar.gz" >&2; exit 2; }
archive=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf 'rehearse.sh: %s\n' "$*" >&2; exit 1; }
tar -C "$work" -xf "$archive"
here=$work/lacuna-gpu lacuna=$work/lacuna-gpu/bin/lacuna
./rehearsed-driver.sh "$work/driver"
printf 'def mean(values):\n    return ‹›\n' >"$work/hole.py"
fill() { "$lacuna" fill "$work/hole.py" --candidates 1 --steps 1 "$@"; }
driver() { LD_LIBRARY_PATH=$work/driver "$@"; }

echo "==> without a driver"
begun=$SECONDS rc=0
OUT=$work/none "$here/benches/gpu/run.sh" >"$work/none.log" 2>&1 || rc=$?
[ "$rc" = 1 ] && grep -q 'no usable GPU: nothing else can run' "$work/none.log" && [ $((SECONDS - begun)) -lt 20 ] ||
  fail "run.sh without a driver: exit code $rc after $((SECONDS - begun)) s: $(cat "$work/none.log")"
refused() { # WORDS COMMAND...: it ends with code 2 and says them
  local words=$1 rc=0
  shift
  "$@" >"$work/said" 2>&1 || rc=$?
  [ "$rc" = 2 ] && grep -qF "$words" "$work/said" || fail "$*: exit code $rc: $(cat "$work/said")"
  tail -1 "$work/said"
}
missing='no NVIDIA driver: libcuda.so.1 was not found; install the driver, or run on the CPU with --device cpu'
refused "$missing" fill --device cuda
[ "$(fill --device auto --precision f32)" = "$(fill --device cpu --precision f32)" ] || fail "--device auto did not fall back to the CPU"
"$lacuna" doctor --json | grep -qF "$missing" || fail "the doctor does not say why there is no GPU"

echo "==> drivers and cards at fault"
for fault in no-device:'there is no CUDA device 0' old-driver:'update the driver (580 or later)' busy:'is busy or set to exclusive use' no-kernels:'this build has no kernels for compute capability 9.0'; do
  REHEARSAL_FAULT=${fault%%:*} refused "${fault#*:}" driver fill --device cuda
  REHEARSAL_FAULT=${fault%%:*} driver fill --device auto >"$work/said" || fail "--device auto with $fault: $(cat "$work/said")"
done
REHEARSAL_MEMORY=20000000000 REHEARSAL_DRY=1 refused 'q4 weights would fit' driver "$lacuna" bench step --shape 26b --weights bf16 --prefix 4096 --canvas 256 --device cuda

echo "==> the 26B model's launches"
sizes() { # of run.sh: WEIGHTS CANVAS BATCH PREFIX
  for weights in bf16 q8 q4; do echo $weights 256 1 4096; done
  for batch in 2 4; do echo bf16 256 $batch 4096; echo q4 256 $batch 4096; done
  for canvas in 32 64 128; do echo q4 $canvas 1 4096; done
  for prefix in 1024 7936 16384 65536 131072; do echo q4 256 1 $prefix; done
}
sizes | while read -r weights canvas batch prefix; do
  for wgmma in 0 1; do
    LACUNA_WGMMA=$wgmma REHEARSAL_DRY=1 driver "$lacuna" bench step --shape 26b --weights $weights --canvas $canvas --batch $batch --prefix $prefix --device cuda --repeats 1 --causal 2 >"$work/said" 2>&1 ||
      fail "$weights, canvas $canvas, batch $batch, prefix $prefix: $(cat "$work/said")"
    if grep -q 'rehearsed driver:' "$work/said"; then fail "$(cat "$work/said")"; fi
  done
done

echo "==> run.sh"
python=$(command -v python3)
"$python" -c 'import torch, transformers' 2>/dev/null && parts=(tests speed loading reference) || parts=(tests speed loading)
rc=0
REHEARSAL=1 BUDGET_S=1800 OUT=$work/results driver "$here/benches/gpu/run.sh" "${parts[@]}" >"$work/run.log" 2>&1 || rc=$?
[ "$rc" = 0 ] || { cat "$work/run.log"; fail "run.sh ${parts[*]}: exit code $rc"; }
grep -E 'passed|==> .*done' "$work/run.log"
# The sizes of the rehearsal, called those of the 26B model: so that every measure is seen to be worked out.
"$python" - "$work/results/gpu-rehearsal.json" "$here/benches/gpu" <<'P'
import json, sys
sys.path.insert(0, sys.argv[2])
import collect
result = json.load(open(sys.argv[1]))
names = {16: 256, 48: 4096, 100: 7936}
for row in result["rows"]:
    row["canvas"], row["prefix"] = names.get(row["canvas"], row["canvas"]), names.get(row["prefix"], row["prefix"])
    row["batch"] = {2: 4}.get(row["batch"], row["batch"])
result["reference"] = result["reference"] or {"ms_per_step": 1.0, "version": "made up"}
expected = {"card", "driver", "date", "commit", "copy_gb_s", "matmul_tflop_s", "rows", "loading", "reference"}
assert set(result) == expected, sorted(set(result) ^ expected)
measures = [name for name, *_ in collect.measures(result)]
assert len(measures) == 23, measures
print(f"{len(result['rows'])} rows, {len(result['loading'])} loads, {len(measures)} measures")
P

echo "==> a kernel that fails, and one that never ends"
for fault in illegal hang; do
  begun=$SECONDS rc=0
  REHEARSAL=1 REHEARSAL_FAULT=$fault=heads BUDGET_S=45 OUT=$work/$fault driver "$here/benches/gpu/run.sh" tests >"$work/$fault.log" 2>&1 || rc=$?
  [ "$rc" = 1 ] && [ $((SECONDS - begun)) -lt 75 ] && grep -q 'FAILED or skipped: kernels-device attention::heads_are_normed_and_turned' "$work/$fault.log" ||
    fail "run.sh with a kernel at fault ($fault): exit code $rc after $((SECONDS - begun)) s: $(cat "$work/$fault.log")"
  grep -E 'kernels-device: .* passed' "$work/$fault.log" || fail "the other tests did not run: $(cat "$work/$fault.log")"
done
echo "rehearsed"
