#!/usr/bin/env python3
"""Gathers what run.sh measured into gpu-<card>.json: collect.py RESULTS COMMIT OUT. Standard library only."""
import datetime
import json
import re
import sys
from pathlib import Path


def collect(results, commit, out):
    files = [path for path in sorted(results.glob("step-*.json")) if path.stat().st_size]
    steps = [json.loads(path.read_text()) | {"wgmma": path.stem.endswith("-wgmma")} for path in files]
    if not steps:
        raise SystemExit(f"collect.py: no step-*.json in {results}: nothing was measured")
    reference_file = results / "reference.json"
    reference = json.loads(reference_file.read_text()) if reference_file.exists() else None
    keys = ["weights", "canvas", "batch", "prefix", "ms_per_step", "floor_ms", "tokens_per_s_16"]
    more = ["wgmma", "overflowed_rows", "compute_floor_ms", "prefill_ms", "parts", "weight_bytes", "kv_bytes", "buffer_bytes"]
    result = {
        "card": steps[0]["device"],
        "driver": steps[0]["driver"],
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "copy_gb_s": max(step["copy_gb_s"] for step in steps),
        "matmul_tflop_s": max(step["matmul_tflop_s"] for step in steps),
        "rows": [{key: step[key] for key in keys + more} for step in steps],
        "reference": reference,
    }
    card = re.sub(r"[^a-z0-9]+", "-", result["card"].lower()).strip("-")
    path = out / f"gpu-{card}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path, result


def main():
    path, result = collect(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    print(f"{path}\n{result['card']}, copies {result['copy_gb_s']:.0f} GB/s, products {result['matmul_tflop_s']:.0f} TFLOP/s")
    for row in result["rows"]:
        print(f"{row['weights']:5} canvas {row['canvas']:4} batch {row['batch']} prefix {row['prefix']:6}: "
              f"{row['ms_per_step']:7.2f} ms, floor {row['floor_ms']:6.2f} ms, {row['tokens_per_s_16']:6.0f} tokens/s at 16 steps{' (LACUNA_WGMMA=1)' if row['wgmma'] else ''}")
    if result["reference"]:
        size = ("bf16", 256, 1, 4096, False)
        bf16 = [r for r in result["rows"] if (r["weights"], r["canvas"], r["batch"], r["prefix"], r["wgmma"]) == size]
        ratio = f", {result['reference']['ms_per_step'] / bf16[0]['ms_per_step']:.2f} times ours" if bf16 else ""
        print(f"reference: {result['reference']['ms_per_step']:.2f} ms ({result['reference']['version']}){ratio}")
    overflowed = [row for row in result["rows"] if row["overflowed_rows"]]
    if overflowed:
        raise SystemExit(f"collect.py: rows overflowed in {len(overflowed)} of {len(result['rows'])} runs (overflowed_rows): "
                         "their times include the exact path and are no measure of a step")


if __name__ == "__main__":
    main()
