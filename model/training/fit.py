"""Fits what `config.json` says under `lacuna` beside the weights, on development cases (JSON lines as `scorecard_cases.py` cuts them).

    python fit.py repeats    --model ../mini --cases dev.jsonl [--orders 1,2,3,5,8]
    python fit.py confidence --cases dev.jsonl --answers answers.jsonl   (lacuna eval dev.jsonl --predictions answers.jsonl)

`repeats` reads the known answers of one-line holes left to right, as a prompt shows them, and searches the weights by which counts of
the same document are mixed in (README.md, "What the document repeats"); `confidence` is a logistic regression on what the engine says of its own answers.
Both print nats cross-validated over packages (two halves), and the fit on all cases. Needs scipy beside requirements.txt.
"""
import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

PLACES_MAX, WINDOW_HEAD = 256, 2  # as the engine: places looked at for one prediction, fixed tokens of a prompt
SURPRISE_MIN = 0.05


def package_of(task_id: str, cases: dict) -> str:
    return cases[task_id]["origin"]["package"]


def halves(packages) -> np.ndarray:
    """0 or 1 a row, the same for all rows of a package."""
    numbers = {name: i for i, name in enumerate(sorted(set(packages)))}
    return np.array([numbers[p] % 2 for p in packages])


# ---- repeats

def read_answers(model: Path, cases: list, orders: list):
    """→ ln p [N] by the network of every token of every answer, counts [N, orders, 3] (of this token, of all, of different ones),
    and which case [N] it is of."""
    import torch
    from tokenizers import Tokenizer
    from check_parity import read
    from tokens import BOS, LANGUAGES

    net, tokenizer = read(model), Tokenizer.from_file(str(model / "tokenizer.json"))
    lacuna = json.loads((model / "config.json").read_text())["lacuna"]
    room = lacuna["prompt_tokens_max"] - WINDOW_HEAD
    far = lacuna["prompt"].get("far_suffix_tokens_max", 0)
    log_probs, counts, case_of = [], [], []
    for number, case in enumerate(cases):
        # Cut where running text is cut, so that the hole begins with what healing takes back.
        whole = tokenizer.encode(case["prompt"] + case["canonical_solution"], add_special_tokens=False)
        n = next(i for i, (_, end) in enumerate(whole.offsets) if end > len(case["prompt"]))
        prefix, hole = whole.ids[:n], whole.ids[n:]
        suffix = tokenizer.encode(case["suffix"], add_special_tokens=False).ids
        line_end = case["suffix"].find("\n")
        behind = case["suffix"][line_end:] if line_end >= 0 and far else ""
        behind = tokenizer.encode(behind, add_special_tokens=False).ids[:far]
        head = [BOS, *([LANGUAGES[case["language"]]] if case["language"] in LANGUAGES else []), *behind]
        prompt = head + prefix[-(room - len(behind)):]
        with torch.no_grad():
            hidden, _ = net.encode(torch.tensor([prompt + hole[:-1]]))
            found = net.logits(hidden[0, len(prompt) - 1:]).log_softmax(-1)
        log_probs += found[torch.arange(len(hole)), torch.tensor(hole)].tolist()
        counts += followers([prefix, suffix], prefix + hole, len(prefix), orders)
        case_of += [number] * len(hole)
    return np.array(log_probs), np.array(counts), np.array(case_of)


def followers(texts, running, begin: int, orders):
    """For each token of `running` from `begin` on and each order: how often the tokens before it were followed by it in `texts`, how
    often they stood there, and by how many different tokens they were followed."""
    places, out = defaultdict(list), []
    for text in texts:
        for at, token in enumerate(text[:-1]):
            places[token].append((text, at))
    for end in range(begin, len(running)):
        context, seen = running[max(0, end - max(orders)):end], []
        for text, at in (places[context[-1]][-PLACES_MAX:] if context else []):
            shared = 0
            while shared < len(context) and shared <= at and text[at - shared] == context[-1 - shared]:
                shared += 1
            seen.append((shared, text[at + 1]))
        after = [Counter(token for shared, token in seen if shared >= order) for order in orders]
        out.append([(c[running[end]], c.total(), len(c)) for c in after])
    return out


def mixed(log_probs, counts, weights):
    """The mixture's p [N]; see `model/diffusion/src/repeats.rs`."""
    p = np.exp(log_probs)
    for order, weight in enumerate(weights):
        c, n, u = counts[:, order].T
        p = np.where(n > 0, (c + weight * u * p) / np.where(n > 0, n + weight * u, 1), p)
    return p


def fit_repeats(args):
    cases = [json.loads(line) for line in open(args.cases, encoding="utf-8")]
    cases = [case for case in cases if case["kind"] in ("line", "span")]
    log_probs, counts, case_of = read_answers(args.model, cases, args.orders)
    half = halves([case["origin"]["package"] for case in cases])[case_of]

    def nats(weights, rows):
        return -np.log(mixed(log_probs[rows], counts[rows], weights)).sum()

    def fitted(rows):
        start = np.log([10.0 / order for order in args.orders])
        options = dict(maxiter=2000, xatol=0.02, fatol=1e-3)
        return np.exp(minimize(lambda x: nats(np.exp(x), rows), start, method="Nelder-Mead", options=options).x)

    crossed = sum(nats(fitted(half != side), half == side) for side in (0, 1))
    every = np.ones(len(half), bool)
    print(f"{len(cases)} holes, {len(half)} tokens; nats a hole: the network {-log_probs.sum() / len(cases):.2f}, "
          f"orders {args.orders} {crossed / len(cases):.2f} (cross-validated)")
    shipped = json.loads((args.model / "config.json").read_text())["lacuna"].get("repeats")
    if shipped and shipped["orders"] == args.orders:
        print(f"shipped weights {shipped['weights']}: {nats(shipped['weights'], every) / len(cases):.2f}")
    print("weights", np.round(fitted(every), 1).tolist())


# ---- confidence

def fit_confidence(args):
    answers = [json.loads(line) for line in open(args.answers, encoding="utf-8")]
    cases = {case["task_id"]: case for case in map(json.loads, open(args.cases, encoding="utf-8"))}
    answers = [a for a in answers if a["answered"] and a["log_prob_hole"] is not None]
    hole, suffix = (np.array([a[key] for a in answers]) for key in ("log_prob_hole", "log_prob_suffix"))
    x = np.stack([np.ones(len(hole)), np.log(SURPRISE_MIN - np.minimum(hole, 0)), suffix], -1)
    right = np.array([a["exact_match"] for a in answers])
    half = halves([package_of(a["task_id"], cases) for a in answers])

    def loss(weights, rows):
        odds = x[rows] @ weights
        return np.logaddexp(0, np.where(right[rows], -odds, odds)).mean()

    def fitted(rows):
        return minimize(lambda w: loss(w, rows), np.zeros(3), method="BFGS").x

    odds = np.zeros(len(right))
    for side in (0, 1):
        odds[half == side] = x[half == side] @ fitted(half != side)
    stated = 1 / (1 + np.exp(-odds))
    order = np.argsort(stated)
    error = sum(abs(stated[bin].mean() - right[bin].mean()) * len(bin) for bin in np.array_split(order, 10)) / len(order)
    above = (stated[right][:, None] > stated[~right]).mean()
    print(f"{len(right)} answers, {right.mean():.1%} right; cross-validated: log-loss {np.logaddexp(0, np.where(right, -odds, odds)).mean():.3f}, "
          f"calibration error {error:.3f}, a right one above a wrong one in {above:.1%} of all pairs")
    print(dict(zip(("intercept", "surprise", "suffix"), np.round(fitted(np.ones(len(right), bool)), 3).tolist())))
    print("least confidence | of all cases with a proposal | of these right | right ones left")
    for least in (0, 0.05, 0.1, 0.2, 0.3, 0.4):
        shown = stated >= least
        print(f"{least} | {shown.sum() / len(cases):.1%} | {right[shown].mean():.1%} | {right[shown].sum() / right.sum():.1%}")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=("repeats", "confidence"))
    a.add_argument("--cases", type=Path, required=True)
    a.add_argument("--model", type=Path, default=Path(__file__).parent.parent / "mini")
    a.add_argument("--orders", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2, 3, 5, 8])
    a.add_argument("--answers", type=Path, help="what `lacuna eval --predictions` wrote of the cases")
    args = a.parse_args()
    if args.what == "confidence" and not args.answers:
        a.error("confidence needs --answers")
    {"repeats": fit_repeats, "confidence": fit_confidence}[args.what](args)


if __name__ == "__main__":
    main()
