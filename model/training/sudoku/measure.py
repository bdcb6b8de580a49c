"""Solves held-out puzzles with `lacuna fill`, ours and the controls on the same weights, and counts.

    python -m sudoku.measure --model solver --puzzles data/heldout.txt [--lacuna ../../target/release/lacuna] [--views 8]

With `--views N` a puzzle whose answer breaks a rule (no look at the solution is needed to see that) is asked again under another random
symmetry, N times at most; passes add up. One row for each number of givens and method: puzzles, share solved (all cells right; with a 95 % Wilson interval), share of the
empty cells that are right, and network passes: denoising steps for `diffusion`, one a cell for the controls. `causal` reads
what is given when it comes to it, `causal-fim` has read the whole puzzle before it writes.
"""
import argparse
import json
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from .puzzles import UNITS, read, shuffled


@dataclass
class Answer:
    solved: bool
    right: float  # share of the empty cells
    steps: int


def text(puzzle) -> str:
    """A puzzle (81 numbers, 0 = empty) as people write it: nine lines, empty cells as dots."""
    cells = "".join(str(d) if d else "." for d in puzzle)
    return "".join(" ".join(cells[row:row + 9]) + "\n" for row in range(0, 81, 9))


def ask(lacuna: str, model: Path, puzzle, flags: list[str]) -> tuple[list[int], int]:
    """One puzzle through `lacuna fill`: the whole board, and passes."""
    command = [lacuna, "fill", "-", "--all=.", "--json", "--model", str(model), *flags]
    run = subprocess.run(command, input=text(puzzle), capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}: {run.stderr.strip()}")
    best = json.loads(run.stdout)["candidates"][0]
    # The candidate reaches from the first empty cell to the last; what is around it is given.
    first = next(cell for cell in range(81) if not puzzle[cell])
    found = [int(c) for c in best["text"] if c.isdigit()]
    return [*puzzle[:first], *found, *puzzle[first + len(found):]], best["steps"]


def keeps_rules(board) -> bool:
    """Whether every row, column and box holds nine different digits."""
    return all(len({board[cell] for cell in unit}) == 9 for unit in UNITS)


def solve(answer, puzzle, solution, views: int) -> Answer:
    """The first answer that keeps the rules, or the last; `answer` maps a puzzle to a board and passes."""
    rng, passes = np.random.default_rng(0), 0
    for view in range(views):
        if view:
            puzzle, solution = shuffled(rng, np.array([[puzzle, solution]]))[0]
        board, steps = answer(puzzle)
        passes += steps
        if keeps_rules(board):
            break
    right = [board[cell] == solution[cell] for cell in range(81) if not puzzle[cell]]
    return Answer(all(right), sum(right) / len(right), passes)


def interval(solved: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    z, share = 1.96, solved / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5 / (1 + z * z / count)
    return middle - half, middle + half


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", type=Path, required=True)
    a.add_argument("--puzzles", type=Path, required=True)
    a.add_argument("--lacuna", default="lacuna")
    a.add_argument("--methods", default="diffusion,causal-fim,causal")
    a.add_argument("--limit", type=int, default=1_000_000, help="puzzles for each number of givens")
    a.add_argument("--views", type=int, default=1, help="how often a puzzle is asked at most")
    a.add_argument("--flags", default="", help="more flags of `lacuna fill`, such as '--candidates 8'")
    a = a.parse_args()
    by_givens = defaultdict(list)
    for puzzle, solution in zip(*read(a.puzzles)):
        by_givens[int((puzzle > 0).sum())].append((puzzle, solution))
    print("| givens | method | puzzles | solved | 95 % | empty cells right | mean steps |\n|---|---|---|---|---|---|---|")
    for givens, pairs in sorted(by_givens.items(), reverse=True):
        for method in a.methods.split(","):
            flags = ["--method", method, "--threads", "1", *a.flags.split()]
            answer = partial(ask, a.lacuna, a.model, flags=flags)
            answers = [solve(answer, *pair, a.views) for pair in pairs[:a.limit]]
            count, solved = len(answers), sum(answer.solved for answer in answers)
            low, high = interval(solved, count)
            right, steps = (sum(getattr(x, key) for x in answers) / count for key in ("right", "steps"))
            print(f"| {givens} | {method} | {count} | {solved / count:.1%} | {low:.1%}–{high:.1%} | {right:.1%} | {steps:.1f} |", flush=True)


if __name__ == "__main__":
    main()
