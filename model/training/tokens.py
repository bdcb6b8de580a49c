"""The packed corpus and the vocabulary facts that hole drawing needs; written by `tokenizer.py pack` (formats there)."""
from pathlib import Path

import numpy as np

PAD, EOS, BOS, MASK, BLANK, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE = range(8)
LANGUAGES = {"rust": 9, "python": 10, "typescript": 11}
FIRST_TEXT_ID = 16
NEWLINE, INDENT, UNIT, COMMENT = 1, 2, 4, 8
COMMENT_KEPT = 0.2  # a hole that would start in a comment is kept with this probability
INSIDE_UNIT_KEPT = 0.4


class Vocabulary:
    def __init__(self, data: Path):
        found = np.load(data / "vocab.npz")
        self.size, self.first_text_id = len(found["flags"]), FIRST_TEXT_ID
        cuts = np.load(data / "cuts.npz")
        self.index, self.left_off, self.right_off = cuts["index"], cuts["left_off"], cuts["right_off"]
        self.left_ids, self.right_ids = cuts["left_ids"].astype(np.int64), cuts["right_ids"].astype(np.int64)

    def cut(self, rng, token: int):
        """A random place inside a token → (left tokens, right tokens), or None where there is none."""
        lo, hi = int(self.index[token]), int(self.index[token + 1])
        if lo == hi:
            return None
        c = int(rng.integers(lo, hi))
        return (self.left_ids[self.left_off[c]:self.left_off[c + 1]],
                self.right_ids[self.right_off[c]:self.right_off[c + 1]])


class Corpus:
    """All languages of one split, one after the other; positions are indices into `tokens`."""

    def __init__(self, data: Path, split: str = "train"):
        parts = [[np.load(data / f"{kind}.{split}.{name}.npy") for kind in ("tokens", "flags", "docs")]
                 for name in LANGUAGES]
        self.tokens = np.concatenate([p[0] for p in parts])
        self.flags = np.concatenate([p[1] for p in parts])
        self.starts = np.concatenate([[0], np.cumsum([len(p[0]) for p in parts])])  # of each language
        self.bounds = np.concatenate([[0], *(p[2][1:] + at for p, at in zip(parts, self.starts))])
        self.language = np.repeat(list(LANGUAGES.values()), [len(p[2]) - 1 for p in parts])
        self.newlines = np.flatnonzero(self.flags & NEWLINE)
        self.width = np.load(data / "vocab.npz")["width"]

    def document_of(self, at: int) -> int:
        return int(np.searchsorted(self.bounds, at, "right")) - 1

    def line_start(self, at: int, first: int) -> int:
        """The position after the last line break before `at`, or the document's first."""
        n = int(np.searchsorted(self.newlines, at)) - 1
        return max(first, int(self.newlines[n]) + 1) if n >= 0 else first

    def next_newline(self, at: int, last: int, count: int = 1) -> int:
        """The position of the count-th line break at or after `at`, or the document's end."""
        n = int(np.searchsorted(self.newlines, at)) + count - 1
        return min(last, int(self.newlines[n])) if n < len(self.newlines) else last

    def body_ahead(self, at: int, last: int) -> int:
        """Tokens from `at`, the first of a line, to the line break before the next less indented line."""
        if at == 0 or not self.flags[at - 1] & NEWLINE:
            return 0
        depth, n = int(self.width[self.tokens[at - 1]]), int(np.searchsorted(self.newlines, at))
        while n < len(self.newlines) and self.newlines[n] < last:
            if self.width[self.tokens[self.newlines[n]]] < depth:
                return int(self.newlines[n]) - at
            n += 1
        return 0

    def pick(self, rng, spots, follow, line_starts: bool) -> int:
        """A row position to anchor at, among `spots`: mostly code, mostly at the edge of a word."""
        if line_starts:
            at_start = spots[(self.flags[follow[spots] - 1] & NEWLINE) > 0]
            spots = at_start if len(at_start) else spots
        for _ in range(8):
            p = int(spots[rng.integers(len(spots))])
            flags = self.flags[follow[p]]
            if flags & COMMENT and rng.random() > COMMENT_KEPT:
                continue
            if not flags & UNIT and rng.random() > INSIDE_UNIT_KEPT:
                continue
            break
        return p
