"""Sudoku puzzles with exactly one solution, seeded.

    python -m sudoku.puzzles --count 20000 --seed 1 --out data/train.txt          # bases to train on, as few givens as possible
    python -m sudoku.puzzles --count 200 --seed 2 --givens 26,30,36,45 --out data/heldout.txt

A file has one puzzle a line: 81 characters `1`-`9` or `.`, row by row, a space, and the 81 digits of the solution. Different
seeds share no puzzle: a solution comes from a random search, and two of 6.7e21 grids do not meet by chance.

Cells are numbered 0-80; a set of candidates is a bit mask (bit d is digit d + 1).
"""
import argparse
import random
from pathlib import Path

import numpy as np

ALL = (1 << 9) - 1
ROW = [i // 9 for i in range(81)]
COLUMN = [i % 9 for i in range(81)]
BOX = [i // 27 * 3 + i % 9 // 3 for i in range(81)]
UNITS = [[i for i in range(81) if unit[i] == n] for unit in (ROW, COLUMN, BOX) for n in range(9)]
PEERS = [sorted({j for unit in UNITS if i in unit for j in unit} - {i}) for i in range(81)]
UNITS_OF = [[unit for unit in UNITS if i in unit] for i in range(81)]


def place(candidates: list[int], cell: int, bit: int) -> bool:
    """Puts a digit into a cell of `candidates` (81 masks, changed in place) and what follows by singles. False: contradiction."""
    todo = [(cell, bit)]
    while todo:
        cell, bit = todo.pop()
        if not candidates[cell] & bit:
            return False
        candidates[cell] = bit
        for peer in PEERS[cell]:
            before = candidates[peer]
            if before & bit:
                after = before & ~bit
                if not after:
                    return False
                candidates[peer] = after
                if not after & (after - 1):
                    todo.append((peer, after))
    return True


def hidden_single(candidates: list[int]) -> tuple[int, int] | None:
    """A cell, not yet settled, that alone in one of its units can hold a digit; (-1, 0) where a digit has no place."""
    for unit in UNITS:
        once = twice = settled = 0
        for cell in unit:
            mask = candidates[cell]
            twice |= once & mask
            once |= mask
            if not mask & (mask - 1):
                settled |= mask
        if once != ALL:
            return -1, 0
        alone = once & ~twice & ~settled
        if alone:
            bit = alone & -alone
            return next(cell for cell in unit if candidates[cell] & bit), bit
    return None


def search(candidates: list[int], rng: random.Random | None = None) -> list[int] | None:
    """A solution (81 single-bit masks) within `candidates`, or None. With `rng` a random one."""
    while (found := hidden_single(candidates)) is not None:
        if found[0] < 0 or not place(candidates, *found):
            return None
    open_cells = [c for c in range(81) if candidates[c] & (candidates[c] - 1)]
    if not open_cells:
        return candidates
    if rng:
        rng.shuffle(open_cells)
    cell = min(open_cells, key=lambda c: candidates[c].bit_count())
    bits = [1 << d for d in range(9) if candidates[cell] >> d & 1]
    if rng:
        rng.shuffle(bits)
    for bit in bits:
        trial = candidates.copy()
        if place(trial, cell, bit) and (solved := search(trial, rng)):
            return solved
    return None


def candidates_of(puzzle: list[int]) -> list[int] | None:
    """The masks after every given (0 = empty) is placed; None where the givens contradict each other."""
    candidates = [ALL] * 81
    for cell, digit in enumerate(puzzle):
        if digit and not place(candidates, cell, 1 << (digit - 1)):
            return None
    return candidates


def solve(puzzle: list[int]) -> list[int] | None:
    """A solution of 81 digits (0 = empty), or None."""
    candidates = candidates_of(puzzle)
    found = search(candidates) if candidates else None
    return [mask.bit_length() for mask in found] if found else None


def is_unique(puzzle: list[int], solution: list[int], cell: int) -> bool:
    """Whether `puzzle`, unique before `cell` was emptied, still is: no other digit there leads to a solution."""
    candidates = candidates_of(puzzle)
    other = candidates[cell] & ~(1 << (solution[cell] - 1))
    for digit in range(9):
        if other >> digit & 1:
            trial = candidates.copy()
            if place(trial, cell, 1 << digit) and search(trial):
                return False
    return True


def generate(rng: random.Random, givens: int = 0) -> tuple[list[int], list[int]]:
    """A puzzle with a unique solution and at least `givens` givens (as few as one pass of removals leaves), and the solution."""
    solution = [mask.bit_length() for mask in search([ALL] * 81, rng)]
    puzzle, left = solution.copy(), 81
    for cell in rng.sample(range(81), 81):
        if left <= givens:
            break
        puzzle[cell] = 0
        if is_unique(puzzle, solution, cell):
            left -= 1
        else:
            puzzle[cell] = solution[cell]
    return puzzle, solution


def singles_suffice(puzzle: list[int]) -> bool:
    """Whether naked and hidden singles alone solve it, that is, without ever trying."""
    candidates = candidates_of(puzzle)
    while (found := hidden_single(candidates)) is not None:
        place(candidates, *found)
    return all(not mask & (mask - 1) for mask in candidates)


def line(puzzle: list[int], solution: list[int]) -> str:
    """One line of a puzzle file."""
    return "".join(str(d) if d else "." for d in puzzle) + " " + "".join(map(str, solution))


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Puzzles (0 = empty) and solutions of a file, u8 [puzzles, 81] each."""
    rows = [row.split() for row in path.read_text().splitlines()]
    digits = lambda at: np.array([[int(c) if c != "." else 0 for c in row[at]] for row in rows], np.uint8)
    return digits(0), digits(1)


def shuffled(rng: np.random.Generator, grids: np.ndarray) -> np.ndarray:
    """The same puzzles under random symmetries: digits renamed, rows and bands, columns and stacks exchanged, transposed.

    grids [N, K, 81], 0 = empty; the K grids of a puzzle (givens, solution) move together. Returns the same shape.
    """
    count = len(grids)

    def order() -> np.ndarray:  # [N, 9]: three bands in random order, three rows of each in random order
        bands = rng.random((count, 3)).argsort(1)[:, :, None] * 3
        return (bands + rng.random((count, 3, 3)).argsort(2)).reshape(count, 9)

    cells = order()[:, :, None] * 9 + order()[:, None, :]  # [N, 9, 9]
    flip = rng.random(count) < 0.5
    cells[flip] = cells[flip].transpose(0, 2, 1)
    moved = np.take_along_axis(grids, cells.reshape(count, 1, 81), 2)
    names = np.concatenate([np.zeros((count, 1), np.int64), rng.random((count, 9)).argsort(1) + 1], 1)
    return np.take_along_axis(names[:, None, :].repeat(grids.shape[1], 1), moved.astype(np.int64), 2)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--count", type=int, required=True, help="puzzles for each number of givens")
    a.add_argument("--seed", type=int, required=True)
    a.add_argument("--givens", default="0", help="numbers of givens, such as 26,36; 0: as few as possible")
    a.add_argument("--out", type=Path, required=True)
    a = a.parse_args()
    a.out.parent.mkdir(parents=True, exist_ok=True)
    with a.out.open("w") as file:
        for givens in map(int, a.givens.split(",")):
            rng, made = random.Random(f"{a.seed} {givens}"), 0
            while made < a.count:
                puzzle, solution = generate(rng, givens)
                if not givens or sum(map(bool, puzzle)) == givens:
                    file.write(line(puzzle, solution) + "\n")
                    made += 1


if __name__ == "__main__":
    main()
