#!/usr/bin/env bash
# Makes README's pictures anew, from real runs: ghost text in VS Code, and the canvas condensing in Neovim.
#   benches/pictures.sh DIR PROGRAM      a code-server in DIR (.ci/vscode DIR PROGRAM installs it), a built lacuna
# LACUNA_NVIM names a Neovim 0.12 that is not on the PATH, LACUNA_PICTURES_OUT another folder than benches/pictures. Each
# picture takes the first of its cases that the shipped model gets right; where it gets none right, this fails and says what
# the model wrote.
set -euo pipefail
[ $# -eq 2 ] && [ -x "$2" ] || { echo "usage: $0 DIR PROGRAM" >&2; exit 2; }
dir=$(realpath "$1") program=$(realpath "$2")
cd "$(dirname "$0")/.."
[ -x "$dir/node_modules/.bin/code-server" ] || { echo "$0: no code-server in $dir: .ci/vscode $dir $program installs it" >&2; exit 2; }
out=${LACUNA_PICTURES_OUT:-benches/pictures}
mkdir -p "$out"
.ci/vscode --build-only "$dir" >/dev/null
"${LACUNA_NVIM:-nvim}" --clean -l benches/picture_neovim.lua "$program" "$out/condensing.svg"
LACUNA_VSCODE=$dir LACUNA=$program LACUNA_VSIX=$dir/lacuna.vsix LACUNA_PICTURES=$(mktemp -d) \
  "$dir/node_modules/node/bin/node" benches/picture_vscode.mjs "$out/vscode.png"
