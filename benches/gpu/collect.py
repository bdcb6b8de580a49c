#!/usr/bin/env python3
"""Gathers what run.sh measured into gpu-<card>.json: collect.py RESULTS COMMIT OUT. Standard library only.

What OUT/gpu-<card>.json holds already of the same commit is kept where RESULTS has nothing newer, so that parts of run.sh may
run one after another, on different days too. Ends with 1 where a measurement is not to be trusted.
"""
import datetime
import json
import re
import sys
from pathlib import Path

SIZE = ["weights", "canvas", "batch", "prefix", "wgmma"]
ROW = SIZE + ["ms_per_step", "floor_ms", "tokens_per_s_16", "overflowed_rows", "compute_floor_ms", "copy_gb_s", "matmul_tflop_s",
              "prefill_ms", "first_frame_ms", "commit_ms", "causal", "parts", "weight_bytes", "kv_bytes", "buffer_bytes",
              "taken_bytes"]
LOADING = ["weights", "weight_bytes", "load_ms", "open_ms"]


def read(results, pattern):
    """The non-empty results of a kind, by file name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(results.glob(pattern)) if path.stat().st_size}


def size(row):
    return tuple(row[key] for key in SIZE)


def collect(results, commit, out):
    """Writes the file; its path and content."""
    steps = [step | {"wgmma": name.endswith("-wgmma")} for name, step in read(results, "step-*.json").items()]
    loads = list(read(results, "load-*.json").values())
    reference = read(results, "reference.json").get("reference")
    if not (steps or loads or reference):
        raise SystemExit(f"collect.py: no step-*.json, load-*.json or reference.json in {results}: nothing was measured")
    ours = (steps + loads)[:1]
    card = ours[0]["device"] if ours else reference["card"]
    path = out / f"gpu-{re.sub(r'[^a-z0-9]+', '-', card.lower()).strip('-')}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("commit") != commit or commit.endswith("-dirty"):
        known = {}
    rows = {size(row): row for row in known.get("rows", [])} | {size(step): {key: step[key] for key in ROW} for step in steps}
    loading = {load["weights"]: load for load in known.get("loading", [])}
    loading |= {load["weights"]: {key: load[key] for key in LOADING} for load in loads}
    result = {
        "card": card,
        "driver": ours[0]["driver"] if ours else known.get("driver", ""),
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "copy_gb_s": max((row["copy_gb_s"] for row in rows.values()), default=None),
        "matmul_tflop_s": max((row["matmul_tflop_s"] for row in rows.values()), default=None),
        "rows": list(rows.values()),
        "loading": list(loading.values()),
        "reference": reference or known.get("reference"),
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path, result


def measures(result):
    """The aims for the 26B model on an H200: name, what was found, what is wanted, whether that is it. Nothing where nothing was measured."""
    rows = {size(row): row for row in result["rows"]}
    row = lambda weights, batch=1, prefix=4096: rows.get((weights, 256, batch, prefix, False))
    at_most = lambda name, found, most: (name, f"{found:.2f}", f"at most {most}", found <= most)
    at_least = lambda name, found, least: (name, f"{found:.2f}", f"at least {least}", found >= least)
    for weights, ms, speed in (("bf16", 15.5, 970), ("q8", 9, 1650), ("q4", 6, 2500)):
        if one := row(weights):
            yield at_most(f"{weights}: ms per step", one["ms_per_step"], ms)
            yield at_least(f"{weights}: tokens/s at 16 steps", one["tokens_per_s_16"], speed)
            if four := row(weights, 4):
                yield at_most(f"{weights}: four canvases, in times of one", four["ms_per_step"] / one["ms_per_step"], 1.35)
            yield at_most(f"{weights}: first frame after a typed character, in steps", one["first_frame_ms"] / one["ms_per_step"], 2)
            yield at_most(f"{weights}: beyond weights and KV cache, % of weights", one["buffer_bytes"] / one["weight_bytes"] * 100, 5)
            if one["causal"]:
                diffusion = one["canvas"] / (16 * one["ms_per_step"] + one["commit_ms"]) * 1e3
                yield at_least(f"{weights}: diffusion at 16 steps, in speeds of left to right ({one['causal']['tokens']} tokens)",
                               diffusion / one["causal"]["tokens_per_s"], 4)
    if one := row("bf16"):
        yield at_most("bf16: prefill of 4096 tokens, ms", one["prefill_ms"], 100)
        if result["reference"]:
            yield at_least("bf16: the reference's step, in steps of ours", result["reference"]["ms_per_step"] / one["ms_per_step"], 3)
    if one := row("q4", prefix=7936):
        yield at_most("q4: GB with a context of 8k", (one["weight_bytes"] + one["kv_bytes"] + one["buffer_bytes"]) / 1e9, 18)
    for load in result["loading"]:
        yield at_least(f"{load['weights']}: loading, GB/s of stored weights", load["weight_bytes"] / load["load_ms"] / 1e6, 3)


def show(path, result):
    """The file in a few lines."""
    print(path)
    if result["rows"]:
        print(f"{result['card']}, copies {result['copy_gb_s']:.0f} GB/s, products {result['matmul_tflop_s']:.0f} TFLOP/s")
    for row in result["rows"]:
        print(f"{row['weights']:5} canvas {row['canvas']:4} batch {row['batch']} prefix {row['prefix']:6}: "
              f"{row['ms_per_step']:7.2f} ms, floor {row['floor_ms']:6.2f} ms, {row['tokens_per_s_16']:6.0f} tokens/s at 16 steps, "
              f"prefix {row['prefill_ms']:.0f} ms{' (LACUNA_WGMMA=1)' if row['wgmma'] else ''}")
    for load in result["loading"]:
        print(f"{load['weights']:5} loading {load['weight_bytes'] / 1e9:.2f} GB: {load['load_ms']:.0f} ms, opening the card {load['open_ms']:.0f} ms")
    if reference := result["reference"]:
        print(f"reference: {reference['ms_per_step']:.2f} ms ({reference['version']})")
    for name, found, wanted, reached in measures(result):
        print(f"{'reached' if reached else 'MISSED '} {name}: {found}, {wanted}")


def main():
    path, result = collect(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    show(path, result)
    overflowed = [row for row in result["rows"] if row["overflowed_rows"]]
    if overflowed:
        raise SystemExit(f"collect.py: rows overflowed in {len(overflowed)} of {len(result['rows'])} runs (overflowed_rows): "
                         "their times include the exact path and are no measure of a step")


if __name__ == "__main__":
    main()
