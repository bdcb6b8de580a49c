#!/usr/bin/env python3
"""Quality against time: the presets, the balanced preset with other numbers of steps, and the same with canvases alone (no drafts),
as a picture.

    pip install matplotlib
    cargo build --release
    python3 benches/steps.py                     # measures: some minutes on an idle machine
    python3 benches/steps.py --draw-only         # draws the committed numbers again

Runs `lacuna eval` on the scorecard's Rust and Python cases of kind line and span, once a point, and writes
benches/results/steps.csv and benches/pictures/steps.svg. Bars are 95 % bootstrap intervals over cases; the same cases are
behind every point, so two points differ by less chance than their bars suggest.
"""
import argparse
import csv
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE, PICTURE = ROOT / "benches/results/steps.csv", ROOT / "benches/pictures/steps.svg"
STEPS = (1, 2, 4, 8, 16)
PRESETS = ("fast", "balanced", "thorough")
CONTROLS = ("causal", "causal-fim")
COLUMNS = ("series", "point", "cases", "exact", "exact_low", "exact_high", "similarity", "similarity_low", "similarity_high",
           "steps_mean", "ms_p50", "ms_p95")


def measure(binary, every, extra):
    """One `lacuna eval`; the report, or None where the model cannot do it."""
    command = [binary, "eval", "--json", "--kinds", "line,span", "--languages", "rust,python", "--every", str(every), *extra]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print("left out:", " ".join(extra), "-", done.stderr.strip())
        return None
    return json.loads(done.stdout)


def row(series, point, report):
    exact, similar, ms = report["exact_match_interval"], report["edit_similarity_interval"], report["latency_ms"]
    shares = [report["overall"]["exact_match"], *exact, report["overall"]["edit_similarity"], *similar]
    return [series, point, report["cases"], *(f"{v:.3f}" for v in shares), f"{report['steps_mean']:.1f}", *(f"{ms[p]:.0f}" for p in ("p50", "p95"))]


def run(binary, every):
    asked = [("steps", str(n), ["--steps", str(n)]) for n in STEPS]
    asked += [("canvases", str(n), ["--method", "diffusion-noise", "--steps", str(n)]) for n in STEPS]
    asked += [("preset", name, ["--preset", name]) for name in PRESETS] + [("control", name, ["--method", name]) for name in CONTROLS]
    rows = []
    for series, point, extra in asked:
        report = measure(binary, every, extra)
        if report:
            rows.append(row(series, point, report))
            print(*rows[-1], flush=True)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def draw():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "steps", "svg.fonttype": "none", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    import matplotlib.pyplot as plt

    with TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 4.4), sharex=True)
    curves = ("steps", "canvases")
    looks = {
        "steps": ("#4477aa", "o", "balanced, at most n steps"),
        "canvases": ("#228833", "o", "canvases alone, at most n steps"),
        "preset": ("#cc3311", "D", "presets"),
        "control": ("#777777", "s", "left to right, same weights"),
    }
    for panel, measure_name, title in zip(panels, ("exact", "similarity"), ("exact match", "edit similarity")):
        for series, (colour, marker, label) in looks.items():
            chosen = [r for r in rows if r["series"] == series]
            x, y = [float(r["ms_p50"]) for r in chosen], [float(r[measure_name]) for r in chosen]
            low = [v - float(r[measure_name + "_low"]) for v, r in zip(y, chosen)]
            high = [float(r[measure_name + "_high"]) - v for v, r in zip(y, chosen)]
            panel.errorbar(x, y, [low, high], color=colour, marker=marker, linestyle="-" if series in curves else "none", elinewidth=0.6, markersize=5, label=label)
            above = series in curves
            for r, at_x, at_y in zip(chosen, x, y):
                panel.annotate(r["point"], (at_x, at_y), xytext=(4, 5 if above else -11), textcoords="offset points", fontsize=8.5, color=colour)
        panel.set(xlabel="milliseconds an answer (median)", title=title)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        panel.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        span = [float(r["ms_p50"]) for r in rows]
        panel.set_xticks([t for t in (10, 20, 50, 100, 200, 500, 1000, 2000) if min(span) * 0.7 <= t <= max(span) * 1.4])
        panel.set_ylim(bottom=0)
        panel.grid(axis="y", linewidth=0.4)
    panels[0].legend(loc="lower right", frameon=False, fontsize=9)
    figure.suptitle(f"{rows[0]['cases']} holes of kind line and span in Rust and Python that nobody trained on")
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None}, facecolor="white")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/lacuna"))
    parser.add_argument("--every", type=int, default=1, help="only each N-th case")
    parser.add_argument("--draw-only", action="store_true")
    arguments = parser.parse_args()
    if not arguments.draw_only:
        run(arguments.binary, arguments.every)
    draw()


if __name__ == "__main__":
    main()
