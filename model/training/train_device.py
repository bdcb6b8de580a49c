"""Trains the small DiffusionGemma in one process on one device: a GPU, or the CPU for a try.

    python train_device.py --data DATA --out RUN --device cuda --size medium --minutes 24 --call-minutes 8 [--resume]

The same task and objective as `train.py`, in large micro-batches. The budget is a clock (`--minutes`, across calls) or a count
(`--steps`); a call ends after `--call-minutes`, writes RUN/checkpoint.pt, and the next one with `--resume` goes on with the
very micro-batches it would have taken. Exit status 0: the budget is used up; 3: stopped by `--call-minutes`, call again.
RUN gets log.csv and checkpoint.pt (weights and optimiser state in f32).
"""
import argparse
import csv
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

import fused
from holes import TASKS, Drawer, Shape, Task
from net import Dims, Net, training_loss
from optimiser import Optimiser
from tokens import Corpus, Vocabulary
from train import bind, weights_of

# With a vocabulary of 4,096: tiny (for tests) 0.3 M parameters, small 4.1 M, medium 10.1 M, large 19.3 M (38.6 MB in bf16).
SIZES = {
    "tiny": dict(hidden_size=64, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=32, intermediate_size=64, moe_intermediate_size=64),
    "small": {},
    "medium": dict(hidden_size=384, num_layers=5, num_heads=6, num_kv_heads=2, intermediate_size=640, moe_intermediate_size=384),
    "large": dict(hidden_size=512, num_layers=7, num_heads=8, num_kv_heads=2, intermediate_size=640, moe_intermediate_size=448),
}

SAVE_SECONDS = 120
DIFFERENCE_MAX = 2e-2  # relative, of two ways to sum in bf16


class MicroBatches(Dataset):
    """Micro-batch `index` of a drawer; opened by each loader process for itself."""

    def __init__(self, data: Path, seed: int, task: Task, shape: Shape):
        self.data, self.seed, self.task, self.shape, self.drawer = data, seed, task, shape, None

    def __getitem__(self, index: int) -> dict:
        if self.drawer is None:
            self.drawer = Drawer(Corpus(self.data), Vocabulary(self.data), self.seed, self.task)
        return {k: torch.from_numpy(v) for k, v in self.drawer.batch(index, self.shape).items()}


class Trainer:
    """Weights, gradients and optimiser state as flat f32 tensors on one device."""

    def __init__(self, dims: Dims, device: str, seed: int = 1, compiled: bool = True, distil: float = 0.0):
        torch.manual_seed(seed)
        net = Net(dims)
        flat = torch.cat([p.detach().flatten() for p in net.parameters()]).to(device)
        self.net, self.dims, self.device, self.distil = net.to(device), dims, device, distil
        self.flat, self.grad, self.state = flat, torch.zeros_like(flat), torch.zeros(2, len(flat), device=device)
        self.params = bind(self.net, self.flat, self.grad)
        self.optimiser = Optimiser(self.params, self.state, self.grad)
        self.loss_of = torch.compile(training_loss, dynamic=False) if compiled else training_loss
        self.steps, self.seconds = 0, 0.0

    def step(self, batches, rates) -> torch.Tensor:
        """One optimiser step over the micro-batches → [causal loss, hole loss], left on the device."""
        losses = torch.zeros(2, device=self.device)
        for batch in batches:
            batch = {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}
            loss, causal, hole = self.loss_of(self.net, batch, torch.bfloat16, self.distil)
            loss.backward()
            losses += torch.stack([causal, hole]) / len(batches)
        self.steps += 1
        self.optimiser.step(self.steps, rates)
        self.grad.zero_()
        return losses

    def save(self, path: Path, task: Task):
        part = path.with_suffix(".part")
        found = dict(flat=self.flat.cpu(), state=self.state.cpu(), step=self.steps, elapsed=self.seconds,
                     dims=self.dims.to_dict(), task=asdict(task))
        torch.save(found, part)
        os.replace(part, path)

    def load(self, path: Path):
        found = torch.load(path, weights_only=True)
        if found["dims"] != self.dims.to_dict():
            raise SystemExit(f"{path} holds {found['dims']}, this call asks for {self.dims.to_dict()}: use the same --size and data")
        self.flat.copy_(found["flat"])
        self.state.copy_(found["state"])
        self.steps, self.seconds = found["step"], found["elapsed"]

    def reset(self, seed: int):
        """Fresh weights and optimiser; what `torch.compile` made stays usable."""
        torch.manual_seed(seed)
        self.flat.copy_(torch.cat([p.detach().flatten() for p in Net(self.dims).parameters()]))
        self.state.zero_()
        self.steps, self.seconds = 0, 0.0

    def begin_with(self, model: Path):
        """The weights of an exported model."""
        self.flat.copy_(weights_of(model, self.dims))


def factor(progress: float, steps: int, warmup: int, decay_from: float) -> float:
    """The learning rate's factor: warm-up by steps, constant, then linear to zero from `decay_from` of the budget on."""
    return min(1.0, (steps + 1) / warmup) * min(1.0, max(0.0, (1.0 - progress) / (1.0 - decay_from)))


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--device", default="cuda", help="cuda or cpu")
    a.add_argument("--size", choices=SIZES, default="medium")
    budget = a.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, help="training time of all calls together; compiling is not counted")
    budget.add_argument("--steps", type=int)
    a.add_argument("--call-minutes", type=float, default=8.0, help="this call ends after so long, compiling included")
    a.add_argument("--resume", action="store_true")
    a.add_argument("--start", type=Path, help="a model's folder: begin with its weights and a fresh optimiser")
    a.add_argument("--rows", type=int, default=128, help="rows of a micro-batch, each with --canvases canvases")
    a.add_argument("--length", type=int, default=512, help="tokens a row")
    a.add_argument("--canvases", type=int, default=8)
    a.add_argument("--micro", type=int, default=1, help="micro-batches a step")
    a.add_argument("--muon-lr", type=float, default=0.02)
    a.add_argument("--adam-lr", type=float, default=0.002)
    a.add_argument("--warmup", type=int, default=100, help="steps")
    a.add_argument("--decay-from", type=float, default=0.4)
    a.add_argument("--distil", type=float, default=0.0, help="weight of KL(causal pass ‖ canvas)")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--loaders", type=int, default=max(0, (os.cpu_count() or 1) - 2), help="processes that draw micro-batches")
    a.add_argument("--log-every", type=int, default=20, help="steps")
    a.add_argument("--plain-attention", action="store_true", help="plain products on a GPU too, should the fused ones fail there")
    a.add_argument("--task", choices=TASKS, default="begin", help="the shares of the training task (holes.py); it may change between calls")
    a.add_argument("--eager", action="store_true", help="without torch.compile")
    return a.parse_args()


def loader(args, task: Task, first: int) -> DataLoader:
    """The micro-batches from `first` on, in order, drawn ahead by other processes."""
    shape = Shape(args.rows, args.length, args.canvases)
    ahead = dict(prefetch_factor=4, persistent_workers=True) if args.loaders else {}
    return DataLoader(MicroBatches(args.data, args.seed, task, shape), batch_size=None, sampler=range(first, 1 << 40),
                      num_workers=args.loaders, pin_memory=args.device == "cuda", **ahead)


def run(args, trainer: Trainer, task: Task) -> bool:
    """Trains until the budget or the call ends; returns whether the budget is used up."""
    call = saved = time.time()
    before, first = trainer.seconds, trainer.steps
    batches = iter(loader(args, task, trainer.steps * args.micro))
    tokens = args.micro * args.rows * args.length
    begin = sums = count = None  # the clock starts after the call's first step, which compiles
    while True:
        progress = trainer.steps / args.steps if args.steps else trainer.seconds / (args.minutes * 60)
        if progress >= 1.0 or trainer.steps > first and time.time() - call > args.call_minutes * 60:
            return progress >= 1.0
        rate = factor(progress, trainer.steps, args.warmup, args.decay_from)
        losses = trainer.step([next(batches) for _ in range(args.micro)], (args.muon_lr * rate, args.adam_lr * rate))
        sums, count = (losses, 1) if sums is None else (sums + losses, count + 1)
        if begin is None:
            losses.sum().item()
            begin = time.time()
        trainer.seconds = before + time.time() - begin
        if trainer.steps % args.log_every == 0:
            causal, hole = (sums / count).tolist()  # waits for the device
            trainer.seconds, sums = before + time.time() - begin, None
            report(args, trainer, (causal, hole, rate), tokens)
            if time.time() - saved > SAVE_SECONDS:
                trainer.save(args.out / "checkpoint.pt", task)
                saved = time.time()


def report(args, trainer: Trainer, measured, tokens: int):
    causal, hole, rate = measured
    with open(args.out / "log.csv", "a", newline="") as log:
        canvases = trainer.steps * args.micro * args.rows * args.canvases
        csv.writer(log).writerow([f"{trainer.seconds:.0f}", trainer.steps, trainer.steps * tokens, canvases,
                                  f"{causal:.4f}", f"{hole:.4f}", f"{rate:.3f}"])
    print(f"{trainer.seconds:6.0f} s  step {trainer.steps}  {trainer.steps * tokens / 1e6:.2f} M tokens  "
          f"causal {causal:.3f}  hole {hole:.3f}", flush=True)


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    fused.WANTED = not args.plain_attention
    if args.device == "cuda" and fused.WANTED:
        difference = fused.difference(args.device)
        print(f"fused attention against plain products, bf16: {difference:.1e}", flush=True)
        if not difference < DIFFERENCE_MAX:
            raise SystemExit(f"that is above {DIFFERENCE_MAX}: train with --plain-attention")
    dims = Dims(vocab_size=Vocabulary(args.data).size, **SIZES[args.size])
    task = TASKS[args.task]
    trainer = Trainer(dims, args.device, args.seed, not args.eager, args.distil)
    if args.resume:
        trainer.load(args.out / "checkpoint.pt")
    else:
        if args.start:
            trainer.begin_with(args.start)
        (args.out / "log.csv").write_text("seconds,step,clean_tokens,canvases,causal_loss,hole_loss,rate\n")
    print(f"{len(trainer.flat) / 1e6:.2f} M parameters, {dims}, from step {trainer.steps}", flush=True)
    done = run(args, trainer, task)
    trainer.save(args.out / "checkpoint.pt", task)
    print(f"{'finished' if done else 'stopped'} after {trainer.steps} steps, {trainer.seconds:.0f} s", flush=True)
    sys.exit(0 if done else 3)


if __name__ == "__main__":
    main()
