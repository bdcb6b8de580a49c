#!/usr/bin/env bash
# Everything that needs a GPU, in one go: correctness, then speed, then the reference. Not yet run on a GPU.
#   benches/gpu/run.sh                      in a checkout with Rust, or in the unpacked archive of package.sh without
# Writes gpu-<card>.json and gpu-run.log, all that was said, to $OUT, or benches/results where OUT is not set; nothing else,
# unless the results cannot be gathered: then gpu-raw.txt, every single one of them. A part that fails is said at the end and
# in the exit code; the others still run. BUDGET_S (560) bounds the whole; what no longer fits is skipped and said.
set -uo pipefail
out=$(realpath -m "${OUT:-$(dirname "$0")/../results}") # before `cd`: a relative OUT is the caller's
cd "$(dirname "$0")/../.." || exit 2
mkdir -p "$out" || exit 2
budget_s=${BUDGET_S:-560}
started=$SECONDS
failed=()
say() { printf '\n==> [%3d s] %s\n' $((SECONDS - started)) "$*"; }
left() { echo $((budget_s - (SECONDS - started))); }
# part NAME SECONDS_MAX COMMAND...: runs a part within its time and what is left, and notes a failure.
part() {
  local name=$1 most=$2 rc=0
  shift 2
  [ "$(left)" -lt "$most" ] && most=$(left)
  [ "$most" -ge 5 ] || { say "$name: SKIPPED, no time left"; failed+=("$name (no time left)"); return 1; }
  say "$name"
  timeout "$most" "$@" || rc=$?
  [ "$rc" -ne 124 ] || echo "$name: stopped after $most s"
  [ "$rc" -eq 0 ] || { echo "$name: exit code $rc"; failed+=("$name"); }
  return "$rc"
}

if [ ! -x bin/lacuna ]; then # a checkout: build what the archive brings along, and run there
  command -v cargo >/dev/null || { echo "$0: no bin/lacuna here and no cargo to build it; unpack what package.sh made" >&2; exit 2; }
  here=$(mktemp -d)
  benches/gpu/package.sh "$here/lacuna-gpu.tar.gz" && tar -C "$here" -xzf "$here/lacuna-gpu.tar.gz" || exit 2
  OUT=$out exec "$here/lacuna-gpu/benches/gpu/run.sh"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lacuna=$PWD/bin/lacuna
export LACUNA_FIXTURES_DIR=$PWD/fixtures
python=$(command -v python3 || command -v python)

# Opens the card and copies on it, no kernel. Without a card the tests say SKIPPED and pass.
opens() { timeout 60 bin/kernels-device --exact layer::copies_stay_inside_their_buffers >"$work/opens" 2>&1 && ! grep -q SKIPPED "$work/opens"; }

# each PROGRAM: its tests one by one, because one illegal address makes the card useless to the whole process.
each() {
  local program=$1 name
  "$program" --list 2>/dev/null | sed -n 's/: test$//p' >"$work/names"
  [ -s "$work/names" ] || { failed+=("$program lists no tests"); return; }
  while read -r name <&3; do
    part "$(basename "$program") $name" 30 "$program" --exact "$name" --nocapture
  done 3<"$work/names"
}

# The tests that launch the kernels of the tensor cores, under the tools that see what a comparison does not: slow, so early
# and within two minutes together.
sanitize() {
  command -v compute-sanitizer >/dev/null || { say "compute-sanitizer: SKIPPED, it is not here"; return; }
  local tool test begun=$SECONDS
  for tool in memcheck racecheck; do
    for test in heads_of_the_tensor_cores every_weight_and_shape the_experts_products statistics_survivors; do
      [ $((SECONDS - begun)) -lt 90 ] || { say "compute-sanitizer $tool $test: SKIPPED, its time is up"; continue; }
      part "compute-sanitizer $tool $test" 30 compute-sanitizer --tool "$tool" --error-exitcode 9 bin/kernels-device "$test"
    done
  done
}

# The same seed gives the same text twice, and on the shipped model in f32 the text of the CPU.
fill() { "$lacuna" fill "$work/hole.py" --candidates 1 --seed 7 --precision f32 --model model/mini "$@"; }
same_text() {
  local cpu first second
  cpu=$(fill --device cpu) && first=$(fill --device cuda) && second=$(fill --device cuda) || return 1
  printf 'cpu:  %s\ncuda: %s\ncuda: %s\n' "$cpu" "$first" "$second"
  [ "$first" = "$second" ] && [ "$first" = "$cpu" ]
}
export -f fill same_text
export lacuna work

step_to() { "$lacuna" bench step --shape 26b --weights "$2" --canvas "$3" --batch "$4" --prefix "$5" --device cuda --repeats 20 --json >"$1"; }
export -f step_to
step() { # WEIGHTS CANVAS BATCH PREFIX [NOTE]
  local file="$work/step-$1-$2-$3-$4${5:+-$5}.json"
  part "step: $1, canvas $2, batch $3, prefix $4${5:+, $5}" 90 bash -c 'step_to "$@"' step "$file" "$@" && cat "$file"
}

# Both raw and gathered results are small; the raw ones are kept only where they could not be gathered.
gather() {
  if [ -n "$python" ]; then
    "$python" benches/gpu/collect.py "$work" "$(cat COMMIT)" "$out" || failed+=("collecting the results")
  else
    failed+=("collecting the results (no python3)")
  fi
  compgen -G "$out/gpu-*.json" >/dev/null && [ -n "$(find "$out" -name 'gpu-*.json' -newer "$work/hole.py")" ] && return
  (cd "$work" && for file in step-*.json reference.json; do [ -s "$file" ] && echo "== $file" && cat "$file"; done) >"$out/gpu-raw.txt"
  echo "the single results are in $out/gpu-raw.txt"
}

main() {
  printf 'def mean(values):\n    return ‹›\n' >"$work/hole.py"
  say "the machine"
  command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem --format=csv
  opens || { cat "$work/opens"; echo "no usable GPU: nothing else can run"; return 1; }
  each bin/kernels-device
  each bin/diffusion-device
  sanitize
  part "doctor" 60 "$lacuna" doctor --device cuda --json
  part "the same text twice, and the CPU's" 60 bash -c same_text
  # Speed: the three formats, then what changes with the batch and with the prefix.
  for weights in q4 q8 bf16; do step "$weights" 256 1 4096; done
  part "the products of warpgroups against their twins" 30 env LACUNA_WGMMA=1 bin/kernels-device every_weight_and_shape
  LACUNA_WGMMA=1 step bf16 256 1 4096 wgmma
  for batch in 2 4; do step q4 256 "$batch" 4096; done
  for prefix in 1024 16384 65536 131072; do step q4 256 1 "$prefix"; done
  for canvas in 32 64 128; do step q4 "$canvas" 1 4096; done
  # The reference last: it may take what time is left.
  if [ -n "$python" ] && "$python" -c 'import torch, transformers' 2>/dev/null; then
    part "the reference on torch" 240 "$python" benches/gpu/reference.py --json "$work/reference.json"
  else
    say "the reference on torch: SKIPPED, no torch and transformers here"
  fi
  gather
  say "done in $((SECONDS - started)) s"
  [ ${#failed[@]} -eq 0 ] || { printf 'FAILED or skipped: %s\n' "${failed[@]}"; return 1; }
}
main 2>&1 | tee "$out/gpu-run.log"
exit "${PIPESTATUS[0]}"
