#!/usr/bin/env python3
"""One denoising step of the reference implementation (torch + transformers) on a GPU, with random weights.

    python3 reference.py [--shape 26b|mini|small] [--canvas 256] [--prefix 4096] [--batch 1] [--repeats 10] [--json OUT.json]

A step is everything between two canvases: decoder pass over the cached prefix, logits of every row, temperature, entropy,
acceptance, renoising, the stop rule, and the soft embedding for the next step (the reference computes it at the start of
the next pass). Timed as transformers runs it, then with torch.compile; a mode that fails is written down with its reason,
never left out in silence, and the file is written after each mode: a compiler that never ends costs its own figure alone. Also measured, in the same run: copies on the device and a large bf16 product by cuBLAS.
Needs: torch with CUDA, transformers 5.11 or later. Written for an H200; not yet run on a GPU.
"""
import argparse
import json
import statistics
import sys
import time

import torch
import transformers
from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion, DiffusionGemmaTextConfig, Gemma4VisionConfig
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    EntropyBoundSampler,
    EntropyBoundSamplerConfig,
    StableAndConfidentStoppingCriteria,
)

SHAPES = {
    "26b": dict(vocab_size=262144, hidden_size=2816, intermediate_size=2112, num_hidden_layers=30,
                num_attention_heads=16, num_key_value_heads=8, head_dim=256, global_head_dim=512,
                num_global_key_value_heads=2, num_experts=128, top_k_experts=8, moe_intermediate_size=704,
                sliding_window=1024, max_position_embeddings=262144),
    "mini": dict(vocab_size=4096, hidden_size=256, intermediate_size=384, num_hidden_layers=4,
                 num_attention_heads=4, num_key_value_heads=2, head_dim=64, global_head_dim=64,
                 num_global_key_value_heads=2, num_experts=1, top_k_experts=1, moe_intermediate_size=256,
                 sliding_window=1024, max_position_embeddings=1024),
    "small": dict(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=6,
                  num_attention_heads=4, num_key_value_heads=2, head_dim=16, global_head_dim=32,
                  num_global_key_value_heads=1, num_experts=8, top_k_experts=2, moe_intermediate_size=32,
                  sliding_window=16, max_position_embeddings=4096),
}


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def build(shape, canvas, device):
    """The model with random weights, made where it runs."""
    text = DiffusionGemmaTextConfig(**SHAPES[shape])
    vision = Gemma4VisionConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
                                num_key_value_heads=2, head_dim=16, global_head_dim=16, position_embedding_size=64)
    config = DiffusionGemmaConfig(text_config=text, vision_config=vision, canvas_length=canvas)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = DiffusionGemmaForBlockDiffusion(config)
    torch.set_default_dtype(torch.float32)
    return model.eval()


class Reference:
    """A canvas batch after an encoded prefix, and its next step."""

    def __init__(self, model, canvas, prefix, batch, device):
        self.model, self.forward = model, model.forward
        vocabulary = model.config.text_config.vocab_size
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape: torch.randint(11, vocabulary, shape, generator=generator).to(device)
        prompt = draw(1, prefix).expand(batch, -1)
        with torch.no_grad():
            self.kv = model.model.encoder(input_ids=prompt).past_key_values
        self.canvas = draw(batch, canvas)
        self.sampler = EntropyBoundSampler(EntropyBoundSamplerConfig(0.1), canvas, vocabulary, 48)
        self.stopper = StableAndConfidentStoppingCriteria(1, 0.005)
        self.soft_logits = None

    @torch.no_grad()
    def step(self):
        logits = self.forward(
            past_key_values=self.kv, decoder_input_ids=self.canvas, self_conditioning_logits=self.soft_logits
        ).logits
        scaled = logits / 0.6
        argmax = scaled.argmax(-1)
        accepted = self.sampler.accept_canvas(self.canvas, argmax, scaled, 24)
        self.canvas = self.sampler.renoise_canvas(accepted, 24)
        self.stopper(argmax, scaled)
        self.soft_logits = scaled

    def milliseconds(self, repeats, device, warm_up=3):
        for _ in range(warm_up):
            self.step()
        times = []
        for _ in range(repeats):
            synchronize(device)
            start = time.perf_counter()
            self.step()
            synchronize(device)
            times.append((time.perf_counter() - start) * 1e3)
        return times


def best_seconds(run, device, repeats=8):
    run()
    times = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def ceilings(device):
    """GB/s of copies (read and written) and TFLOP/s of a bf16 product, both by torch."""
    size, length = (8192, 1 << 30) if device == "cuda" else (512, 1 << 24)
    source = torch.zeros(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = 2 * length / best_seconds(lambda: target.copy_(source), device) / 1e9
    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    matmul = 2 * size**3 / best_seconds(lambda: a @ a, device) / 1e12
    return round(copy, 1), round(matmul, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="26b")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--canvas", type=int, default=256)
    parser.add_argument("--prefix", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile-seconds", type=int, default=150, help="0: without torch.compile")
    parser.add_argument("--json", help="also write the figures there")
    arguments = parser.parse_args()
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("reference.py: torch sees no CUDA device")
    began = time.perf_counter()
    say = lambda what: print(f"[{time.perf_counter() - began:4.0f} s] {what}", file=sys.stderr, flush=True)
    copy, matmul = ceilings(device)
    say("ceilings measured")
    model = build(arguments.shape, arguments.canvas, device)
    say("random weights made")
    reference = Reference(model, arguments.canvas, arguments.prefix, arguments.batch, device)
    say("prefix encoded")
    modes, failures = {}, {}

    def write():
        best = min(modes, key=modes.get)
        figures = {
            "ms_per_step": round(modes[best], 3),
            "version": f"transformers {transformers.__version__}, torch {torch.__version__}, {best}",
            "card": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "cuda": torch.version.cuda or "",
            "modes": {name: round(value, 3) for name, value in modes.items()},
            "failures": failures,
            "experts": str(getattr(model.config.text_config, "_experts_implementation", None)),
            "attention": str(getattr(model.config.text_config, "_attn_implementation", None)),
            "shape": arguments.shape,
            "canvas": arguments.canvas,
            "prefix": arguments.prefix,
            "batch": arguments.batch,
            "torch_copy_gb_s": copy,
            "torch_matmul_tflop_s": matmul,
        }
        text = json.dumps(figures, indent=2)
        if arguments.json:
            with open(arguments.json, "w") as file:
                file.write(text)
        return text

    modes["eager"] = statistics.median(reference.milliseconds(arguments.repeats, device))
    say(f"eager: {modes['eager']:.2f} ms")
    failures["compiled"] = "it did not end"
    write()
    if arguments.compile_seconds:
        try:
            started = time.perf_counter()
            reference.forward = torch.compile(model.forward, mode="default")
            reference.step()
            if time.perf_counter() - started < arguments.compile_seconds:
                modes["compiled"] = statistics.median(reference.milliseconds(arguments.repeats, device))
                del failures["compiled"]
            else:
                failures["compiled"] = f"compiling took more than {arguments.compile_seconds} s"
        except Exception as error:  # whatever a compiler may raise is a result here
            failures["compiled"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
    else:
        failures["compiled"] = "not asked for"
    print(write())
    return 0


if __name__ == "__main__":
    sys.exit(main())
