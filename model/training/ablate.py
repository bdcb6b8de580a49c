"""Ablations: many short runs of a small proxy that differ in one thing, measured on the same held-out bytes.

    python ablate.py --data DATA --out TABLE.csv [--data-2k DATA2] [--data-8k DATA8] [--model ../mini] [--runs "base;mask only"…]

Each run: 300 steps of one micro-batch of 1,024 clean tokens and 16 canvases, one thread, from nothing, the learning rate falling
over the last 60 %. What is measured: `measure.py`. The proxy has 1.28 M parameters, so that minutes are enough for it to learn
something; the shipped model's size would see a third of the tokens a parameter. A row is appended as soon as its run ends;
runs that are in the table already are not made again.

What a share of the task does can hardly be seen in a model that knows nothing yet. So the runs named "shipped: …" begin with the
shipped model's weights (4.07 M parameters, a fresh optimiser) and take 150 steps at a quarter of the learning rates.
"""
import argparse
import csv
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from holes import Shape, Task
from measure import Measure
from net import Dims
from tokens import Vocabulary
from train_device import MicroBatches, Trainer, factor

PROXY = dict(hidden_size=128, num_layers=4, num_heads=2, num_kv_heads=1, head_dim=64, intermediate_size=192, moe_intermediate_size=128)
SHAPE, WARMUP, DECAY_FROM, HOLES = Shape(rows=4, length=256, canvases=4), 30, 0.4, 240
MUON_LR, ADAM_LR = 0.02, 0.002
MEASURES = ("causal", "canvas", "canvas half", "length", "fim", "prefix", "canvas exact", "prefix exact")


@dataclass(frozen=True)
class Run:
    """What one run changes."""
    task: Task = Task(far_suffix_share=0.0)
    dims: dict = field(default_factory=dict)
    rate: float = 1.0
    distil: float = 0.0
    seed: int = 1
    data: str = "data"
    shipped: bool = False  # begin with the shipped model

    @property
    def steps(self) -> int:
        return 150 if self.shipped else 300


def task(**changed) -> Run:
    return Run(task=replace(Run.task, **changed))


def tuned(distil: float = 0.0, seed: int = 1, **changed) -> Run:
    return Run(task=replace(Run.task, **changed), rate=0.25, distil=distil, seed=seed, shipped=True)


RUNS = {
    "base": Run(),
    "base, seed 2": Run(seed=2),
    "mask only": task(uniform_share=0.0),
    "uniform only": task(uniform_share=1.0),
    "vocabulary 2k": Run(data="data_2k"),
    "vocabulary 8k": Run(data="data_8k"),
    "rate x 2": Run(rate=2.0),
    "rate x 1/2": Run(rate=0.5),
    "dense 0": task(dense_share=0.0),
    "full noise 0.6": task(full_noise_share=0.6),
    "blank 0.2": task(blank_canvas_share=0.2),
    "fim 0.1": task(fim_share=0.1),
    "distil 0.25": Run(distil=0.25),
    "2 layers of 160": Run(dims=dict(hidden_size=160, num_layers=2, intermediate_size=256, moe_intermediate_size=192)),
    "8 layers of 96": Run(dims=dict(hidden_size=96, num_layers=8)),
    "shipped: base": tuned(),
    "shipped: base, seed 2": tuned(seed=2),
    "shipped: dense 0": tuned(dense_share=0.0),
    "shipped: fim 0.1": tuned(fim_share=0.1),
    "shipped: blank 0.2": tuned(blank_canvas_share=0.2),
    "shipped: full noise 0.6": tuned(full_noise_share=0.6),
    "shipped: mask only": tuned(uniform_share=0.0),
    "shipped: distil 0.25": tuned(distil=0.25),
}


@lru_cache
def trainer_of(dims: tuple, distil: float) -> Trainer:
    """One trainer for all runs of a shape: compiled once."""
    return Trainer(Dims(**dict(dims)), "cpu", distil=distil)


def make(run: Run, data: Path, model: Path) -> dict:
    """One run → its measures, parameters and CPU seconds of the training alone."""
    sizes = {} if run.shipped else PROXY | run.dims
    dims = Dims(vocab_size=Vocabulary(data).size, **sizes)
    trainer = trainer_of(tuple(dims.to_dict().items()), run.distil)
    trainer.reset(run.seed)
    if run.shipped:
        trainer.begin_with(model)
    trainer.net.train()
    batches, begin = MicroBatches(data, run.seed, run.task, SHAPE), 0.0
    for step in range(run.steps):
        rate = run.rate * factor(step / run.steps, step, WARMUP, DECAY_FROM)
        losses = trainer.step([batches[step]], (MUON_LR * rate, ADAM_LR * rate))
        if step == 0:
            begin = time.process_time()  # the first step compiles
        if step % 50 == 49:
            print(f"  step {step + 1}  causal {losses[0]:.3f}  hole {losses[1]:.3f}", flush=True)
    seconds = time.process_time() - begin
    uniform = run.task.uniform_share == 1.0
    return dict(parameters=len(trainer.flat), cpu_seconds=round(seconds)) | Measure(trainer.net, data, HOLES, uniform)()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--data-2k", "--data-8k"):
        a.add_argument(name, type=Path, required=name == "--data", help="with tokenizer.json, packed")
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--model", type=Path, default=Path(__file__).parents[1] / "mini", help="the shipped model")
    a.add_argument("--runs", default=";".join(RUNS), help="names of RUNS, apart by ;")
    a = a.parse_args()
    torch.set_num_threads(1)
    columns = ["run", "steps", "parameters", "cpu_seconds", *MEASURES]
    if not a.out.exists():
        a.out.write_text(",".join(columns) + "\n")
    for name in a.runs.split(";"):
        run, done = RUNS[name], [row["run"] for row in csv.DictReader(a.out.open())]
        data = getattr(a, run.data)
        if name in done or data is None:
            continue
        print(name, flush=True)
        found = make(run, data, a.model)
        row = dict(run=name, steps=run.steps) | {k: round(v, 4) for k, v in found.items()}
        with a.out.open("a", newline="") as file:
            csv.DictWriter(file, columns, lineterminator="\n").writerow(row)
        print("  ", row, flush=True)


if __name__ == "__main__":
    main()
