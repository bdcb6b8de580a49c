"""Draws training micro-batches: clean rows, and noised canvases anchored in them.

A canvas is [head: one clamped token][hole][suffix: clamped, to the canvas' end]. It starts at row position `anchor`,
sees the clean tokens [0, anchor) and all of itself. After the document's end the suffix is `<eos>`, then `<pad>`.
Micro-batch j is a function of (seed, j) alone, so a resumed run continues with exactly the data it would have seen.
"""
from dataclasses import dataclass, replace

import numpy as np

from tokens import PAD, EOS, BOS, MASK, BLANK, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, Vocabulary, Corpus

HOLE_MAX = 40
SUFFIX_MIN = 16
BUCKETS = (16, 40)
KINDS = ("rest", "span", "lines", "random", "body")
KIND_SHARE = (0.36, 0.30, 0.15, 0.14, 0.05)
LINE_START_SHARE = {"rest": 0.35, "span": 0.1, "lines": 0.6, "random": 0.0, "body": 1.0}
CUT_START, CUT_END = 0.30, 0.15
KEPT_WEIGHT, BLANK_WEIGHT = 0.3, 0.15
FIM_SUFFIX_MAX = 48
MIDDLE_WEIGHT = 3.0  # of the causal loss on what a fim row fills in; its prefix and suffix count as any text
SLOTS_PER_CANVAS = 28


@dataclass(frozen=True)
class Task:
    """The shares of the training task; the defaults are what a training begins with. `ablate.py` varies them."""
    uniform_share: float = 0.15  # of corrupted tokens: a random id instead of <mask>
    full_noise_share: float = 0.2  # of exact-length canvases that are not dense: t = 1
    blank_canvas_share: float = 0.5  # of the canvases without self-conditioning: a bucket with blanks, all masked
    dense_share: float = 0.55  # of the other canvases: noise all over the canvas, as in block diffusion; most learning for the price
    fim_share: float = 0.35  # of the rows
    far_suffix_share: float = 0.5  # of the other rows: the first document's text begins with some of what follows later
    languages: tuple = ()  # rows of each of `tokens.LANGUAGES` in a round of as many as the sum; by their sizes where empty


# A training begins with the one and ends with the other (README.md, "Ablations"): the shipped model's second phase, but for the far
# suffix, which it did not have, and its third.
TASKS = {"begin": Task(), "end": Task(blank_canvas_share=0.2, fim_share=0.25)}
# The fourth phase, which brought TypeScript: nearly half of the rows, since none of it had been seen.
TASKS["typescript"] = replace(TASKS["end"], languages=(32, 23, 45))


@dataclass
class Shape:
    rows: int = 4
    length: int = 256
    canvases: int = 4  # per row, even
    canvas_length: int = 64


@dataclass
class Hole:
    """What is cut out of a document: `left` and `right` are the clamped neighbours' text, as tokens."""
    head: int  # the clamped token before the hole
    content: np.ndarray  # [n] tokens of the hole
    suffix: np.ndarray  # [≥ 0] tokens after it, up to the document's end
    shift: int  # 1 where the head is the left piece of a split token, so the canvas starts one position later


class Drawer:
    def __init__(self, corpus: Corpus, vocab: Vocabulary, seed: int, task: Task = Task()):
        self.corpus, self.vocab, self.seed, self.task = corpus, vocab, seed, task
        self.chunks = {}
        languages = np.repeat(np.arange(len(task.languages)), task.languages)
        self.round = np.random.default_rng(seed).permutation(languages)  # which language each row of a round is of

    def chunk(self, index: int, stride: int) -> int:
        """The corpus position where row `index` starts: every stride-th position once per epoch, in random order."""
        first, tokens, index = self.part(index)
        if (first, stride) not in self.chunks:
            self.chunks[first, stride] = np.random.default_rng(self.seed).permutation(tokens // stride)
        order = self.chunks[first, stride]
        epoch, at = divmod(index, len(order))
        return first + int((order[at] * stride + epoch * (stride // 3)) % tokens)

    def part(self, index: int):
        """Where row `index` is drawn from → (first corpus position, tokens, the row's number there)."""
        if not len(self.round):
            return 0, len(self.corpus.tokens), index
        rounds, at = divmod(index, len(self.round))
        language = int(self.round[at])
        before = rounds * self.task.languages[language] + int((self.round[:at] == language).sum())
        first = int(self.corpus.starts[language])
        return first, int(self.corpus.starts[language + 1]) - first, before

    # ---- rows

    def plain_row(self, rng, start: int, length: int):
        """→ row [length], follow [length]: the corpus position of the token after each row position (-1: none), and weight
        [length]: how much the causal loss of predicting each token counts."""
        row, follow = np.zeros(length, np.int64), np.full(length, -1, np.int64)
        weight, filled = np.ones(length, np.float32), 0
        far_suffix = int(rng.integers(length // 16, length // 3)) if rng.random() < self.task.far_suffix_share else 0
        while filled < length:
            doc = self.corpus.document_of(start)
            first, last = self.corpus.bounds[doc], self.corpus.bounds[doc + 1]
            at = first if filled or rng.random() < 0.25 else self.corpus.line_start(start, first)
            take = min(length - filled - 2, last - at)
            later = ()
            if not filled and 0 < 2 * far_suffix < take:
                later = self.later(rng, (at + take - far_suffix, last), far_suffix)
                take -= far_suffix if len(later) else 0
            if length - filled < 10:
                break
            if last - at < 8:
                start = int(rng.integers(len(self.corpus.tokens)))
                continue
            row[filled:filled + 2] = BOS, self.corpus.language[doc]
            if len(later):
                row[2:2 + len(later)], filled = later, len(later)
                weight[2 + len(later)] = 0.0  # nothing tells where the text before the hole begins
            row[filled + 2:filled + 2 + take] = self.corpus.tokens[at:at + take]
            follow[filled + 1:filled + 2 + take] = np.arange(at, at + take + 1)
            filled += 2 + take
            if at + take == last:
                follow[filled - 1] = -1  # nothing follows the document's last token
                if filled < length:
                    row[filled] = EOS
                    filled += 1
            start = int(rng.integers(len(self.corpus.tokens)))
        return row, follow, weight

    def later(self, rng, span, most: int):
        """Text of the same document behind all of a row's holes, from a line break on: at most `most` tokens."""
        end, last = span
        at = self.corpus.next_newline(end + int(rng.geometric(0.05)), last)
        return self.corpus.tokens[at:min(last, at + most)] if last - at >= 8 else ()

    def fim_row(self, rng, start: int, length: int):
        """As `plain_row`, of one or several documents in the order prefix, suffix, middle."""
        row, follow, filled = np.zeros(length, np.int64), np.full(length, -1, np.int64), 0
        weight = np.ones(length, np.float32)
        docs = int(rng.integers(1, 2 + length // 256))
        while length - filled >= 120:
            doc = self.corpus.document_of(start)
            first, last = self.corpus.bounds[doc], self.corpus.bounds[doc + 1]
            at = self.corpus.line_start(start, first)
            room = min(length - filled, length // docs) - FIM_SUFFIX_MAX - HOLE_MAX - 5  # markers
            prefix = min(int(rng.integers(room // 2, room + 1)), last - at - 2)
            start = int(rng.integers(len(self.corpus.tokens)))
            if prefix < 4:
                continue
            kind = rng.choice(KINDS, p=KIND_SHARE)
            hole = self.hole(rng, kind, (at + prefix, last), HOLE_MAX, int(self.corpus.tokens[at + prefix - 1]))
            head = [BOS, self.corpus.language[doc], FIM_PREFIX]
            tail = [hole.head] if hole.shift else []
            # As long as chance has it: were it what a canvas leaves, its length would tell the hole's.
            suffix = hole.suffix[:int(rng.integers(8, FIM_SUFFIX_MAX + 1))]
            rest = [FIM_SUFFIX, *suffix, FIM_MIDDLE, *hole.content, EOS]
            text = np.concatenate([head, self.corpus.tokens[at:at + prefix], tail, rest]).astype(np.int64)
            text = text[:length - filled]
            row[filled:filled + len(text)] = text
            follow[filled + 2:filled + 3 + prefix] = np.arange(at, at + prefix + 1)
            filled += len(text)
            weight[filled - min(len(text), len(hole.content) + 1):filled] = MIDDLE_WEIGHT
        return row, follow, weight

    # ---- holes

    def hole(self, rng, kind: str, span, most: int, head: int) -> Hole:
        """A hole of at most `most` tokens; `span` is (its first corpus position, the document's end), `head` the token before."""
        at, last = span
        n = self.hole_length(rng, kind, span, most)
        tokens = self.corpus.tokens
        content, suffix = tokens[at:at + n].astype(np.int64), tokens[at + n:min(last, at + n + 64)].astype(np.int64)
        shift = 0
        if rng.random() < CUT_START and (cut := self.vocab.cut(rng, int(content[0]))):
            if len(cut[0]) == 1 and n - 1 + len(cut[1]) <= most:
                head, content, shift = int(cut[0][0]), np.concatenate([cut[1], content[1:]]), 1
        if len(suffix) and rng.random() < CUT_END and (cut := self.vocab.cut(rng, int(suffix[0]))):
            if len(content) + len(cut[0]) <= most:
                content, suffix = np.concatenate([content, cut[0]]), np.concatenate([cut[1], suffix[1:]])
        return Hole(head, content, suffix, shift)

    def hole_length(self, rng, kind: str, span, most: int) -> int:
        (at, last), corpus = span, self.corpus
        most = min(most, last - at)
        line = corpus.next_newline(at, last) - at  # tokens left in this line
        if kind == "rest" and 1 <= line <= most:
            return line
        if kind == "span" and line >= 2:
            return int(rng.integers(1, min(line, most + 1)))
        if kind == "lines":
            for count in rng.permutation([2, 3, 4]):
                if 1 <= (n := corpus.next_newline(at, last, int(count)) - at) <= most:
                    return n
        if kind == "body" and 1 <= (n := corpus.body_ahead(at, last)) <= most:
            return n
        return int(min(most, rng.geometric(0.12)))

    # ---- canvases

    def batch(self, index: int, shape: Shape) -> dict:
        """Micro-batch `index` as numpy arrays; names and shapes as `net.training_loss` takes them."""
        rng = np.random.default_rng((self.seed, index))
        b, k, c = shape.rows, shape.canvases, shape.canvas_length
        n, slots = b * k, b * k // 2 * SLOTS_PER_CANVAS
        out = dict(rows=np.zeros((b, shape.length), np.int64), row_weight=np.ones((b, shape.length), np.float32), canvas=np.zeros((n, c), np.int64),
                   clamped=np.zeros((n, c), np.int64), anchor=np.zeros(n, np.int64),
                   slot_at=np.zeros((2, slots), np.int64), slot_label=np.zeros((2, slots), np.int64),
                   slot_weight=np.zeros((2, slots), np.float32),
                   temperature=np.where(rng.random(n // 2) < 0.2, 1.0, rng.uniform(0.4, 0.8, n // 2)).astype(np.float32))
        used = [0, 0]
        for r in range(b):
            start = self.chunk(index * b + r, shape.length)
            make = self.fim_row if rng.random() < self.task.fim_share else self.plain_row
            row, follow, weight = make(rng, start, shape.length)
            out["rows"][r], out["row_weight"][r] = row, weight
            for j in range(k):
                self.place(rng, out, (r * k + j, row, follow), used, n)
        return out

    def place(self, rng, out, where, used, count):
        """Draw one canvas of a row into the arrays of `batch`."""
        at, row, follow = where
        c, side = out["canvas"].shape[1], at % 2
        left = (count - 1 - at) // 2 + 1  # canvases of this side still to come, this one included
        most = max(1, min(HOLE_MAX, out["slot_at"].shape[1] - used[side] - left * 6))
        kind = rng.choice(KINDS, p=KIND_SHARE)
        p = self.corpus.pick(rng, np.flatnonzero(follow >= 0), follow, rng.random() < LINE_START_SHARE[kind])
        span = (int(follow[p]), int(self.corpus.bounds[self.corpus.document_of(int(follow[p])) + 1]))
        hole = self.hole(rng, kind, span, most, int(row[p]))
        size = len(hole.content)
        buckets = [x for x in BUCKETS if x > size]
        text, bucketed = ([hole.head], hole.content, hole.suffix, [EOS]), False
        if side == 1 and buckets and rng.random() < self.task.blank_canvas_share:
            bucket = buckets[int(rng.integers(len(buckets)))]
            text = [hole.head], hole.content, np.full(bucket - size, BLANK), hole.suffix, [EOS]
            noise, weight = in_bucket(rng, size, bucket)
            bucketed = True
        elif rng.random() < self.task.dense_share:
            noise, weight = all_over(rng, min(c - 1, size + len(hole.suffix) + 1), most)
        else:
            noise, weight = in_hole(rng, size, self.task.full_noise_share)
        clean = np.full(c, PAD, np.int64)
        text = np.concatenate(text)[:c]
        clean[:len(text)] = text
        masked = np.full(len(noise), MASK)
        if not bucketed:  # the length pass reads masks only
            odd = rng.random(len(noise)) < self.task.uniform_share
            masked[odd] = rng.integers(self.vocab.first_text_id, self.vocab.size, odd.sum())
        noised = clean.copy()
        noised[1:1 + len(noise)] = np.where(noise, masked, clean[1:1 + len(noise)])
        out["canvas"][at], out["clamped"][at], out["anchor"][at] = noised, clean, p + hole.shift
        keep = np.flatnonzero(weight > 0)[:out["slot_at"].shape[1] - used[side]]
        lo, hi = used[side], used[side] + len(keep)
        out["slot_at"][side, lo:hi] = at // 2 * c + 1 + keep
        out["slot_label"][side, lo:hi], out["slot_weight"][side, lo:hi] = clean[1 + keep], weight[keep]
        used[side] = hi


# Each returns (noise, weight) for the canvas positions from 1 on: which are corrupted, and how much their loss counts.

def in_hole(rng, size: int, full_noise_share: float):
    t = 1.0 if rng.random() < full_noise_share else rng.random()
    noise = rng.random(size) < t
    noise[rng.integers(size)] = True
    return noise, np.where(noise, 1.0, KEPT_WEIGHT).astype(np.float32)


def in_bucket(rng, size: int, bucket: int):
    """All masks; content and the first blank count alike, so that the hazard read from them is unbiased; the blanks
    after it hardly, so that they never drown the content."""
    weight = np.ones(bucket, np.float32)
    weight[size + 1:] = 0.0
    weight[rng.permutation(np.arange(size + 1, bucket))[:4]] = BLANK_WEIGHT
    return np.ones(bucket, bool), weight


def all_over(rng, size: int, most: int):
    """Single tokens or short runs all over the canvas, at most `most`; the loss is on the corrupted ones only."""
    goal = max(1, min(most, int(size * rng.uniform(0.1, 0.8))))
    noise = np.zeros(size, bool)
    if rng.random() < 0.5:
        noise[rng.permutation(size)[:goal]] = True
    else:
        while (missing := goal - int(noise.sum())) > 0:
            start = int(rng.integers(size))
            noise[start:start + min(missing, int(rng.geometric(0.15)))] = True
    return noise, noise.astype(np.float32)
