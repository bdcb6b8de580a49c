"""Averages the weights of exported models of one line of descent: what a phase learnt, and what it forgot less of.

    python average.py --models OLD NEW --shares 0.3 0.7 --new-tokens 11 --out DIR

`--new-tokens` are ids that only the last model has learnt: their embeddings are its own. Everything but the weights is the
last model's too. Source: weight averaging after fine-tuning, Wortsman et al. 2203.05482 and 2109.01903.
"""
import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

EMBEDDING = "model.decoder.embed_tokens.weight"


def averaged(models: list[dict], shares: list[float], new_tokens: list[int]) -> dict:
    """Reference name → tensor, bf16; the mean is taken in f32."""
    if len(models) != len(shares) or abs(sum(shares) - 1) > 1e-6:
        raise SystemExit(f"{len(models)} models want as many shares, of 1 in all; got {shares}")
    if len({tuple(sorted((k, v.shape) for k, v in model.items())) for model in models}) != 1:
        raise SystemExit("the models do not have the same tensors")
    mean = {k: sum(share * model[k].float() for model, share in zip(models, shares)) for k in models[-1]}
    mean[EMBEDDING][new_tokens] = models[-1][EMBEDDING][new_tokens].float()
    return {k: v.to(torch.bfloat16).contiguous() for k, v in mean.items()}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--models", type=Path, nargs="+", required=True)
    a.add_argument("--shares", type=float, nargs="+", required=True)
    a.add_argument("--new-tokens", type=int, nargs="*", default=[])
    a.add_argument("--out", type=Path, required=True)
    a = a.parse_args()
    weights = averaged([load_file(model / "model.safetensors") for model in a.models], a.shares, a.new_tokens)
    a.out.mkdir(parents=True, exist_ok=True)
    if a.out.resolve() != a.models[-1].resolve():
        for name in ("config.json", "generation_config.json", "tokenizer.json"):
            shutil.copy(a.models[-1] / name, a.out / name)
    part = a.out / "model.safetensors.part"
    save_file(weights, part, metadata={"format": "pt"})
    part.replace(a.out / "model.safetensors")


if __name__ == "__main__":
    main()
