"""Trains a small DiffusionGemma to solve Sudoku.

    python -m sudoku.train --puzzles data/train.txt --out run                                     one CPU thread
    python -m sudoku.train --puzzles data/train.txt --out run --device cuda …      as README.md has it

Muon for the hidden matrices, AdamW for the rest (`../train.py`); warm-up, constant, then linear to zero over the last
part of `--steps`. RUN gets log.csv and checkpoint.pt; a run that was stopped goes on where it was when started again.
"""
import argparse
import csv
import os
import time
from pathlib import Path

import torch

from net import Dims, Net
from train import bind, update

from .puzzles import read
from .task import Drawer, Shape, dims, know_places, objective


def arguments(words=None):
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--puzzles", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--steps", type=int, default=4000, help="the whole run, also across restarts")
    a.add_argument("--hidden", type=int, default=128, help="a multiple of 64")
    a.add_argument("--layers", type=int, default=5)
    a.add_argument("--canvases", type=int, default=96, help="canvases a step")
    a.add_argument("--rows", type=int, default=8, help="causal rows a step, for the controls")
    a.add_argument("--device", default="cpu")
    a.add_argument("--muon-lr", type=float, default=0.02)
    a.add_argument("--adam-lr", type=float, default=0.003)
    a.add_argument("--warmup", type=int, default=50)
    a.add_argument("--decay-from", type=float, default=0.6, help="share of the steps at full learning rate")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--save-every", type=int, default=100, help="steps between checkpoints")
    return a.parse_args(words)


def rate(step: int, args) -> float:
    """The learning rate's factor at `step` (from 1)."""
    falling = (args.steps - step) / (args.steps * (1 - args.decay_from))
    return min(1.0, step / args.warmup, max(0.0, falling))


class Run:
    """Weights and optimiser state as flat tensors, and how far they are."""

    def __init__(self, args, found: dict | None):
        torch.manual_seed(args.seed)
        self.net = Net(Dims(**found["dims"]) if found else dims(args.hidden, args.layers))
        know_places(self.net)
        self.net.to(args.device)
        flat = found["flat"] if found else torch.cat([p.detach().flatten() for p in self.net.parameters()])
        self.flat = flat.clone().to(args.device)
        self.grads = torch.zeros(1, len(flat), device=args.device)
        self.state = found["state"].to(args.device) if found else torch.zeros(2, len(flat), device=args.device)
        self.step = found["step"] if found else 0
        self.params = bind(self.net, self.flat, self.grads[0])

    def save(self, path: Path):
        part = path.with_suffix(".part")
        torch.save(dict(flat=self.flat.cpu(), state=self.state.cpu(), step=self.step, dims=self.net.dims.to_dict()), part)
        os.replace(part, path)


def train(args):
    """The whole run; returns the network."""
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint, log = args.out / "checkpoint.pt", args.out / "log.csv"
    run = Run(args, torch.load(checkpoint, weights_only=True) if checkpoint.exists() else None)
    drawer = Drawer(*read(args.puzzles), args.seed, Shape(args.canvases, args.rows, args.device))
    print(f"{len(run.flat) / 1e6:.2f} M parameters, from step {run.step}, {run.net.dims}", flush=True)
    sums = torch.zeros(2, device=args.device)
    with log.open("a", newline="") as file:
        while run.step < args.steps:
            loss, *parts = objective(run.net, drawer.batch(run.step))
            loss.backward()
            run.step += 1
            factor = rate(run.step, args)
            update(run.params, run.state, run.grads, run.step, (args.muon_lr * factor, args.adam_lr * factor))
            run.grads.zero_()
            sums += torch.stack(parts)
            if run.step % 20 == 0:
                causal, hole = (sums / 20).tolist()
                csv.writer(file).writerow([run.step, f"{time.process_time():.0f}", f"{causal:.4f}", f"{hole:.4f}", f"{factor:.3f}"])
                file.flush()
                print(f"step {run.step}  causal {causal:.3f}  canvas {hole:.3f}", flush=True)
                sums.zero_()
            if run.step % args.save_every == 0 or run.step == args.steps:
                run.save(checkpoint)
    return run.net


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train(arguments())
