"""Trains the small DiffusionGemma on the CPU: one process per core over shared weights.

    python train.py --data DATA --out RUN --minutes 95 [--workers 2] [--resume]

Weights, gradients and optimiser state are flat tensors in shared memory. Workers take micro-batches of a step from a
shared counter (so a core that is busy elsewhere takes fewer), meet, and each updates its share of the parameters:
Muon for the hidden matrices, AdamW for the rest. The learning rate follows the clock, not the step: warm-up,
constant, then linear to zero over the last part of `--minutes`. RUN gets log.csv and checkpoint.pt (resumable).
"""
import argparse
import csv
import os
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as mp

from check_parity import read
from holes import TASKS, Drawer, Shape
from net import Dims, Net, training_loss
from tokens import Corpus, Vocabulary

SHORT, LONG = Shape(rows=4, length=256, canvases=4), Shape(rows=2, length=512, canvases=8)
MUON_MOMENTUM, MUON_STEPS = 0.95, 5
BETA_1, BETA_2 = 0.9, 0.98


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--data", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--minutes", type=float, required=True, help="the whole budget, also across resumes")
    a.add_argument("--workers", type=int, default=2)
    a.add_argument("--micro", type=int, default=4, help="micro-batches a step")
    a.add_argument("--muon-lr", type=float, default=0.02)
    a.add_argument("--adam-lr", type=float, default=0.002)
    a.add_argument("--decay-from", type=float, default=0.65, help="share of the budget at full learning rate")
    a.add_argument("--warmup", type=int, default=30, help="steps")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--checkpoint-minutes", type=float, default=3.0)
    a.add_argument("--resume", action="store_true")
    a.add_argument("--new-phase", action="store_true",
                   help="go on from RUN's checkpoint with the clock at zero: a new budget, warm-up and decay")
    a.add_argument("--start", type=Path, help="an exported model's folder: its weights, a fresh optimiser, and the data its loss.csv has not seen")
    a.add_argument("--own-sessions", action="store_true",
                   help="each worker in a session of its own: on a machine shared with other jobs, Linux' automatic "
                        "grouping then gives each the share of one job, at normal priority")
    a.add_argument("--task", choices=TASKS, default="begin", help="the shares of the training task (holes.py)")
    a.add_argument("--eager", action="store_true", help="without torch.compile")
    return a.parse_args()


def bind(net: Net, flat: torch.Tensor, grad: torch.Tensor) -> list:
    """Make every parameter and its gradient a view into the flat tensors; returns (name, parameter, slice)."""
    at, out = 0, []
    for name, p in net.named_parameters():
        span = slice(at, at + p.numel())
        p.data = flat[span].view(p.shape)
        p.grad = grad[span].view(p.shape)
        out.append((name, p, span))
        at = span.stop
    return out


def orthogonalise(g: torch.Tensor) -> torch.Tensor:
    """Newton-Schulz towards the nearest semi-orthogonal matrix (the quintic of Muon), bf16 inside; g [..., out, in]."""
    tall = g.shape[-2] > g.shape[-1]
    x = (g.mT if tall else g) / (torch.linalg.matrix_norm(g, keepdim=True) + 1e-7)
    x = x.bfloat16()
    for _ in range(MUON_STEPS):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


def is_matrix(name: str, p: torch.Tensor) -> bool:
    return p.ndim == 2 and name != "embed"


def share(params, rank: int, workers: int):
    """The parameters this worker updates: greedy balance of the Newton-Schulz work."""
    loads, mine = [0.0] * workers, []
    for item in sorted(params, key=lambda x: -x[1].numel() * (1 if is_matrix(x[0], x[1]) else 0.1)):
        to = loads.index(min(loads))
        loads[to] += item[1].numel() * (min(item[1].shape) if is_matrix(item[0], item[1]) else 20)
        if to == rank:
            mine.append(item)
    return mine


@torch.no_grad()
def update(mine, state, grads, step: int, rates):
    """One optimiser step over this worker's share; `state` [2, P] momentum and second moment, `grads` [workers, P]."""
    muon_lr, adam_lr = rates
    for name, p, span in mine:
        g = grads[:, span].sum(0)
        first, second = state[0, span], state[1, span]
        if is_matrix(name, p):
            first.mul_(MUON_MOMENTUM).add_(g)
            nudge = orthogonalise(g.add(first, alpha=MUON_MOMENTUM).view(p.shape))
            p.mul_(1 - muon_lr * 0.01).sub_(nudge, alpha=muon_lr * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)
        else:
            first.lerp_(g, 1 - BETA_1)
            second.lerp_(g * g, 1 - BETA_2)
            move = (first / (1 - BETA_1 ** step)) / ((second / (1 - BETA_2 ** step)).sqrt() + 1e-10)
            p.sub_(move.view(p.shape), alpha=adam_lr)


def rate(progress: float, step: int, args) -> float:
    """The learning rate's factor; `progress` is the share of the time budget used."""
    warm = min(1.0, (step - args.warm_from) / args.warmup)
    return warm * min(1.0, max(0.0, (1.0 - progress) / (1.0 - args.decay_from)))


def shape_of(micro: int, progress: float, args) -> Shape:
    """A quarter of the micro-batches has long rows, half of them while the learning rate falls."""
    return LONG if micro % 4 == 3 or (progress >= args.decay_from and micro % 4 == 1) else SHORT


def save(path: Path, shared, step: int, elapsed: float, dims: Dims):
    flat, state = shared["flat"], shared["state"]
    part = path.with_suffix(".part")
    torch.save(dict(flat=flat.clone(), state=state.clone(), step=step, elapsed=elapsed, dims=dims.to_dict()), part)
    os.replace(part, path)


def work(rank: int, args, dims: Dims, shared):
    if args.own_sessions:
        os.setsid()
    torch.set_num_threads(1)
    net = Net(dims)
    params = bind(net, shared["flat"], shared["grads"][rank])
    mine = share(params, rank, args.workers)
    drawer = Drawer(Corpus(args.data), Vocabulary(args.data), args.seed, TASKS[args.task])
    loss_of = training_loss if args.eager else torch.compile(training_loss, dynamic=False)
    if rank and not args.eager:
        shared["compiled"].wait()  # the second worker then finds the first one's kernels in the cache
    step, before = shared["step"], shared["elapsed"]
    for shape in (SHORT, LONG):  # compile outside the budget
        take(net, loss_of, drawer, 0, shape)
    shared["grads"][rank].zero_()
    shared["compiled"].set()
    shared["barrier"].wait()
    begin, saved, sums = time.time(), time.time(), np.zeros(4)
    log = open(args.out / "log.csv", "a", newline="") if rank == 0 else None
    clock = shared["clock"]
    while True:
        if rank == 0:
            clock[0] = before + time.time() - begin
            shared["taken"].value = 0
            shared["losses"].zero_()
        shared["barrier"].wait()
        progress = float(clock[0]) / (args.minutes * 60)
        if progress >= 1.0:
            break
        while True:
            with shared["taken"].get_lock():
                micro = shared["taken"].value
                shared["taken"].value += 1
            if micro >= args.micro:
                break
            causal, hole = take(net, loss_of, drawer, step * args.micro + micro, shape_of(micro, progress, args))
            shared["losses"][micro, 0], shared["losses"][micro, 1] = causal, hole
        step += 1
        shared["barrier"].wait()
        factor = rate(progress, step, args)
        update(mine, shared["state"], shared["grads"], step - args.moments_from, (args.muon_lr * factor, args.adam_lr * factor))
        shared["barrier"].wait()
        shared["grads"][rank].zero_()
        if rank == 0:
            sums += [*shared["losses"].mean(0).tolist(), factor, 1]
            if step % 20 == 0:
                report(log, step, float(clock[0]), sums, args)
                sums[:] = 0
            if time.time() - saved > args.checkpoint_minutes * 60:
                save(args.out / "checkpoint.pt", shared, step, float(clock[0]), dims)
                saved = time.time()
    if rank == 0:
        save(args.out / "checkpoint.pt", shared, step, float(clock[0]), dims)
        print(f"finished after {step} steps", flush=True)


def take(net, loss_of, drawer, index: int, shape: Shape):
    """Forward and backward of one micro-batch; the gradient is added to this worker's flat buffer."""
    batch = {k: torch.from_numpy(v) for k, v in drawer.batch(index, shape).items()}
    loss, causal, hole = loss_of(net, batch)
    loss.backward()
    return float(causal), float(hole)


def report(log, step, elapsed, sums, args):
    causal, hole, factor = (sums[:3] / sums[3]).tolist()
    tokens = step * args.micro * SHORT.rows * SHORT.length
    canvases = step * args.micro * SHORT.rows * SHORT.canvases
    csv.writer(log).writerow([f"{elapsed:.0f}", step, tokens, canvases, f"{causal:.4f}", f"{hole:.4f}", f"{factor:.3f}"])
    log.flush()
    print(f"{elapsed:6.0f} s  step {step}  {tokens / 1e6:.2f} M tokens  causal {causal:.3f}  hole {hole:.3f}", flush=True)


def weights_of(model: Path, dims: Dims) -> torch.Tensor:
    """The weights of an exported model as one flat tensor, f32."""
    net = read(model)
    if net.dims != dims:
        raise SystemExit(f"{model} is {net.dims}, this call asks for {dims}")
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def last_step(model: Path) -> int:
    """The step at which the training of an exported model ended."""
    with open(model / "loss.csv", newline="") as log:
        return int(list(csv.DictReader(log))[-1]["step"])


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    dims = Dims(vocab_size=Vocabulary(args.data).size)
    net = Net(dims)
    flat = torch.cat([p.detach().flatten() for p in net.parameters()])
    shared = dict(flat=flat, state=torch.zeros(2, len(flat)), step=0, elapsed=0.0)
    args.warm_from = args.moments_from = 0
    if args.resume or args.new_phase:
        found = torch.load(args.out / "checkpoint.pt", weights_only=True)
        shared.update({k: found[k] for k in ("flat", "state", "step", "elapsed")})
        if args.new_phase:
            shared["elapsed"], args.warm_from = 0.0, shared["step"]
    elif args.start:
        if (args.out / "checkpoint.pt").exists():
            raise SystemExit(f"{args.out} holds a checkpoint already: --resume goes on with it, or choose another folder")
        shared.update(flat=weights_of(args.start, dims), step=last_step(args.start))
        args.warm_from = args.moments_from = shared["step"]
        shutil.copy(args.start / "loss.csv", args.out / "log.csv")
    elif not (args.out / "log.csv").exists():
        (args.out / "log.csv").write_text("seconds,step,clean_tokens,canvases,causal_loss,hole_loss,rate\n")
    save(args.out / "checkpoint.pt", shared, shared["step"], shared["elapsed"], dims)
    shared.update(grads=torch.zeros(args.workers, len(flat)), losses=torch.zeros(args.micro, 2), clock=torch.zeros(1))
    for key in ("flat", "state", "grads", "losses", "clock"):
        shared[key].share_memory_()
    context = mp.get_context("spawn")
    shared.update(barrier=context.Barrier(args.workers), taken=context.Value("l", 0), compiled=context.Event())
    print(f"{len(flat) / 1e6:.2f} M parameters, {dims}", flush=True)
    mp.start_processes(work, args=(args, dims, shared), nprocs=args.workers, start_method="spawn")


if __name__ == "__main__":
    main()
