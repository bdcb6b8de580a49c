#!/usr/bin/env bash
# Everything that needs a GPU: correctness, speed, loading, the reference. Not yet run on a GPU.
#   benches/gpu/run.sh [PART...]     in a checkout with Rust, or in the unpacked archive of package.sh without
# Parts, in this order and all of them where none is named:
#   tests      each kernel, the network and the loop against their twins; the same text twice
#   speed      steps of the three formats, then what changes with batch, prefix and canvas
#   loading    a made-up checkpoint of some GB on its way to the card
#   reference  the same step on torch + transformers
#   sanitize   compute-sanitizer over the tests of the tensor-core kernels
# Writes gpu-<card>.json (what is there already is kept, see collect.py) and gpu-run.log, all that was said, to $OUT, or
# benches/results where OUT is not set; where the results cannot be gathered, gpu-raw.txt: every single one of them. Whatever
# fails is said at the end and in the exit code; the rest still runs. Every command has its own limit and BUDGET_S (560)
# bounds the whole; what no longer fits is skipped and said. REHEARSAL=1 takes sizes that an emulated card computes
# (rehearse.sh).
set -uo pipefail
out=$(realpath -m "${OUT:-$(dirname "$0")/../results}") # before `cd`: a relative OUT is the caller's
cd "$(dirname "$0")/../.." || exit 2
mkdir -p "$out" || exit 2
budget_s=${BUDGET_S:-560}
started=$SECONDS
failed=()
all_parts=(tests speed loading reference sanitize)
parts=("$@")
[ $# -gt 0 ] || parts=("${all_parts[@]}")
for part in "${parts[@]}"; do
  [[ " ${all_parts[*]} " == *" $part "* ]] || { echo "$0: no part $part; there are: ${all_parts[*]}" >&2; exit 2; }
done
say() { printf '\n==> [%3d s] %s\n' $((SECONDS - started)) "$*"; }
left() { echo $((budget_s - (SECONDS - started))); }
# limit SECONDS_MAX: that, or what is left of the budget.
limit() { local left; left=$(left); echo $(($1 < left ? $1 : left)); }
# within NAME SECONDS_MAX COMMAND...: runs it within its time and what is left, and notes a failure.
within() {
  local name=$1 most rc=0
  most=$(limit "$2")
  shift 2
  [ "$most" -ge 5 ] || { say "$name: SKIPPED, no time left"; failed+=("$name (no time left)"); return 1; }
  say "$name"
  timeout -k 5 "$most" "$@" || rc=$?
  case $rc in
    0) return 0 ;;
    124 | 137) echo "$name: stopped after $most s" ;;
    *) echo "$name: exit code $rc" ;;
  esac
  failed+=("$name")
  return "$rc"
}

if [ ! -x bin/lacuna ]; then # a checkout: build what the archive brings along, and run there
  command -v cargo >/dev/null || { echo "$0: no bin/lacuna here and no cargo to build it; unpack what package.sh made" >&2; exit 2; }
  here=$(mktemp -d)
  benches/gpu/package.sh "$here/lacuna-gpu.tar.gz" && tar -C "$here" -xzf "$here/lacuna-gpu.tar.gz" || exit 2
  OUT=$out exec "$here/lacuna-gpu/benches/gpu/run.sh" "$@"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lacuna=$PWD/bin/lacuna
export LACUNA_FIXTURES_DIR=$PWD/fixtures lacuna work
python=$(command -v python3 || command -v python)

# Sizes: those that the 26B model is measured at, or what an emulated card can do.
if [ "${REHEARSAL-}" = 1 ]; then
  shape=$PWD/fixtures/parity/small/model canvas=16 prefix=48 repeats=1 causal=2
  export test_s=240
  batches=(2) prefixes=() canvases=() contexts=(100) checkpoint=(--like "$shape/config.json" --layers 6) reference=(--shape small --device cpu --prefix 48 --canvas 16 --repeats 2 --compile-seconds 0)
else
  shape=26b canvas=256 prefix=4096 repeats=20 causal=512
  export test_s=60
  batches=(2 4) prefixes=(1024 16384 65536 131072) canvases=(32 64 128) contexts=(7936) checkpoint=(--layers 3) reference=()
fi

# Opens the card and copies on it, no kernel. Without a card the tests say SKIPPED and pass.
opens() { timeout -k 5 60 bin/kernels-device --exact layer::copies_stay_inside_their_buffers >"$work/opens" 2>&1 && ! grep -q SKIPPED "$work/opens"; }

# one_test PROGRAM NAME: leaves its exit code and all it said in a file. `--foreground` keeps it in the group that ends with
# `each`.
one_test() {
  local log rc=0
  log=$work/tests/$(basename "$1")-${2//[^a-z0-9_]/-}
  timeout --foreground -k 5 "$test_s" "$1" --exact "$2" --nocapture >"$log.log" 2>&1 || rc=$?
  echo "$rc" >"$log.rc"
}
export -f one_test

# each PROGRAM SECONDS_MAX [PATTERN]: its tests, several at a time, each in a process of its own, because one illegal address
# makes the card useless to the whole process.
each() {
  local program=$1 name log rc most passed=0 skipped=0
  name=$(basename "$program")
  most=$(limit "$2")
  [ "$most" -ge 5 ] || { say "$name: SKIPPED, no time left"; failed+=("$name (no time left)"); return; }
  say "$name"
  rm -rf "$work/tests" && mkdir "$work/tests"
  "$program" --list 2>/dev/null | sed -n 's/: test$//p' | grep -E "${3:-.}" >"$work/names"
  [ -s "$work/names" ] || { failed+=("$name lists no tests"); return; }
  local jobs; jobs=$(nproc)
  timeout -k 5 "$most" xargs -P $((jobs < 8 ? jobs : 8)) -I{} bash -c 'one_test "$0" "$1"' "$program" {} <"$work/names" || true
  while read -r test; do
    log=$work/tests/$name-${test//[^a-z0-9_]/-}
    rc=$(cat "$log.rc" 2>/dev/null || echo "none: not run or stopped after $most s")
    if [ "$rc" = 0 ]; then
      passed=$((passed + 1))
      grep -h SKIPPED "$log.log" && skipped=$((skipped + 1))
    else
      failed+=("$name $test")
      printf -- '---- %s %s: exit code %s\n' "$name" "$test" "$rc"
      tail -25 "$log.log" 2>/dev/null
    fi
  done <"$work/names"
  echo "$name: $passed of $(wc -l <"$work/names") passed, $skipped of them said SKIPPED"
  [ "$skipped" -eq 0 ] || failed+=("$name: $skipped tests skipped something")
}

# The same seed gives the same text twice, and on the shipped model in f32 the text of the CPU.
fill() { "$lacuna" fill "$work/hole.py" --candidates 1 --seed 7 --precision f32 "$@"; }
same_text() {
  local cpu first second few=()
  [ "${REHEARSAL-}" = 1 ] && few=(--steps 1) # an emulated card takes seconds for a step
  cpu=$(fill "${few[@]}" --device cpu) && first=$(fill "${few[@]}" --device cuda) && second=$(fill "${few[@]}" --device cuda) || return 1
  printf 'cpu:  %s\ncuda: %s\ncuda: %s\n' "$cpu" "$first" "$second"
  [ "$first" = "$second" ] && [ "$first" = "$cpu" ]
}
export -f fill same_text

run_tests() {
  each bin/kernels-device $((3 * test_s))
  each bin/diffusion-loop $((3 * test_s)) '^device::'
  each bin/diffusion-device $((3 * test_s))
  within "doctor" 60 "$lacuna" doctor --device cuda --json
  within "the same text twice, and the CPU's" 90 bash -c same_text
  within "the products of warpgroups against their twins" 60 env LACUNA_WGMMA=1 bin/kernels-device every_weight_and_shape
}

step_to() {
  local file=$1 shape=$2 weights=$3 canvas=$4 batch=$5 prefix=$6
  shift 6
  "$lacuna" bench step --shape "$shape" --weights "$weights" --canvas "$canvas" --batch "$batch" --prefix "$prefix" --device cuda --json "$@" >"$file"
}
export -f step_to
# step NOTE SECONDS_MAX WEIGHTS CANVAS BATCH PREFIX [OPTION...]: NOTE tells apart what has the same sizes.
step() {
  local file="$work/step-$3-$4-$5-$6-$1.json"
  within "step: $3, canvas $4, batch $5, prefix $6, $1" "$2" bash -c 'step_to "$@"' step "$file" "$shape" "${@:3:4}" --repeats "$repeats" "${@:7}" && cat "$file" && return
  rm -f "$file"
}

run_speed() {
  local weights batch length
  for weights in bf16 q8 q4; do step loop 90 $weights "$canvas" 1 "$prefix" --causal "$causal"; done
  LACUNA_WGMMA=1 step wgmma 60 bf16 "$canvas" 1 "$prefix"
  for batch in "${batches[@]}"; do for weights in bf16 q4; do step loop 60 $weights "$canvas" "$batch" "$prefix"; done; done
  for length in "${contexts[@]}"; do step loop 60 q4 "$canvas" 1 "$length"; done
  for length in "${canvases[@]}"; do step loop 60 q4 "$length" 1 "$prefix"; done
  for length in "${prefixes[@]}"; do step loop 90 q4 "$canvas" 1 "$length"; done
}

# Weights from files: some layers of the 26B model's sizes, in the page cache after they were written.
run_loading() {
  local weights file
  [ -n "$python" ] || { say "loading: SKIPPED, no python3 to write a checkpoint with"; failed+=("loading (no python3)"); return; }
  within "a made-up checkpoint" 90 "$python" benches/gpu/checkpoint.py "$work/checkpoint" "${checkpoint[@]}" || return
  for weights in bf16 q8 q4; do
    file=$work/load-$weights.json
    within "loading: $weights" 60 bash -c 'step_to "$@"' step "$file" "$work/checkpoint" $weights 16 1 64 --repeats 1 && cat "$file" && continue
    rm -f "$file"
  done
  rm -rf "$work/checkpoint"
}

run_reference() {
  [ -n "$python" ] || { say "the reference on torch: SKIPPED, no python3"; failed+=("the reference (no python3)"); return; }
  if ! timeout -k 5 90 "$python" -c 'import torch, transformers' 2>"$work/import"; then
    tail -1 "$work/import"
    say "the reference on torch: SKIPPED, torch or transformers cannot be imported"
    failed+=("the reference (no torch or transformers)")
    return
  fi
  within "the reference on torch" 420 "$python" benches/gpu/reference.py --json "$work/reference.json" "${reference[@]}"
}

run_sanitize() {
  local tool test
  command -v compute-sanitizer >/dev/null || { say "compute-sanitizer: SKIPPED, it is not here"; failed+=("compute-sanitizer (not here)"); return; }
  for tool in memcheck racecheck synccheck initcheck; do
    for test in heads_of_the_tensor_cores every_weight_and_shape the_experts_products statistics_survivors; do
      within "compute-sanitizer $tool $test" 60 compute-sanitizer --tool $tool --error-exitcode 9 bin/kernels-device $test
    done
  done
}

# Both raw and gathered results are small; the raw ones are kept only where they could not be gathered.
gather() {
  if [ -z "$python" ]; then
    failed+=("collecting the results (no python3)")
  else
    "$python" benches/gpu/collect.py "$work" "$(cat COMMIT)" "$out" && return
    failed+=("the results: see above")
    [ -z "$(find "$out" -name 'gpu-*.json' -newer "$work/hole.py")" ] || return
  fi
  (cd "$work" && for file in step-*.json load-*.json reference.json; do [ -s "$file" ] && echo "== $file" && cat "$file"; done) >"$out/gpu-raw.txt"
  echo "the single results are in $out/gpu-raw.txt"
}

main() {
  local part
  printf 'def mean(values):\n    return ‹›\n' >"$work/hole.py"
  say "the machine, commit $(cat COMMIT)"
  command -v nvidia-smi >/dev/null && timeout 20 nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem --format=csv
  opens || { cat "$work/opens"; echo "no usable GPU: nothing else can run"; return 1; }
  for part in "${parts[@]}"; do "run_$part"; done
  [ "${parts[*]}" = tests ] || [ "${parts[*]}" = sanitize ] || gather
  say "done in $((SECONDS - started)) s"
  [ ${#failed[@]} -eq 0 ] || { printf 'FAILED or skipped: %s\n' "${failed[@]}"; return 1; }
}
main 2>&1 | tee "$out/gpu-run.log"
exit "${PIPESTATUS[0]}"
