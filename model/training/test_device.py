"""Tests of training in one process: fused attention, the optimiser, resuming, distilling, and the pieces that travel.

    python -m pytest -q test_device.py
"""
import dataclasses
import json
import math
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import export
import fetch_corpus
import fused
import net as plain
import parts
from average import EMBEDDING, averaged
from corpus import case_shingles, crates, listed_in, npm_packages, read
from holes import Shape, Task
from measure import Measure
from net import Dims, Net, causal_targets, training_loss
from optimiser import Optimiser
from tokens import LANGUAGES
from test_training import VOCAB, batches, made_up_data
from train import bind, share, update
from train_device import DIFFERENCE_MAX, MicroBatches, Trainer, factor

HERE = Path(__file__).parent
DIMS = Dims(vocab_size=VOCAB, hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=16, intermediate_size=24,
            moe_intermediate_size=16)


def test_fused_attention_is_the_plain_one():
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g)
    q, k, v = draw(2, 12, 4, 8), draw(2, 12, 2, 8), draw(2, 12, 2, 8)
    assert torch.allclose(fused.attend_causal(q, k, v), plain.attend_causal(q, k, v), atol=1e-5)
    bias = torch.zeros(2, 3, 12).masked_fill(torch.arange(12) >= torch.tensor([[0, 5, 12], [1, 11, 7]])[..., None], float("-inf"))
    q, own = draw(6, 5, 4, 8), (draw(6, 5, 2, 8), draw(6, 5, 2, 8))
    assert torch.allclose(fused.attend_canvas(q, *own, k, v, bias), plain.attend_canvas(q, *own, k, v, bias), atol=1e-5)


def test_the_check_made_on_a_gpu_passes_here_and_sees_a_wrong_scale(monkeypatch):
    assert fused.difference("cpu") < DIFFERENCE_MAX
    right = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(fused.F, "scaled_dot_product_attention", lambda *a, scale, **k: right(*a, scale=0.8 * scale, **k))
    assert fused.difference("cpu") > DIFFERENCE_MAX


def test_fused_attention_trains_like_the_plain_one(monkeypatch):
    batch = {k: torch.from_numpy(v) for k, v in batches(1)[0].items()}

    def gradient():
        torch.manual_seed(0)
        net = Net(DIMS)
        training_loss(net, batch, torch.float32)[0].backward()
        return torch.cat([p.grad.flatten() for p in net.parameters()])

    expected = gradient()
    monkeypatch.setattr(plain, "attend_causal", fused.attend_causal)
    monkeypatch.setattr(plain, "attend_canvas", fused.attend_canvas)
    found = gradient()
    assert (found - expected).norm() < 1e-4 * expected.norm() and not torch.equal(found, expected)


def test_the_optimiser_takes_the_steps_of_the_shared_one():
    torch.manual_seed(0)
    start = torch.cat([p.detach().flatten() for p in Net(DIMS).parameters()])
    flats = [start.clone(), start.clone()]
    states = [torch.zeros(2, len(start)) for _ in flats]
    grads = [torch.zeros(1, len(start)) for _ in flats]
    params = [bind(Net(DIMS), flat, grad[0]) for flat, grad in zip(flats, grads)]
    ours, theirs = Optimiser(params[0], states[0], grads[0][0]), share(params[1], 0, 1)
    for step in range(1, 4):
        grads[0].copy_(torch.randn(grads[0].shape))
        grads[1].copy_(grads[0])
        ours.step(step, (0.02, 0.002))
        update(theirs, states[1], grads[1], step, (0.02, 0.002))
    moved = (flats[1] - start).abs().mean()
    assert (flats[0] - flats[1]).abs().max() < 0.05 * moved  # Newton-Schulz is in bf16


def test_the_canvas_learns_the_causal_pass_only_where_both_read_the_same_text():
    torch.manual_seed(0)
    net, seen = Net(DIMS), 0
    for b in batches(8):
        batch = {k: torch.from_numpy(v) for k, v in b.items()}
        rows = batch["rows"]
        logits = net.logits(net.encode(rows)[0][:, :-1].flatten(0, 1))
        known, teacher = causal_targets(net, logits, batch)
        used = (batch["slot_weight"] > 0) & known
        seen += int(used.sum())
        for side, slot in used.nonzero().tolist()[::7]:
            canvas, spot = int(batch["slot_at"][side, slot]) // 64 * 2 + side, int(batch["slot_at"][side, slot]) % 64
            row, at = canvas // 4, int(batch["anchor"][canvas]) + spot
            assert rows[row, at] == batch["slot_label"][side, slot]
            expected = logits.view(len(rows), -1, VOCAB)[row, at - 1].log_softmax(-1)
            assert torch.allclose(teacher[side, slot], expected, atol=1e-5)
    assert seen > 200


def test_distilling_adds_a_gradient_to_the_canvas_only():
    torch.manual_seed(0)
    net = Net(DIMS)
    batch = {k: torch.from_numpy(v) for k, v in batches(1)[0].items()}
    without, with_it = training_loss(net, batch, torch.float32)[0], training_loss(net, batch, torch.float32, 0.25)[0]
    assert with_it > without
    net.zero_grad()
    (with_it - without).backward()
    gradient = net.layers[0].q_proj.grad.abs().sum()  # used by both passes; the teacher's side is detached
    assert torch.isfinite(gradient) and gradient > 0 and net.layers[0].encoder_scalar.grad.abs().sum() > 0


def test_a_resumed_run_is_the_run_that_was_not_stopped(tmp_path):
    made_up_data(tmp_path)
    taken = MicroBatches(tmp_path, 1, Task(), Shape(2, 256, 4))

    def steps(trainer, until):
        while trainer.steps < until:
            trainer.step([taken[trainer.steps]], (0.02 * factor(trainer.steps / 6, trainer.steps, 2, 0.5), 0.002))

    whole = Trainer(DIMS, "cpu", compiled=False)
    steps(whole, 6)
    first = Trainer(DIMS, "cpu", compiled=False)
    steps(first, 3)
    first.save(tmp_path / "checkpoint.pt", Task())
    second = Trainer(DIMS, "cpu", seed=9, compiled=False)
    second.load(tmp_path / "checkpoint.pt")
    steps(second, 6)
    assert torch.equal(whole.flat, second.flat) and not torch.equal(first.flat, second.flat)
    with pytest.raises(SystemExit, match="same --size"):
        Trainer(Dims(vocab_size=VOCAB, hidden_size=64), "cpu", compiled=False).load(tmp_path / "checkpoint.pt")


def test_training_can_begin_with_an_exported_model(tmp_path):
    made_up_data(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    trainer = Trainer(DIMS, "cpu", compiled=False)
    export.write(trainer.net, tmp_path, tmp_path / "model")
    other = Trainer(DIMS, "cpu", seed=2, compiled=False)
    other.begin_with(tmp_path / "model")
    assert torch.equal(other.flat, trainer.flat.bfloat16().float())
    assert torch.equal(other.net.embed, trainer.net.embed.bfloat16().float())  # the network's parameters are views of it
    other.reset(1)
    assert torch.equal(other.flat, trainer.flat)


def test_a_model_that_knows_nothing_needs_twelve_bits_a_token(tmp_path):
    """Every logit 0 in a vocabulary of 4,096; so bits per byte is 12 times tokens over bytes, whatever is asked."""
    text = {"rust": "fn sum(values: &[u32]) -> u32 {\n    let mut total = 0;\n    for value in values {\n        total += value;\n    }\n    total\n}\n",
            "python": "def total(values, start=0):\n    for value in values:\n        start += value.amount\n    return start\n",
            "typescript": "function total(values: number[]): number {\n  let sum = 0\n  for (const value of values) {\n    sum += value\n  }\n  return sum\n}\n"}
    for language, words in text.items():
        (tmp_path / f"heldout.{language}.jsonl").write_text(json.dumps({"text": words * 12}) + "\n")
    net = Net(dataclasses.replace(DIMS, vocab_size=4096))
    net.embed.data.zero_()
    asked = Measure(net, tmp_path, 24, tokenizer=HERE.parent / "mini" / "tokenizer.json")
    holes = ["".join(case.units) for case in asked.cases]
    assert len({len(hole) for hole in holes}) > 5
    for case, hole in zip(asked.cases, holes):
        assert case.prefix[-40:] + hole + case.suffix[:40] in text[case.language] * 12
    expected = 12 * sum(len(asked.ids(hole)) for hole in holes) / sum(len(hole) for hole in holes)
    found = asked()
    assert found["canvas"] == pytest.approx(expected) == found["prefix"] and found["fim"] == pytest.approx(expected)
    expected = 12 + sum(len(asked.ids(hole)) for hole in holes) / len(holes) * -math.log2(1 - 2 ** -12)
    assert found["length"] == pytest.approx(expected, rel=1e-4)
    assert found["canvas exact"] == found["prefix exact"] == 0


def test_pieces_join_to_the_same_file_and_a_damaged_one_is_refused(tmp_path):
    whole = np.random.default_rng(0).bytes(10_500)
    (tmp_path / "weights").write_bytes(whole)
    pieces = parts.split(tmp_path / "weights", tmp_path / "out", 4096)
    assert [p.stat().st_size for p in pieces] == [4096, 4096, 2308]
    parts.join(tmp_path / "out" / "weights.sha256", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == whole
    pieces[1].write_bytes(bytes(4096))
    with pytest.raises(SystemExit, match="fetch them again"):
        parts.join(tmp_path / "out" / "weights.sha256", tmp_path / "again")
    pieces[1].unlink()
    with pytest.raises(SystemExit, match="weights.001"):
        parts.join(tmp_path / "out" / "weights.sha256", tmp_path / "again")


def test_the_gpu_script_trains_in_calls_exports_and_joins(tmp_path):
    """End to end on the CPU: two calls, pieces of 0.05 MiB, and the joined model is the exported one."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    made_up_data(data)
    (data / "tokenizer.json").write_text("{}")
    for kind in ("tokens", "flags", "docs"):
        for language in LANGUAGES:
            (data / f"{kind}.heldout.{language}.npy").write_bytes((data / f"{kind}.train.{language}.npy").read_bytes())
    for language in LANGUAGES:
        (data / f"heldout.{language}.jsonl").write_text("")
    script = ["bash", str(HERE / "gpu_train.sh")]
    settings = dict(SIZE="tiny", DEVICE="cpu", STEPS="4", PIECE_MIB="0.05", PYTHON=sys.executable, PATH="/usr/bin:/bin",
                    MORE="--eager --rows 2 --length 256 --canvases 2 --loaders 0 --log-every 1 --warmup 2")

    def call(*words, **changed):
        return subprocess.run([*script, *map(str, words)], env=settings | changed, check=True, capture_output=True, text=True).stdout

    call("pack", data, tmp_path / "pack.tar.xz")
    train = ("train", tmp_path / "pack.tar.xz", tmp_path / "work", out)
    assert call(*train, CALL_MINUTES="0").endswith("call again\n")
    assert call(*train).endswith("finished\n")
    assert len(list(out.glob("model.tar.0*"))) > 3
    call("join", out, tmp_path / "model")
    exported = tmp_path / "work" / "model"
    assert {p.name: p.read_bytes() for p in exported.iterdir()} == {p.name: p.read_bytes() for p in (tmp_path / "model").iterdir()}
    assert [line.split(",")[1] for line in (exported / "log.csv").read_text().splitlines()] == ["step", "1", "2", "3", "4"]


def test_what_the_manifest_names_is_fetched_and_read(tmp_path):
    wanted = fetch_corpus.wanted(fetch_corpus.MANIFEST)
    assert ("anyhow", "1.0.104") in wanted["rust"] and ("torch", "2.15.0") in wanted["python"]
    assert not [name for name, _ in wanted["python"] if name.startswith("cpython")]
    assert 'anyhow = { version = "=1.0.104", default-features = false }\n' in fetch_corpus.cargo_manifest(wanted["rust"])
    for name, version in (("anyhow", "1.0.104"), ("anyhow", "1.0.9"), ("stranger", "1.0.0")):
        folder = tmp_path / f"{name}-{version}"
        folder.mkdir()
        (folder / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nversion = "{version}"\nlicense = "MIT"\n')
    assert [(p.name, p.version) for p in crates(tmp_path, listed_in(fetch_corpus.MANIFEST))] == [("anyhow", "1.0.104")]


def npm_archive(folder: Path, name: str, files: dict) -> Path:
    """An archive as npm makes them: everything below `package/`."""
    tree = folder.with_name(name)
    for path, text in ({"package.json": json.dumps({"name": name, "version": "1.0.0", "license": "MIT"})} | files).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    folder.mkdir(exist_ok=True)
    archive = folder / f"{name}-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as made:
        made.add(tree, "package")
    return archive


def test_of_an_npm_package_what_people_wrote_is_read_and_nothing_that_a_case_was_cut_from(tmp_path):
    lines = lambda word: "".join(f"export function {word}{n}(value: number): number {{\n  return value + {word}\n}}\n" for n in range(12))
    files = {"src/a.ts": lines("a"), "src/b.ts": lines("b"), "src/a.test.ts": lines("c"), "lib/a.d.ts": lines("d"), "src/a.js": lines("e")}
    folder = tmp_path / "npm"
    fetch_corpus.unpack(npm_archive(folder, "friendly", files))
    fetch_corpus.unpack(npm_archive(folder, "zod", files))
    assert not list(folder.glob("*.tgz")) and not list(folder.rglob("*.js"))
    (package,) = npm_packages(folder)  # cases were cut from the other
    assert [path.relative_to(package.root).as_posix() for path in package.files] == ["src/a.ts", "src/b.ts"]
    case = {"prompt": lines("b")[:300], "canonical_solution": lines("b")[300:320], "suffix": lines("b")[320:]}
    (tmp_path / "typescript.jsonl").write_text(json.dumps(case) + "\n")
    assert [row["path"] for row in read(package, set(), case_shingles(tmp_path))] == ["src/a.ts"]


def test_an_average_lies_between_and_keeps_what_only_the_last_has_learnt():
    first, last = {EMBEDDING: torch.zeros(3, 2), "a": torch.tensor([1.0])}, {EMBEDDING: torch.ones(3, 2), "a": torch.tensor([3.0])}
    found = averaged([first, last], [0.25, 0.75], [2])
    assert found["a"].item() == 2.5 and found["a"].dtype == torch.bfloat16
    assert found[EMBEDDING].float().tolist() == [[0.75, 0.75], [0.75, 0.75], [1, 1]]
    with pytest.raises(SystemExit, match="shares"):
        averaged([first, last], [0.5, 0.6], [])
    with pytest.raises(SystemExit, match="same tensors"):
        averaged([first, {EMBEDDING: torch.ones(4, 2), "a": last["a"]}], [0.5, 0.5], [])
