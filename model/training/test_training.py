"""Tests of the training task on a made-up corpus, and of the network's parity with the reference class.

    python -m pytest -q test_training.py       (or: python test_training.py)
"""
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import export
from check_parity import TOLERANCE, differences
from holes import BUCKETS, Drawer, Shape, Task
from net import Dims, Net, training_loss
from sources import trim_typescript_docs
from tokens import LANGUAGES, BLANK, BOS, EOS, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, FIRST_TEXT_ID, MASK, PAD, Corpus, Vocabulary

VOCAB, NEWLINE_ID = 64, 20
SHAPE = Shape(rows=4, length=256, canvases=4)


def made_up_data(folder: Path) -> Path:
    """Three languages of random documents; token 20 is the line break, every token above 40 can be cut into 30 and 31."""
    rng = np.random.default_rng(0)
    width, flags = np.full(VOCAB, -1, np.int16), np.zeros(VOCAB, np.uint8)
    width[NEWLINE_ID], flags[NEWLINE_ID] = 4, 3
    for language in LANGUAGES:
        sizes = rng.integers(30, 900, 40)
        tokens = rng.integers(FIRST_TEXT_ID, VOCAB, sizes.sum()).astype(np.uint16)
        tokens[rng.random(len(tokens)) < 0.1] = NEWLINE_ID
        np.save(folder / f"tokens.train.{language}.npy", tokens)
        np.save(folder / f"flags.train.{language}.npy", flags[tokens] | 4)
        np.save(folder / f"docs.train.{language}.npy", np.concatenate([[0], sizes.cumsum()]))
    np.savez(folder / "vocab.npz", flags=flags, width=width, chars=np.ones(VOCAB, np.int16))
    can_cut = np.arange(VOCAB) > 40
    count = int(can_cut.sum())
    np.savez(folder / "cuts.npz", index=np.concatenate([[0], can_cut.cumsum()]).astype(np.int32),
             position=np.ones(count, np.int16), left_off=np.arange(count + 1), right_off=np.arange(count + 1),
             left_ids=np.full(count, 30, np.uint16), right_ids=np.full(count, 31, np.uint16))
    return folder


def batches(count=60):
    with tempfile.TemporaryDirectory() as folder:
        data = made_up_data(Path(folder))
        drawer = Drawer(Corpus(data), Vocabulary(data), seed=3)
        return [drawer.batch(i, SHAPE) for i in range(count)]


def test_no_noised_token_is_known_to_the_first_pass():
    for b in batches():
        even = lambda x: x.reshape(-1, 2, SHAPE.canvas_length)[:, 0].ravel()
        noised = even(b["canvas"]) != even(b["clamped"])
        slots = np.zeros_like(noised)
        slots[b["slot_at"][0][b["slot_weight"][0] > 0]] = True
        assert noised.any() and not (noised & ~slots).any()


def test_a_round_draws_each_language_as_often_as_it_says_and_no_chunk_twice():
    with tempfile.TemporaryDirectory() as folder:
        data = made_up_data(Path(folder))
        corpus = Corpus(data)
        drawer, stride = Drawer(corpus, Vocabulary(data), seed=3, task=Task(languages=(1, 2, 5))), 256
        drawn = np.array([drawer.chunk(index, stride) for index in range(80)])
        language = np.searchsorted(corpus.starts, drawn, "right") - 1
        assert [(language == n).sum() for n in range(3)] == [10, 20, 50]
        first = drawn[language == 2]
        assert len(set(first)) == len(first) and (first < len(corpus.tokens)).all()
        assert sum(len(np.load(data / f"tokens.train.{name}.npy")) for name in LANGUAGES) == corpus.bounds[-1]


def test_typescript_comments_are_cut_to_what_they_say_first():
    text = """/**
 * Adds two numbers.
 *
 * Long story.
 * @param a one
 */
function add(a: number) {
  /** @internal */
  // one
  // two
  // three
  return a /* kept */
}
/* one line */"""
    kept = trim_typescript_docs(text.split("\n"))
    assert kept == ["/** Adds two numbers. */", "function add(a: number) {", "  // one", "  // two", "  return a /* kept */", "}", "/** one line */"]


def test_labels_are_the_clean_tokens():
    for b in batches():
        for side in range(2):
            clean = b["clamped"].reshape(-1, 2, SHAPE.canvas_length)[:, side].ravel()
            used = b["slot_weight"][side] > 0
            assert used.any() and (clean[b["slot_at"][side][used]] == b["slot_label"][side][used]).all()


def test_blanks_are_one_tail_of_an_all_mask_bucket():
    seen = 0
    for b in batches():
        for canvas, clean in zip(b["canvas"], b["clamped"]):
            blank = np.flatnonzero(clean == BLANK)
            if len(blank):
                seen += 1
                assert blank[-1] in BUCKETS and (np.diff(blank) == 1).all() and blank[0] > 1
                assert (canvas[1:blank[-1] + 1] == MASK).all()
    assert seen > 50


def test_a_document_ends_in_eos_then_pads():
    ended = 0
    for b in batches():
        for clean in b["clamped"]:
            end = np.flatnonzero(clean == EOS)
            if len(end):
                ended += 1
                assert (clean[end[0] + 1:] == PAD).all() and (clean[:end[0]] != PAD).all()
    assert ended > 5


def test_fim_rows_keep_their_order():
    seen = 0
    for b in batches():
        for row in b["rows"]:
            at = [np.flatnonzero(row == t) for t in (FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE)]
            if len(at[0]):
                seen += 1
                assert at[0][0] < at[1][0] < at[2][0] and row[0] == BOS
    assert seen > 5


def test_a_far_suffix_stands_behind_its_row():
    with tempfile.TemporaryDirectory() as folder:
        data = made_up_data(Path(folder))
        corpus = Corpus(data)
        drawer, seen = Drawer(corpus, Vocabulary(data), seed=3, task=Task(far_suffix_share=1.0)), 0
        for index in range(60):
            row, follow, weight = drawer.plain_row(np.random.default_rng(index), drawer.chunk(index, 256), 256)
            unforeseen = np.flatnonzero(weight == 0)
            assert len(unforeseen) <= 1
            if not len(unforeseen):
                continue
            seen += 1
            later, begin = row[2:unforeseen[0]], unforeseen[0]
            doc = corpus.document_of(int(follow[begin]))
            own = follow[(follow >= corpus.bounds[doc]) & (follow < corpus.bounds[doc + 1])]
            behind = corpus.tokens[own.max():corpus.bounds[doc + 1]]
            found = [i for i in range(len(behind) - len(later) + 1) if (behind[i:i + len(later)] == later).all()]
            assert found and later[0] == NEWLINE_ID and (follow[:begin - 1] == -1).all()
        assert seen > 20


def test_a_micro_batch_depends_on_its_index_only():
    for one, two in zip(batches(4), batches(4)):
        assert all((one[k] == two[k]).all() for k in one)


def test_the_objective_reaches_every_parameter():
    torch.manual_seed(0)
    dims = Dims(vocab_size=VOCAB, hidden_size=32, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=16,
                intermediate_size=24, moe_intermediate_size=16)
    net = Net(dims)
    batch = {k: torch.from_numpy(v) for k, v in batches(1)[0].items()}
    loss, _, _ = training_loss(net, batch)
    loss.backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert torch.isfinite(loss) and not still, still


def test_the_shipped_config_is_what_the_recipe_writes():
    shipped = json.loads((Path(__file__).parent.parent / "mini/config.json").read_text(encoding="utf-8"))
    vocab = SimpleNamespace(first_text_id=FIRST_TEXT_ID)
    assert export.lacuna(vocab) == shipped["lacuna"]


def test_parity_with_the_reference():
    torch.manual_seed(0)
    net = Net(Dims(vocab_size=VOCAB, hidden_size=32, num_layers=3, num_heads=4, num_kv_heads=2, head_dim=16,
                   intermediate_size=24, moe_intermediate_size=16, canvas_length=24, positions_max=512))
    for p in net.parameters():  # every scale must matter
        if p.ndim == 1:
            p.data *= 1 + 0.3 * torch.randn_like(p)
    with tempfile.TemporaryDirectory() as folder:
        data = made_up_data(Path(folder))
        (data / "tokenizer.json").write_text("{}")
        export.write(net, data, data / "model")
        *checked, effect = differences(data / "model").items()
    assert all(v < TOLERANCE for _, v in checked), checked
    assert effect[1] > 10 * TOLERANCE


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
