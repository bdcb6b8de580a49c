#!/usr/bin/env bash
# Builds what benches/gpu/run.sh needs on a machine with a GPU and without Rust: benches/gpu/package.sh OUT.tar.gz
# Needs here: Rust, and nvcc 13.0 as model/kernels/build.rs finds it (CUDA_HOME, CUDA_PATH, PATH, /usr/local/cuda).
# The archive holds the command (the shipped model is part of it), the device tests, the recordings and the scripts; at most 60 MB.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 OUT.tar.gz" >&2; exit 2; }
out=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
limit_bytes=60000000
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/lacuna-gpu/bin" "$stage/lacuna-gpu/benches/gpu" "$stage/lacuna-gpu/fixtures"

cargo build --release --locked -p lacuna-cli --features cuda
binary=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/release/lacuna
cp "$binary" "$stage/lacuna-gpu/bin/lacuna"

test_binary() { # NAME PACKAGE TARGET...: builds a test and copies its program
  local name=$1 package=$2 built
  shift 2
  built=$(cargo test --release --locked -p "$package" --features cuda "$@" --no-run --message-format=json |
    python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"]: print(message["executable"])' | tail -1)
  [ -n "$built" ] || { echo "$0: $package has no test $*" >&2; exit 1; }
  cp "$built" "$stage/lacuna-gpu/bin/$name"
  strip "$stage/lacuna-gpu/bin/$name"
}
test_binary kernels-device lacuna-kernels --test device
test_binary diffusion-device lacuna-diffusion --test device
test_binary diffusion-loop lacuna-diffusion --lib

cp benches/gpu/run.sh benches/gpu/reference.py benches/gpu/collect.py benches/gpu/checkpoint.py "$stage/lacuna-gpu/benches/gpu/"
cp -r fixtures/parity "$stage/lacuna-gpu/fixtures/"
git describe --always --dirty --exclude='*' >"$stage/lacuna-gpu/COMMIT"
GZIP=-9 tar -C "$stage" -caf "$out" lacuna-gpu # .tar.gz or .tar.xz, as the name says
size=$(stat -c %s "$out")
echo "$out: $size bytes"
[ "$size" -le "$limit_bytes" ] || { echo "$0: more than $limit_bytes bytes" >&2; exit 1; }
