"""Losses on held-out text in units that do not depend on the vocabulary: bits per byte of the same holes in the same files.

    python measure.py --model DIR --data DATA        # DATA/heldout.*.jsonl; the model's own tokenizer

Holes and windows are cut in text at the edges of the tokenizer's units, which every vocabulary keeps, so the same bytes are
asked of every model. What is measured:
    causal        bits per byte of running text, `<bos>` language and up to 700 bytes of context (windows that start a line)
    canvas        bits per byte of a hole that is all masks, told its length: first pass, nothing known, all code around it
    canvas half   the same where every unit of the hole is masked with probability one half: of the masked ones
    length        bits of the true length under the length pass (bucket 40)
    fim           bits per byte of the hole's text by the causal pass in fill-in-the-middle order
    prefix        bits per byte of the hole's text by the causal pass that sees the prefix alone
    canvas exact  share of holes whose every token is the canvas' argmax in that one first pass
    prefix exact  share of holes whose every token is the causal pass' argmax (what greedy decoding would write)
"""
import argparse
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from check_parity import read
from net import Net
from tokenizer import UNITS
from tokens import BLANK, BOS, EOS, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, FIRST_TEXT_ID, LANGUAGES, MASK, PAD

PROMPT_TOKENS, BUCKET, FIM_SUFFIX_TOKENS = 200, 40, 40
PROMPT_CHARS = 2000  # more than any vocabulary makes PROMPT_TOKENS of
WINDOW_BYTES, HOLE_BYTES = 700, (2, 40)
BATCH = 16


@dataclass
class Case:
    """A hole in text; `units` are the hole's pieces, cut where every vocabulary cuts."""
    language: str
    prefix: str
    units: list
    suffix: str
    masked: list  # which units the half-masked canvas hides


def documents(data: Path):
    for language in LANGUAGES:
        with (data / f"heldout.{language}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield language, json.loads(line)["text"]


def cases(data: Path, count: int, seed: int = 7) -> list:
    """Rests of lines and spans within lines, in code, as many from each language."""
    rng, texts, found = np.random.default_rng(seed), {}, []
    for language, text in documents(data):
        texts.setdefault(language, []).append(text)
    while len(found) < count:
        language = list(texts)[len(found) % len(texts)]
        text = texts[language][int(rng.integers(len(texts[language])))]
        start = int(rng.integers(len(text)))
        start, end = text.rfind("\n", 0, start) + 1, text.find("\n", start)
        line = text[start:end]
        if end < 0 or len(line.strip()) < 8 or line.strip().startswith(("//", "#", '"""')):
            continue
        indent = len(line) - len(line.lstrip())  # belongs to the line break before it
        edges = [indent + m.start() for m in re.finditer(UNITS, line[indent:])] + [len(line)]
        first = int(rng.integers(len(edges) - 1))
        last = len(edges) - 1 if rng.random() < 0.5 else int(rng.integers(first + 1, len(edges)))
        units = [line[a:b] for a, b in zip(edges[first:last], edges[first + 1:last + 1])]
        size = len("".join(units).encode())
        if not HOLE_BYTES[0] <= size <= HOLE_BYTES[1]:
            continue
        masked = rng.random(len(units)) < 0.5
        masked[rng.integers(len(units))] = True
        found.append(Case(language, text[:start + edges[first]][-PROMPT_CHARS:], units, text[start + edges[last]:][:300], masked.tolist()))
    return found


def windows(data: Path, count: int, seed: int = 8) -> list:
    """(language, text) that starts a line."""
    rng, all_texts = np.random.default_rng(seed), list(documents(data))
    found = []
    while len(found) < count:
        language, text = all_texts[int(rng.integers(len(all_texts)))]
        at = text.rfind("\n", 0, int(rng.integers(len(text)))) + 1
        if len(piece := text[at:at + WINDOW_BYTES]) > WINDOW_BYTES // 2:
            found.append((language, piece))
    return found


class Measure:
    """`Measure(net, data, …)()` → name → number. `data` has heldout.*.jsonl; `tokenizer` is read from there by default."""

    def __init__(self, net: Net, data: Path, holes: int = 320, uniform: bool = False, tokenizer: Path | None = None):
        self.uniform, self.random = uniform, np.random.default_rng(9)
        self.net, self.cases, self.windows = net.eval(), cases(data, holes), windows(data, holes // 4)
        self.tokenizer = Tokenizer.from_file(str(tokenizer or data / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True
        size = net.dims.vocab_size
        self.bytes_of = torch.tensor([len(self.tokenizer.id_to_token(i)) if i > max(LANGUAGES.values()) else 0 for i in range(size)])

    def ids(self, text: str) -> list:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def causal_sum(self, rows, spans) -> tuple:
        """Rows of tokens and the span of each that counts → (nats, bytes, rows whose span is all argmax)."""
        nats, size, right = 0.0, 0, 0
        for at in range(0, len(rows), BATCH):
            some = rows[at:at + BATCH]
            ids = padded(some)
            hidden, _ = self.net.encode(ids[:, :-1])
            for i, (a, b) in enumerate(spans[at:at + BATCH]):
                logits, labels = self.net.logits(hidden[i, a - 1:b - 1]), ids[i, a:b]
                nats += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
                size += int(self.bytes_of[labels].sum())
                right += bool((logits.argmax(-1) == labels).all())
        return nats, size, right

    def prompt(self, case: Case) -> list:
        return [BOS, LANGUAGES[case.language], *self.ids(case.prefix)[-PROMPT_TOKENS:]]

    def canvas_rows(self, build) -> list:
        """Per case (logits [n, V] of the hole, labels [n]); `build` makes (hole as shown, labels) of a case."""
        out = []
        for at in range(0, len(self.cases), BATCH):
            some = self.cases[at:at + BATCH]
            prompts, holes = [self.prompt(c) for c in some], [build(c) for c in some]
            canvas = torch.full((len(some), self.net.dims.canvas_length), PAD)
            for i, (case, prompt, (shown, _)) in enumerate(zip(some, prompts, holes)):
                row = [prompt[-1], *shown, *self.ids(case.suffix), EOS][:canvas.shape[1]]
                canvas[i, :len(row)] = torch.tensor(row)
            _, cache = self.net.encode(padded(prompts))
            anchor = torch.tensor([len(p) - 1 for p in prompts])
            soft = torch.zeros(*canvas.shape, self.net.dims.hidden_size)
            hidden = self.net.denoise(canvas, soft, cache, anchor)
            out += [(self.net.logits(hidden[i, 1:1 + len(labels)]), torch.tensor(labels)) for i, (_, labels) in enumerate(holes)]
        return out

    def noise(self, count: int) -> list:
        """What an unknown position holds: a mask, or for a model of uniform noise a random id."""
        return self.random.integers(FIRST_TEXT_ID, len(self.bytes_of), count).tolist() if self.uniform else [MASK] * count

    def all_masked(self, case: Case):
        labels = self.ids("".join(case.units))
        return self.noise(len(labels)), labels

    def half_masked(self, case: Case):
        pieces = [self.ids(unit) for unit in case.units]
        shown = [t for piece, hidden in zip(pieces, case.masked) for t in (self.noise(len(piece)) if hidden else piece)]
        return shown, [t for piece in pieces for t in piece]

    def hidden_tokens(self, case: Case) -> torch.Tensor:
        """Which of the half-masked hole's tokens are not shown, bool [n]."""
        return torch.tensor([hidden for unit, hidden in zip(case.units, case.masked) for _ in self.ids(unit)])

    def in_bucket(self, case: Case):
        size = len(self.ids("".join(case.units)))
        return [MASK] * BUCKET, [0] * size + [1] + [-1] * (BUCKET - size - 1)

    @torch.no_grad()
    def __call__(self) -> dict:
        bits = lambda nats, size: nats / size / math.log(2)
        ce = lambda logits, labels: torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        rows = [[BOS, LANGUAGES[language], *self.ids(text)] for language, text in self.windows]
        out = {"causal": bits(*self.causal_sum(rows, [(2, len(row)) for row in rows])[:2])}
        full = self.canvas_rows(self.all_masked)
        size = sum(int(self.bytes_of[labels].sum()) for _, labels in full)
        out["canvas"] = bits(sum(ce(*row).sum().item() for row in full), size)
        out["canvas exact"] = sum(bool((logits.argmax(-1) == labels).all()) for logits, labels in full) / len(full)
        nats = size = 0
        for case, (logits, labels) in zip(self.cases, self.canvas_rows(self.half_masked)):
            hidden = self.hidden_tokens(case)
            nats, size = nats + ce(logits, labels)[hidden].sum().item(), size + int(self.bytes_of[labels[hidden]].sum())
        out["canvas half"] = bits(nats, size)
        ends = []
        for logits, labels in self.canvas_rows(self.in_bucket):
            blank, n = logits.log_softmax(-1)[:, BLANK], int((labels == 1).nonzero()[0])
            ends.append(-(blank[n] + torch.log1p(-blank[:n].exp()).sum()).item())
        out["length"] = bits(sum(ends), len(ends))
        return out | self.orders()

    def orders(self) -> dict:
        """The causal pass on the same holes: fill-in-the-middle order, and the prefix alone."""
        out = {}
        for name in ("fim", "prefix"):
            rows, spans = [], []
            for case in self.cases:
                (begin, language, *prefix), hole = self.prompt(case), self.ids("".join(case.units))
                head = [begin, language, *prefix]
                if name == "fim":
                    suffix = self.ids(case.suffix)[:FIM_SUFFIX_TOKENS]
                    head = [begin, language, FIM_PREFIX, *prefix, FIM_SUFFIX, *suffix, FIM_MIDDLE]
                rows.append(head + hole)
                spans.append((len(head), len(head) + len(hole)))
            nats, size, right = self.causal_sum(rows, spans)
            out[name] = nats / size / math.log(2)
            if name == "prefix":
                out["prefix exact"] = right / len(rows)
        return out


def padded(rows) -> torch.Tensor:
    """Rows of tokens as one tensor [n, longest], padded at the end."""
    width = max(map(len, rows))
    return torch.tensor([list(row) + [PAD] * (width - len(row)) for row in rows])


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", type=Path, required=True)
    a.add_argument("--data", type=Path, required=True)
    a.add_argument("--holes", type=int, default=320)
    a = a.parse_args()
    for name, value in Measure(read(a.model), a.data, a.holes, tokenizer=a.model / "tokenizer.json")().items():
        print(f"{name:14s} {value:.4f}")


if __name__ == "__main__":
    main()
