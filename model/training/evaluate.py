"""Infilling on held-out cases: diffusion (own lengths, and told the length) against two causal controls of the same weights.

    python evaluate.py --model DIR --cases FILE.jsonl [--limit N] [--out results.json]

A case has `prompt`, `suffix`, `canonical_solution`, `language` and `kind`. Exact match compares text; edit similarity is
1 - Levenshtein / longer length. Methods:
    diffusion   length pass → the most likely lengths side by side → ranked by the causal score
    guided      the same, and every step adds the causal log probabilities to the canvas logits
    oracle      diffusion with the true length only (an upper bound on what better lengths would give)
    prefix      causal, sees only the code before the hole: greedy to the line's end, cut where the suffix begins
    fim         causal, `<fim_prefix>` prefix `<fim_suffix>` suffix `<fim_middle>`: greedy to `<eos>`
"""
import argparse
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from check_parity import read
from holes import FIM_SUFFIX_MAX
from net import rms, rotate
from tokens import BLANK, BOS, EOS, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX, FIRST_TEXT_ID, LANGUAGES, MASK, PAD

PROMPT_MAX, HOLE_MAX = 512, 40


@dataclass
class Recipe:
    """The knobs of `diffusion`; the defaults are what was found best on the development cases."""
    steps: int = 12
    t_max: float = 0.8
    t_min: float = 0.4
    entropy_bound: float = 0.1
    order: str = "left"  # which positions the guarantee of progress accepts first: the surest, or the leftmost ("left")
    lengths: int = 8
    heal: str = "unit"  # give the last token back to the hole: "none", "space" (a lone space), "unit" (a one-token word too)
    bucket: str = "both"  # the length pass reads bucket 40, 16, or both
    sample: bool = False  # a sample instead of the argmax of each position
    uniform_share: float = 0.0  # of rejected positions that get a random id instead of a mask
    guidance: float = 0.5  # of the method `guided`: weight of the causal log probabilities, given the last step's argmax, added to the canvas logits
    suffix_scored: int = 8  # tokens after the hole that the causal score reads
    length_weight: float = 0.0  # weight of the length pass' log probability in the ranking
    normalise: bool = False  # causal score per token instead of the sum


class Filler:
    def __init__(self, model: Path, recipe: Recipe):
        self.net, self.recipe = read(model), recipe
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True
        self.pieces = [self.tokenizer.id_to_token(i) for i in range(self.net.dims.vocab_size)]
        self.newline = torch.tensor(["Ċ" in piece for piece in self.pieces])
        self.generator = torch.Generator().manual_seed(0)

    def ids(self, text: str) -> list:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def text(self, ids) -> str:
        return self.tokenizer.decode([int(i) for i in ids if i >= FIRST_TEXT_ID])

    def healed(self, text: str) -> tuple:
        """The prefix' tokens, and the piece that the hole's first token must begin with ("" where nothing was taken back).

        A prefix that ends in a space or inside a word ends in a token the running text would not have there. The last
        token is taken back when it is a whole unit of the tokenizer; the hole then starts with a token that extends it.
        """
        found = self.tokenizer.encode(text, add_special_tokens=False)
        ids, units = found.ids, found.word_ids
        if self.recipe.heal == "none" or len(ids) < 2 or units[-1] == units[-2]:
            return ids, ""
        piece = self.pieces[ids[-1]]
        word = piece.lstrip("Ġ").isalnum() and self.recipe.heal == "unit"
        return (ids[:-1], piece) if piece == "Ġ" or word else (ids, "")

    def prompt(self, case, most: int = PROMPT_MAX) -> tuple:
        """`<bos>` language prefix, and the healed piece; a long prefix loses whole lines at its front."""
        ids, piece = self.healed(case["prompt"])
        if len(ids) > most - 2:
            ids = ids[-(most - 2):]
            breaks = [i for i, t in enumerate(ids[:-1]) if self.newline[t]]
            ids = ids[breaks[0] + 1:] if breaks else ids
        return [BOS, LANGUAGES[case["language"]], *ids], piece

    def forbidden(self, piece: str) -> torch.Tensor:
        """[V] which tokens the hole may not begin with: special ones, and what does not extend the healed piece."""
        bad = torch.tensor([not p.startswith(piece) or (piece == "Ġ" and p == piece) for p in self.pieces])
        bad[:FIRST_TEXT_ID] = True
        return bad

    # ---- one network call each

    def canvases(self, prompt, holes, suffix):
        """Clean canvases [n, C] and which positions are hole [n, C]; `holes` are lists of tokens."""
        size = self.net.dims.canvas_length
        canvas = torch.full((len(holes), size), PAD)
        hole_at = torch.zeros(len(holes), size, dtype=torch.bool)
        for i, hole in enumerate(holes):
            row = ([prompt[-1], *hole, *suffix] + [EOS])[:size]
            canvas[i, :len(row)] = torch.tensor(row)
            hole_at[i, 1:1 + len(hole)] = True
        return canvas, hole_at

    def denoise(self, canvas, soft, cache, prompt, width: int):
        """Logits [n, width, V] of the canvas positions 1 … width: only the hole needs the head."""
        anchor = torch.full((len(canvas),), len(prompt) - 1)
        return self.net.logits(self.net.denoise(canvas, soft, cache, anchor)[:, 1:1 + width])

    def extend(self, ids, cache, start: int):
        """Causal continuation: ids [n, t] after `start` cached positions of one row → logits [n, t, V], and the new cache."""
        net, (n, t) = self.net, ids.shape
        x, grown = net.embedding(ids), []
        later = torch.ones(t, t, dtype=torch.bool).triu(1)
        for layer, (k_old, v_old) in zip(net.layers, cache):
            at = slice(start, start + t)
            q, k, v = layer.qkv(x, net.cos[int(layer.full), None, at], net.sin[int(layer.full), None, at], torch.float32)
            k = torch.cat([k_old.expand(n, -1, -1, -1), k], 1)
            v = torch.cat([v_old.expand(n, -1, -1, -1), v], 1)
            grown.append((k, v))
            per = q.shape[2] // k.shape[2]
            scores = torch.einsum("nthd,nshd->nhts", q, k.repeat_interleave(per, 2))
            scores[..., start:] = scores[..., start:].masked_fill(later, float("-inf"))
            mixed = torch.einsum("nhts,nshd->nthd", scores.softmax(-1), v.repeat_interleave(per, 2)).flatten(2)
            x = layer.finish(x, mixed, layer.encoder_scalar, torch.float32)
        return net.logits(rms(x, net.norm)), grown

    # ---- diffusion

    def length_scores(self, prompt, suffix, cache):
        """log P(length = n), n = 1 … 40, from one pass over all-mask buckets."""
        buckets = {"40": [40], "16": [16], "both": [16, 40]}[self.recipe.bucket]
        canvas, _ = self.canvases(prompt, [[MASK] * b for b in buckets], suffix)
        soft = torch.zeros(*canvas.shape, self.net.dims.hidden_size)
        logits = self.denoise(canvas, soft, cache, prompt, max(buckets))
        blank = torch.softmax(logits, -1)[:, :, BLANK].double().clamp(1e-9, 1 - 1e-9)
        out = {}
        for row, bucket in enumerate(buckets):
            b = blank[row, :bucket]
            log = torch.full((HOLE_MAX + 1,), float("-inf"), dtype=torch.double)
            log[1:bucket] = b[1:].log() + (1 - b).log().cumsum(0)[:-1]
            out[bucket] = log - log.logsumexp(0)
        if len(out) == 1:
            return next(iter(out.values()))
        log, near = out[40].clone(), out[16]
        log[1:16] = (log[1:16] + near[1:16] + log[1:16].logsumexp(0)) / 2  # the geometric mean where both speak
        return log - log.logsumexp(0)

    def guide(self, logits, guess, prompt, state):
        """Add `guidance` · log p(token | prompt, the guess left of it) to hole logits [n, W, V]; guess [n, W] or None."""
        cache, last = state
        causal = last.expand(len(logits), 1, -1)
        if guess is not None:
            causal = torch.cat([causal, self.extend(guess[:, :-1], cache, len(prompt))[0]], 1)
        logits[:, :causal.shape[1]] += self.recipe.guidance * causal.log_softmax(-1)

    def accept(self, entropy, sizes, step: int):
        """Which hole positions keep their token after this step: [n, W] from the entropies, inf outside the hole."""
        r = self.recipe
        least = torch.ceil(sizes * (step + 1) / r.steps)[:, None]
        at = torch.arange(entropy.shape[1])[None]
        inside = entropy.isfinite()
        if r.order == "left":  # the bound still accepts what is sure, wherever it is
            entropy = torch.where(inside & (at < least), 0.0, entropy)
        ordered, order = entropy.sort(-1)
        before = ordered.nan_to_num(posinf=0).cumsum(-1) - ordered.nan_to_num(posinf=0)
        take = (before <= r.entropy_bound) | (at < least)
        return torch.zeros_like(inside).scatter(1, order, take) & inside

    def reject(self, like):
        """What a position that is not accepted holds next: the mask, or by a share a random token."""
        out = torch.full_like(like, MASK)
        if self.recipe.uniform_share:
            noise = torch.randint(FIRST_TEXT_ID, self.net.dims.vocab_size, like.shape, generator=self.generator)
            out = torch.where(torch.rand(like.shape, generator=self.generator) < self.recipe.uniform_share, noise, out)
        return out

    def fill_lengths(self, prompt, suffix, state, lengths, piece: str, guided: bool):
        """Denoise one canvas per length; returns the token lists and each one's mean log probability at the last step.

        state: the prompt's cache and its last causal logits. n lengths, W the longest, C the canvas.
        """
        r, net, width = self.recipe, self.net, max(lengths)
        canvas, hole_at = self.canvases(prompt, [[MASK] * n for n in lengths], suffix)
        known, inside = net.embedding(canvas), hole_at[:, 1:1 + width]  # [n, C, hidden], [n, W]
        soft, sizes, forbidden, argmax = torch.zeros_like(known), torch.tensor(lengths), self.forbidden(piece), None
        for step in range(r.steps):
            logits = self.denoise(canvas, soft, state[0], prompt, width)
            if guided:
                self.guide(logits, argmax, prompt, state)
            logits[..., :FIRST_TEXT_ID] = float("-inf")
            logits[:, 0].masked_fill_(forbidden, float("-inf"))
            p = torch.softmax(logits / (r.t_min + (r.t_max - r.t_min) * (1 - step / r.steps)), -1)
            previous, (best, argmax) = argmax, p.max(-1)
            token = argmax
            if r.sample and step + 1 < r.steps:
                token = torch.multinomial(p.flatten(0, 1), 1, generator=self.generator).view(argmax.shape)
            entropy = (p * -p.clamp(min=1e-30).log()).sum(-1).masked_fill(~inside, float("inf"))
            accepted = self.accept(entropy, sizes, step)
            now = torch.where(accepted, token, self.reject(token))
            canvas[:, 1:1 + width] = torch.where(inside, now, canvas[:, 1:1 + width])
            soft = known.clone()
            soft[:, 1:1 + width] = torch.where(inside[..., None], net.soften(p), known[:, 1:1 + width])
            if step and torch.equal(accepted, inside) and torch.equal(argmax[inside], previous[inside]):
                break
        confidence = torch.where(inside, best.log(), 0).sum(-1) / sizes
        return [argmax[i, :n].tolist() for i, n in enumerate(lengths)], confidence.tolist()

    def causal_scores(self, prompt, suffix, cache, texts) -> list:
        """Per text: (log p of the line with the text and the next suffix tokens, how many tokens that is).

        The line is encoded anew as running text, from the last line break of the prompt on, so that no score suffers
        from a cut token; what comes before is shared, and every sum runs over the same text but for the hole.
        """
        ids = torch.tensor(prompt)
        breaks = self.newline[ids].nonzero()
        at = max(2, int(breaks[-1])) if len(breaks) else 2
        tail, ahead = self.text(prompt[at:]), self.text(suffix[:self.recipe.suffix_scored])
        rows = [self.ids(tail + text + ahead) for text in texts]
        width = max(map(len, rows))
        ids = torch.tensor([[prompt[at - 1]] + row + [PAD] * (width - len(row)) for row in rows])
        before = [(k[:, :at - 1], v[:, :at - 1]) for k, v in cache]
        logits, _ = self.extend(ids[:, :-1], before, at - 1)
        got = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        return [(got[i, :len(row)].sum().item(), len(row)) for i, row in enumerate(rows)]

    def candidates(self, case, guided: bool = False, truth: str | None = None) -> list:
        """Every filled length with what a ranking may use, best first by the recipe's formula."""
        r, (prompt, piece), suffix = self.recipe, self.prompt(case), self.ids(case["suffix"])[:64]
        lead = piece.replace("Ġ", " ")
        hidden, cache = self.net.encode(torch.tensor([prompt]))
        state = cache, self.net.logits(hidden[:, -1:])
        if truth is not None:
            lengths, log = [len(self.ids(lead + truth))], torch.zeros(2 * HOLE_MAX)
        else:
            log = self.length_scores(prompt, suffix, cache)
            lengths = log.topk(r.lengths).indices.tolist()
        fills, confidence = self.fill_lengths(prompt, suffix, state, lengths, piece, guided)
        texts = [self.text(f) for f in fills]
        scores = self.causal_scores(prompt, suffix, cache, texts)
        out = [dict(text=text[len(lead):], length=n, score=score, tokens=tokens, length_log=log[n].item(), confidence=c)
               for text, n, (score, tokens), c in zip(texts, lengths, scores, confidence)]
        return sorted(out, key=self.rank, reverse=True)

    def rank(self, c) -> float:
        score = c["score"] / c["tokens"] if self.recipe.normalise else c["score"]
        return score + self.recipe.length_weight * c["length_log"]

    # ---- causal controls

    def greedy(self, prompt, piece: str, stop, most: int = HOLE_MAX) -> str:
        """Greedy text after the prompt, without the healed piece it begins with."""
        hidden, cache = self.net.encode(torch.tensor([prompt]))
        logits, out = self.net.logits(hidden[:, -1:]), []
        while len(out) < most:
            row = logits[0, -1].clone()
            if out:
                row[[i for i in range(FIRST_TEXT_ID) if i != EOS]] = float("-inf")
            else:
                row[self.forbidden(piece)] = float("-inf")
            token = int(row.argmax())
            if stop(token, len(out)):
                break
            logits, cache = self.extend(torch.tensor([[token]]), cache, len(prompt) + len(out))
            out.append(token)
        return self.text(out)[len(piece.replace("Ġ", " ")):]

    def prefix_only(self, case) -> str:
        one_line = case["kind"] in ("line", "span")

        def stop(token, already):
            return token == EOS or (one_line and already > 0 and bool(self.newline[token]))
        return cut_at_suffix(self.greedy(*self.prompt(case), stop), case["suffix"], case["kind"])

    def fim(self, case) -> str:
        suffix = self.ids(case["suffix"])[:FIM_SUFFIX_MAX]
        (begin, language, *prefix), piece = self.prompt(case, PROMPT_MAX - len(suffix))
        prompt = [begin, language, FIM_PREFIX, *prefix, FIM_SUFFIX, *suffix, FIM_MIDDLE]
        return self.greedy(prompt, piece, lambda token, _: token == EOS)

def cut_at_suffix(text: str, suffix: str, kind: str) -> str:
    """Cut a causal continuation where the text after the hole begins again."""
    if kind == "line":
        return text
    anchor = suffix.split("\n")[0] if kind == "span" else suffix.strip().split("\n")[0]
    if not anchor.strip():
        return text
    at = text.find(anchor if kind == "span" else "\n" + suffix.lstrip("\n").split("\n")[0])
    return text[:at] if at >= 0 else text


def edit_similarity(a: str, b: str) -> float:
    if not a and not b:
        return 1.0
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return 1 - row[-1] / max(len(a), len(b))


@torch.no_grad()
def evaluate(filler: Filler, cases, methods) -> list:
    rows = []
    for number, case in enumerate(cases):
        truth = case["canonical_solution"]
        lead = filler.prompt(case)[1].replace("Ġ", " ")
        length = len(filler.ids(lead + truth))
        row = dict(task_id=case["task_id"], kind=case["kind"], language=case["language"], truth=truth, length=length, answers={})
        if "diffusion" in methods:
            row["candidates"] = filler.candidates(case)
            row["answers"]["diffusion"] = row["candidates"][0]["text"]
        if "guided" in methods:
            row["guided"] = filler.candidates(case, guided=True)
            row["answers"]["guided"] = row["guided"][0]["text"]
        if "oracle" in methods and 1 <= length <= HOLE_MAX:
            row["answers"]["oracle"] = filler.candidates(case, truth=truth)[0]["text"]
        if "prefix" in methods:
            row["answers"]["prefix"] = filler.prefix_only(case)
        if "fim" in methods:
            row["answers"]["fim"] = filler.fim(case)
        rows.append(row)
        if number % 50 == 49:
            print(f"{number + 1} of {len(cases)}", flush=True)
    return rows


def summary(rows) -> dict:
    """(language, kind) → method → n, exact match, edit similarity; and how good the length pass is."""
    table = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for method, answer in row["answers"].items():
            score = (answer == row["truth"], edit_similarity(answer, row["truth"]))
            for key in (f"{row['language']} {row['kind']}", f"all {row['kind']}", "all"):
                table[key][method].append(score)
    mean = lambda xs: round(100 * sum(xs) / len(xs), 1)
    out = {key: {m: dict(n=len(s), exact=mean([x for x, _ in s]), similarity=mean([y for _, y in s])) for m, s in by.items()}
           for key, by in sorted(table.items())}
    found = [row for row in rows if "candidates" in row and row["length"] <= HOLE_MAX]
    if found:
        best = [max(r["candidates"], key=lambda c: c["length_log"])["length"] == r["length"] for r in found]
        kept = [any(c["length"] == r["length"] for c in r["candidates"]) for r in found]
        any_right = [any(c["text"] == r["truth"] for c in r["candidates"]) for r in found]
        out["length pass"] = dict(n=len(found), first=mean(best), among_candidates=mean(kept), right_text_among=mean(any_right))
    return out


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", type=Path, required=True)
    a.add_argument("--cases", type=Path, required=True, action="append")
    a.add_argument("--limit", type=int, help="evenly spread over the file")
    a.add_argument("--part", default="1/1", help="I/N: every N-th case from the I-th on; rows of several parts: --merge")
    a.add_argument("--merge", type=Path, nargs="+", help="result files of parts: print and write their summary together")
    a.add_argument("--methods", default="diffusion,guided,oracle,prefix,fim")
    a.add_argument("--out", type=Path)
    a.add_argument("--recipe", default="{}", help="JSON with fields of Recipe")
    a = a.parse_args()
    torch.set_num_threads(1)
    cases = [json.loads(line) for path in a.cases for line in path.read_text().splitlines()]
    if a.limit and a.limit < len(cases):
        cases = [cases[math.floor(i * len(cases) / a.limit)] for i in range(a.limit)]
    part, parts = map(int, a.part.split("/"))
    if a.merge:
        rows = [row for path in a.merge for row in json.loads(path.read_text())["rows"]]
    else:
        rows = evaluate(Filler(a.model, Recipe(**json.loads(a.recipe))), cases[part - 1::parts], a.methods.split(","))
    found = summary(rows)
    for key, by in found.items():
        print(f"{key:16s}", by if key == "length pass" else "  ".join(
            f"{m} {s['exact']:5.1f} / {s['similarity']:5.1f}" for m, s in by.items()), f"(n {next(iter(by.values()))['n']})" if key != "length pass" else "")
    if a.out:
        a.out.write_text(json.dumps(dict(summary=found, rows=rows), indent=1) + "\n")


if __name__ == "__main__":
    main()
