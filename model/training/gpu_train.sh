#!/usr/bin/env bash
# Trains on a GPU machine without network, in calls of some minutes, with small files in and out.
#
#   bash gpu_train.sh pack DATA PACK                 here: the packed corpus as one small archive, PACK.tar.xz
#   bash gpu_train.sh train PACK WORK OUT            there, again and again until it says "finished": unpack, train, export,
#                                                    parity, pieces of at most 15 MiB into OUT (sha256 beside them)
#   bash gpu_train.sh join OUT MODEL                 here: the pieces of OUT → the model's files and log.csv in MODEL
#
# WORK holds data and checkpoint and should outlive a call; where it did not, put a model from an earlier OUT into WORK/start
# and training goes on from its weights with a fresh optimiser. Settings, by environment: SIZE (tiny, small, medium, large),
# MINUTES (training time of all calls), CALL_MINUTES (of one call), DEVICE, PYTHON, PIECE_MIB, MORE (options of train_device.py).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1

pack() { # DATA PACK
  local target names=(vocab.npz cuts.npz tokenizer.json) split language
  target=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
  for language in rust python typescript; do
    names+=("heldout.$language.jsonl")
    for split in train heldout; do
      names+=("tokens.$split.$language.npy" "flags.$split.$language.npy" "docs.$split.$language.npy")
    done
  done
  (cd "$1" && "$python" -m tarfile -c "$target" "${names[@]}") # the name's ending says the compression: .tar.xz
  ls -l "$target"
}

train() { # PACK WORK OUT
  local pack=$1 work=$2 out=$3 resume=() status=0
  mkdir -p "$work/run" "$out"
  [ -e "$work/data/vocab.npz" ] || "$python" -m tarfile -e "$pack" "$work/data"
  if [ -e "$work/run/checkpoint.pt" ]; then resume=(--resume); elif [ -d "$work/start" ]; then resume=(--start "$work/start"); fi
  local budget=(--minutes "${MINUTES:-24}")
  [ -n "${STEPS:-}" ] && budget=(--steps "$STEPS")
  # shellcheck disable=SC2086 # MORE is a list of words
  "$python" "$here/train_device.py" --data "$work/data" --out "$work/run" --device "${DEVICE:-cuda}" --size "${SIZE:-medium}" \
    "${budget[@]}" --call-minutes "${CALL_MINUTES:-8}" "${resume[@]}" ${MORE:-} || status=$?
  [ $status -eq 0 ] || [ $status -eq 3 ] || exit $status
  "$python" "$here/export.py" --checkpoint "$work/run/checkpoint.pt" --data "$work/data" --out "$work/model"
  # An installed transformers that is too old to know the class must not cost the weights: the check is then to be made at home.
  "$python" "$here/check_parity.py" --model "$work/model" 2>&1 | tail -n 5 || echo "parity: not shown here; run check_parity.py on the joined model"
  "$python" "$here/measure.py" --model "$work/model" --data "$work/data" || echo "held-out losses: not shown here; run measure.py on the joined model"
  cp "$work/run/log.csv" "$work/model/log.csv"
  (cd "$work" && "$python" -m tarfile -c model.tar model)
  rm -f "$out"/model.tar.*
  "$python" "$here/parts.py" split "$work/model.tar" --out "$out" --mib "${PIECE_MIB:-15}"
  [ $status -eq 0 ] && echo "finished" || echo "stopped by the call's time: call again"
}

join() { # OUT MODEL
  local beside
  beside=$(mktemp -d)
  "$python" "$here/parts.py" join "$1/model.tar.sha256" --out "$beside/model.tar"
  "$python" -m tarfile -e "$beside/model.tar" "$beside"
  mkdir -p "$2" && mv "$beside"/model/* "$2"/ && rm -r "$beside"
}

case "${1:-} $#" in
  "pack 3") pack "$2" "$3" ;;
  "train 4") train "$2" "$3" "$4" ;;
  "join 3") join "$2" "$3" ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
