#!/usr/bin/env python3
"""One denoising step of the shipped model: the reference implementation on torch (CPU) against `lacuna bench step`.

    python3 -m venv .venv && .venv/bin/pip install torch transformers==5.23.0 safetensors
    cargo build --release
    .venv/bin/python benches/vs_reference.py [--rounds 6] [--canvas 64] [--prefix 512] [--json OUT.json]

Both run the same weights on the same threads in the same minutes: rounds alternate between the two programs, so that
a machine that slows down slows both. A step is everything between two canvases: decoder pass over the cached prefix,
logits of every row, temperature, entropy, acceptance, renoising, and the soft embedding for the next step's
self-conditioning. Printed are medians over rounds * repeats steps, and the ratios.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from transformers import DiffusionGemmaForBlockDiffusion
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    EntropyBoundSampler,
    EntropyBoundSamplerConfig,
    StableAndConfidentStoppingCriteria,
)

ROOT = Path(__file__).resolve().parent.parent


class Reference:
    """The reference at one precision, with its prefix already encoded."""

    def __init__(self, model_dir, dtype, canvas, prefix):
        self.model = DiffusionGemmaForBlockDiffusion.from_pretrained(model_dir, dtype=dtype).eval()
        self.vocabulary = self.model.config.text_config.vocab_size
        self.canvas_length = canvas
        generator = torch.Generator().manual_seed(0)
        prompt = torch.randint(11, self.vocabulary, (1, prefix), generator=generator)
        self.kv = self.model.model.encoder(input_ids=prompt).past_key_values
        self.canvas = torch.randint(11, self.vocabulary, (1, canvas), generator=generator)
        self.sampler = EntropyBoundSampler(EntropyBoundSamplerConfig(0.1), canvas, self.vocabulary, 48)
        self.stopper = StableAndConfidentStoppingCriteria(1, 0.005)
        self.soft_logits = None

    @torch.no_grad()
    def step(self):
        logits = self.model(
            past_key_values=self.kv, decoder_input_ids=self.canvas, self_conditioning_logits=self.soft_logits
        ).logits
        scaled = logits / 0.6
        argmax = scaled.argmax(-1)
        accepted = self.sampler.accept_canvas(self.canvas, argmax, scaled, 24)
        self.canvas = self.sampler.renoise_canvas(accepted, 24)
        self.stopper(argmax, scaled)
        self.soft_logits = scaled

    def milliseconds(self, repeats):
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.step()
            times.append((time.perf_counter() - start) * 1e3)
        return times


def lacuna(binary, model_dir, precision, arguments):
    """Step times in milliseconds as the engine measures them, after its own warm-up."""
    command = [binary, "bench", "step", "--json", "--model", model_dir, "--precision", precision]
    command += ["--canvas", str(arguments.canvas), "--prefix", str(arguments.prefix)]
    command += ["--repeats", str(arguments.repeats), "--threads", str(arguments.threads)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output)["ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "model" / "mini"))
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "lacuna"))
    parser.add_argument("--canvas", type=int, default=64)
    parser.add_argument("--prefix", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=8, help="steps a round and program")
    parser.add_argument("--json", help="also write the figures there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    references = {
        "reference f32": Reference(arguments.model, torch.float32, arguments.canvas, arguments.prefix),
        "reference bf16": Reference(arguments.model, torch.bfloat16, arguments.canvas, arguments.prefix),
    }
    times = {name: [] for name in [*references, "lacuna f32", "lacuna bf16"]}
    for name, reference in references.items():
        reference.milliseconds(4)  # warm-up, not counted
    for _ in range(arguments.rounds):
        for name, reference in references.items():
            reference.milliseconds(1)
            times[name] += reference.milliseconds(arguments.repeats)
        for precision in ("f32", "bf16"):
            times[f"lacuna {precision}"] += lacuna(arguments.binary, arguments.model, precision, arguments)
    medians = {name: statistics.median(values) for name, values in times.items()}
    best = min(medians["reference f32"], medians["reference bf16"])
    ours = min(medians["lacuna f32"], medians["lacuna bf16"])
    figures = {
        "torch": torch.__version__,
        "threads": arguments.threads,
        "canvas": arguments.canvas,
        "prefix": arguments.prefix,
        "steps_each": len(times["lacuna f32"]),
        "median_ms": {name: round(value, 3) for name, value in medians.items()},
        "f32_ratio": round(medians["reference f32"] / medians["lacuna f32"], 2),
        "best_ratio": round(best / ours, 2),
    }
    for name, value in medians.items():
        low, high = min(times[name]), max(times[name])
        print(f"{name:15} median {value:7.2f} ms   min {low:7.2f}   max {high:7.2f}   n {len(times[name])}")
    print(f"f32 against f32: {figures['f32_ratio']}x   best against best: {figures['best_ratio']}x")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if min(figures["f32_ratio"], figures["best_ratio"]) >= 2.0 else 1


if __name__ == "__main__":
    sys.exit(main())
