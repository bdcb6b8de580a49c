#!/usr/bin/env python3
"""Prints the measures of a fill on this machine: warm latency, process start to first frame, peak memory, and diffusion
beside its two controls on the same weights. Needs Python's standard library and a release build, nothing else.

    cargo build --release
    python3 benches/measures.py [--runs 20] [--limit N] [--json OUT.json]
"""
import argparse
import json
import os
import pty
import resource
import select
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "fixtures" / "text" / "stack.rs"


def first_frame_ms(binary):
    """From spawning the process to the terminal: the first sign of life, and the canvas after its first denoising step."""
    master, slave = pty.openpty()
    start = time.perf_counter()
    process = subprocess.Popen([binary, "fill", str(DEMO)], stdin=slave, stdout=slave, stderr=slave,
                               env={**os.environ, "TERM": "xterm-256color"}, close_fds=True)
    os.close(slave)
    sign, frame, seen = None, None, b""
    while select.select([master], [], [], 30)[0]:
        try:
            read = os.read(master, 1 << 16)
        except OSError:
            break
        if not read:
            break
        now = (time.perf_counter() - start) * 1e3
        seen += read
        sign = sign or now
        if frame is None and b"step 1 of" in seen:
            frame = now
    os.close(master)
    process.wait()
    if frame is None:
        raise SystemExit(f"{binary} fill {DEMO} drew no step of a canvas:\n{seen.decode(errors='replace')}")
    return sign, frame


def evaluate(binary, cases, method, extra=()):
    command = [binary, "eval", str(cases), "--json", "--method", method, *extra]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "lacuna"))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--limit", type=int, help="only the first N cases")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    extra = ["--limit", str(arguments.limit)] if arguments.limit else []
    cases = ROOT / "fixtures" / "infill" / "heldout.jsonl"
    figures = {}

    starts = [first_frame_ms(arguments.binary) for _ in range(arguments.runs + 1)][1:]
    for name, key, values in zip(("first sign", "first frame"), ("first_sign_ms", "first_frame_ms"), zip(*starts)):
        figures[key] = round(statistics.median(values), 1)
        print(f"process start to {name}: median {figures[key]} ms, max {max(values):.1f} ms, {arguments.runs} runs")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures["peak_memory_mb"] = round(peak, 1)
    print(f"peak memory of a fill: {peak:.1f} MB")

    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "line.jsonl"
        kept = [line for line in cases.read_text(encoding="utf-8").splitlines() if json.loads(line)["kind"] == "line"]
        lines.write_text("\n".join(kept) + "\n", encoding="utf-8")
        warm = evaluate(arguments.binary, lines, "diffusion", extra)
    figures["rest_of_line_ms"] = warm["latency_ms"]
    print(f"rest of a line, warm process, {warm['cases']} cases: p50 {warm['latency_ms']['p50']:.0f} ms, p95 {warm['latency_ms']['p95']:.0f} ms")

    figures["methods"] = {}
    for method in ("diffusion", "causal", "causal-fim"):
        report = evaluate(arguments.binary, cases, method, extra)
        figures["methods"][method] = report
        kinds = "  ".join(f"{kind} {value['exact_match']:.1%}" for kind, value in report["by_kind"].items())
        print(f"{method:11} exact match: {kinds}   p50 {report['latency_ms']['p50']:.0f} ms, "
              f"{report['tokens_per_forward']:.2f} tokens per forward")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures["peak_memory_eval_mb"] = round(memory, 1)
    print(f"peak memory of any of these processes: {memory:.1f} MB")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
