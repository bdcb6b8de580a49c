#!/usr/bin/env bash
# Everything that needs a GPU, in one go: correctness, then speed, then the reference. Not yet run on a GPU.
#   benches/gpu/run.sh                      in a checkout with Rust, or in the unpacked archive of package.sh without
# Writes gpu-<card>.json and the logs to $OUT, or benches/results where OUT is not set. A part that fails is said at the end
# and in the exit code; the others still run. BUDGET_S (560) bounds the whole; what no longer fits is skipped and said.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-benches/results}
mkdir -p "$out"
budget_s=${BUDGET_S:-560}
started=$SECONDS
failed=()
say() { printf '\n==> [%3d s] %s\n' $((SECONDS - started)) "$*" >&2; } # results go to standard output
left() { echo $((budget_s - (SECONDS - started))); }
# part NAME SECONDS_MAX COMMAND...: runs a part within its time and what is left, and notes a failure.
part() {
  local name=$1 most=$2 rc=0
  shift 2
  [ "$(left)" -lt "$most" ] && most=$(left)
  [ "$most" -ge 5 ] || { say "$name: SKIPPED, no time left"; failed+=("$name (no time left)"); return 1; }
  say "$name"
  timeout "$most" "$@" || rc=$?
  [ "$rc" -eq 0 ] || { echo "$name: exit code $rc" >&2; failed+=("$name"); }
  return "$rc"
}

if [ ! -x bin/lacuna ]; then # a checkout: build what the archive brings along, and run there
  command -v cargo >/dev/null || { echo "$0: no bin/lacuna here and no cargo to build it; unpack what package.sh made" >&2; exit 2; }
  here=$(mktemp -d)
  benches/gpu/package.sh "$here/lacuna-gpu.tar.gz" && tar -C "$here" -xzf "$here/lacuna-gpu.tar.gz" || exit 2
  OUT=$(realpath "$out") exec "$here/lacuna-gpu/benches/gpu/run.sh"
fi
lacuna=$PWD/bin/lacuna
export LACUNA_FIXTURES_DIR=$PWD/fixtures

say "the machine"
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem --format=csv
part "doctor" 60 "$lacuna" doctor --device cuda --json >"$out/doctor.json" || { cat "$out/doctor.json"; echo "no usable GPU: nothing else can run" >&2; exit 1; }
cat "$out/doctor.json"

# Correctness. Each kernel against its twin, then whole passes against the reference's recordings.
part "kernels against their twins" 120 bin/kernels-device 2>&1 | tee "$out/kernels.log" | tail -40
[ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("kernels against their twins")
part "recordings of the reference" 60 bin/diffusion-device 2>&1 | tee "$out/parity.log" | tail -30
[ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("recordings of the reference")
# The same seed gives the same text twice, and on the shipped model in f32 the text of the CPU.
printf 'def mean(values):\n    return ‹›\n' >"$out/hole.py"
fill() { "$lacuna" fill "$out/hole.py" --candidates 1 --seed 7 --precision f32 --model model/mini "$@"; }
same_text() {
  local cpu first second
  cpu=$(fill --device cpu) && first=$(fill --device cuda) && second=$(fill --device cuda) || return 1
  printf 'cpu:  %s\ncuda: %s\ncuda: %s\n' "$cpu" "$first" "$second"
  [ "$first" = "$second" ] && [ "$first" = "$cpu" ]
}
export -f fill same_text
export lacuna out
part "the same text twice, and the CPU's" 60 bash -c same_text

# Speed: the rows of the issue, then what changes with the batch and with the prefix.
step() { # WEIGHTS CANVAS BATCH PREFIX
  local name="step-$1-$2-$3-$4"
  part "step: $1, canvas $2, batch $3, prefix $4" 90 "$lacuna" bench step --shape 26b --weights "$1" --canvas "$2" \
    --batch "$3" --prefix "$4" --device cuda --repeats 20 --json >"$out/$name.json" && cat "$out/$name.json"
}
rm -f "$out"/step-*.json
for weights in q4 q8 bf16; do step "$weights" 256 1 4096; done
for batch in 2 4; do step q4 256 "$batch" 4096; done
for prefix in 1024 16384 65536 131072; do step q4 256 1 "$prefix"; done
for canvas in 32 64 128; do step q4 "$canvas" 1 4096; done

# The reference last: it may take what time is left.
python=$(command -v python3 || command -v python)
rm -f "$out/reference.json"
if "$python" -c 'import torch, transformers' 2>/dev/null; then
  part "the reference on torch" 240 "$python" benches/gpu/reference.py --json "$out/reference.json"
else
  say "the reference on torch: SKIPPED, no torch and transformers here"
fi
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    part "compute-sanitizer $tool" 120 compute-sanitizer --tool "$tool" --error-exitcode 9 bin/diffusion-device small_plain
  done
else
  say "compute-sanitizer: SKIPPED, it is not here"
fi

"$python" benches/gpu/collect.py "$out" "$(cat COMMIT)" || failed+=("collecting the results")
say "done in $((SECONDS - started)) s"
[ ${#failed[@]} -eq 0 ] || { printf 'FAILED or skipped: %s\n' "${failed[@]}"; exit 1; }
