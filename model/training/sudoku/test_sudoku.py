"""Tests of the Sudoku recipe: puzzles, the training task, a made-up tiny run, and the exported files.

    python -m pytest -q sudoku        (from model/training)
"""
import random

import numpy as np
import pytest
import torch

import net as network
from check_parity import TOLERANCE, differences
from sudoku import export, puzzles, task, train
from sudoku.measure import interval, keeps_rules, solve, text
from sudoku.task import BOARD, CANVAS, CELL_1, DIGIT_1, FAR, HEADER, MASK, MIDDLE, Drawer, Shape

SHAPE = Shape(canvases=8, rows=4)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A dozen puzzles."""
    rng = random.Random(1)
    path = tmp_path_factory.mktemp("puzzles") / "train.txt"
    path.write_text("".join(puzzles.line(*puzzles.generate(rng)) + "\n" for _ in range(12)))
    return path


def is_grid(cells) -> bool:
    return all(sorted(cells[i] for i in unit) == list(range(1, 10)) for unit in puzzles.UNITS)


def test_a_puzzle_has_exactly_its_solution():
    rng = random.Random(3)
    for givens in (0, 30, 40):
        puzzle, solution = puzzles.generate(rng, givens)
        assert is_grid(solution) and all(p in (0, s) for p, s in zip(puzzle, solution))
        assert sum(map(bool, puzzle)) == givens or not givens and 20 <= sum(map(bool, puzzle)) <= 30
        assert all(puzzles.is_unique(puzzle, solution, cell) for cell in range(81) if not puzzle[cell])
    fewest, solution = puzzles.generate(rng)
    for cell in filter(lambda cell: fewest[cell], range(81)):
        without = [0 if c == cell else d for c, d in enumerate(fewest)]
        assert not puzzles.is_unique(without, solution, cell), "no given is one too many"


def test_the_same_seed_makes_the_same_puzzles():
    one, two, other = (puzzles.generate(random.Random(seed)) for seed in (5, 5, 6))
    assert one == two != other


def test_symmetries_keep_a_puzzle_a_puzzle(file):
    grids = np.stack(puzzles.read(file), 1)
    moved = puzzles.shuffled(np.random.default_rng(0), grids)
    assert (moved != grids).any(2).all()
    for puzzle, solution in moved:
        assert puzzles.solve(puzzle.tolist()) == solution.tolist() and is_grid(solution)


def test_what_is_open_is_masked_and_counts(file):
    drawer = Drawer(*puzzles.read(file), 7, SHAPE)
    shown = []
    for index in range(20):
        b = {k: v.numpy() for k, v in drawer.batch(index).items()}
        assert b["canvas"].shape == (8, CANVAS) and (b["canvas"][:, 0] == BOARD).all() and b["clamped"][:, 0].all()
        open_cells = b["canvas"] == MASK
        assert open_cells.any(1).all() and not (open_cells & b["clamped"]).any()
        assert (b["weight"][open_cells] == 1).all() and (b["weight"][b["clamped"]] == 0).all()
        assert (b["canvas"] == b["label"])[b["clamped"]].all()
        assert all(is_grid(row - DIGIT_1 + 1) for row in b["label"][:, 1:])
        shown.append(open_cells.mean())
    assert 0.2 < np.mean(shown) < 0.6


def test_every_cell_finds_its_place_at_one_distance(file):
    drawer = Drawer(*puzzles.read(file), 7, SHAPE)
    first = len([*HEADER, BOARD])
    assert [HEADER[first + cell - FAR] for cell in range(81)] == [CELL_1 + cell for cell in range(81)]
    prefix_only, givens_first = (drawer.batch(index)["rows"].numpy() for index in (0, 1))
    assert prefix_only.shape[1] == FAR + 1 + 81 and givens_first.shape[1] == FAR + 1 + 81 + 1 + 81
    assert (givens_first[:, FAR + 82] == MIDDLE).all() and (givens_first[:, FAR + 1:FAR + 82] == MASK).any(1).all()
    after = np.arange(81) + FAR + 83
    assert (givens_first[:, after - 2 * FAR] == np.arange(81) + CELL_1).all(), "twice as far in the second text"


def test_the_start_looks_at_its_place():
    torch.manual_seed(0)
    net = network.Net(task.dims(64, 2))
    task.know_places(net)
    ids = torch.tensor([[*HEADER, BOARD, *[MASK, DIGIT_1 + 3, DIGIT_1 + 8] * 27]])
    with torch.no_grad():
        x, length = network.rms(net.embedding(ids)), ids.shape[1]
        q, k, _ = net.layers[0].qkv(x, net.cos[0, None, :length], net.sin[0, None, :length], torch.float32)
        looks = torch.softmax(q[0, FAR + 1:, 0] @ k[0, :, 0].T, -1)
    assert looks[torch.arange(81), torch.arange(81) + 1].mean() > 0.5


def run(file, out, *words):
    sizes = "--hidden 64 --layers 2 --canvases 8 --rows 4 --steps 12 --warmup 2 --save-every 4".split()
    return train.train(train.arguments(["--puzzles", str(file), "--out", str(out), *sizes, *words]))


def test_a_tiny_run_learns_and_a_stopped_one_goes_on_alike(file, tmp_path, monkeypatch):
    whole = run(file, tmp_path / "whole")
    start, end = (float(task.objective(net, Drawer(*puzzles.read(file), 9, SHAPE).batch(1))[0].detach())
                  for net in (network.Net(task.dims(64, 2)), whole))
    assert end < start - 0.5, "even twelve steps teach what a digit is"
    batch = Drawer.batch

    def power_cut(self, index):
        if index == 9:
            raise KeyboardInterrupt
        return batch(self, index)

    monkeypatch.setattr(Drawer, "batch", power_cut)
    with pytest.raises(KeyboardInterrupt):
        run(file, tmp_path / "stopped")
    monkeypatch.undo()
    resumed = run(file, tmp_path / "stopped")
    for ours, theirs in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(ours, theirs)


def test_exported_files_are_the_reference_s_and_only_digits_are_text(file, tmp_path):
    torch.manual_seed(0)
    net = network.Net(task.dims(64, 2))
    for p in net.parameters():  # every scale must matter
        if p.ndim == 1:
            p.data *= 1 + 0.3 * torch.randn_like(p)
    export.write(net, tmp_path / "model")
    *checked, effect = differences(tmp_path / "model", prompt_length=100).items()
    assert all(v < TOLERANCE for _, v in checked), checked
    assert effect[1] > 10 * TOLERANCE
    puzzle, solution = (grid[0] for grid in puzzles.read(file))
    tokenizer = export.tokenizer()
    assert tokenizer.encode(text(solution)).ids == (solution + DIGIT_1 - 1).tolist()
    assert tokenizer.encode("<mask> 0 | 5x\n").ids[-1] == DIGIT_1 + 4
    assert tokenizer.decode([DIGIT_1, BOARD, DIGIT_1 + 8]) == "19"
    assert text(puzzle).count(".") == (puzzle == 0).sum() and text(puzzle).count("\n") == 9


def test_a_puzzle_is_asked_again_until_its_answer_keeps_the_rules():
    puzzle, solution = puzzles.generate(random.Random(5))
    wrong = [value or 1 for value in puzzle]
    asked = []

    def answer(shown):
        asked.append([int(value) for value in shown])
        if len(asked) < 3:
            return [value or 1 for value in asked[-1]], 4
        return puzzles.solve(asked[-1]), 4

    found = solve(answer, np.array(puzzle), np.array(solution), 8)
    assert found.solved and found.right == 1.0 and found.steps == 12 and len(asked) == 3
    assert asked[0] == list(puzzle) and asked[1] != asked[0], "another view of it"
    assert not solve(lambda shown: ([int(v) or 1 for v in shown], 4), np.array(puzzle), np.array(solution), 2).solved
    assert keeps_rules(solution) and not keeps_rules(wrong)


def test_an_interval_holds_its_share():
    low, high = interval(45, 50)
    assert 0.78 < low < 0.9 < high < 0.97 and interval(0, 10)[0] == pytest.approx(0)
