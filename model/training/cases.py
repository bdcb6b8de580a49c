"""Cuts evaluation cases out of the held-out packages, in the shape of HumanEval-Infilling.

    python cases.py --data data --tokenizer ../mini/tokenizer.json --out ../../fixtures/infill --dev data/dev.jsonl

A case is `{"task_id", "prompt", "suffix", "canonical_solution", "language", "kind", "origin"}`; prompt + solution + suffix is
a piece of a real file (comments shortened as in the corpus). Kinds:
    line    from a place in a line to its end
    span    inside one line: both ends in it, brackets balanced
    lines   two to four whole lines, from after the first one's indentation to before the last one's line break
    body    the body of a short function, cut like `lines`
The held-out files are dealt into two parts by a hash of their name. `heldout.jsonl` and nothing else comes from one; the
development cases and `smoke.jsonl` come from the other, so tuning never sees what is reported. Seeded: same data, same cases.
"""

import argparse
import hashlib
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import tokenizer as vocabulary
from tokenizer import COMMENT, STRING

PROMPT_CHARS, SUFFIX_CHARS = 2000, 1000
SMOKE_PROMPT_CHARS, SMOKE_SUFFIX_CHARS = 500, 250
HOLE_TOKENS_MAX, HOLE_CODE_CHARS_MIN = 48, 3
CASE_DISTANCE_LINES = 6  # between two holes in one file
HELD_OUT_COUNTS = {"line": 80, "span": 60, "lines": 36, "body": 24}  # per language
DEV_COUNTS = {"line": 75, "span": 75}
SMOKE_COUNTS = {"line": 2, "span": 2, "lines": 1, "body": 1}
IMPORT = re.compile(r"\s*(pub(\(\w+\))? )?(use|mod|import|from|extern crate)\b")
FUNCTION = {
    "rust": re.compile(r"\s*(pub(\([\w ]+\))? )?(const |async |unsafe )*fn \w+.*\{$"),
    "python": re.compile(r"\s*(async )?def \w+\(.*:$"),
}
MID_WORD_SHARE = 0.15
CLOSED_SHARE = 0.75  # of spans: they end before a closing bracket or a separator where they can


@dataclass
class Source:
    """One held-out file: its text, line starts, and the COMMENT and STRING bits of every character."""

    row: dict
    language: str
    lines: list[str]
    starts: list[int]
    bits: np.ndarray

    @classmethod
    def of(cls, row: dict, language: str) -> "Source":
        lines = row["text"].split("\n")
        starts = [0]
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
        return cls(row, language, lines, starts, vocabulary.marks(row["text"], language))

    def is_code(self, line: int) -> bool:
        """Whether a line has code, no comment in it, and is not an import."""
        text = self.lines[line]
        commented = (self.bits[self.starts[line] : self.starts[line] + len(text)] & COMMENT).any()
        return len(text.strip()) >= HOLE_CODE_CHARS_MIN and not commented and not IMPORT.match(text)


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def balanced(text: str) -> bool:
    """Whether every bracket closes inside, strings not looked into."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    depth = []
    for char in re.findall(r"[()\[\]{}]", text):
        if char in "([{":
            depth.append(char)
        elif not depth or "([{".index(depth.pop()) != ")]}".index(char):
            return False
    return not depth


def starts_in(line: str, mid_word: bool) -> list[int]:
    """Columns where a person would stop typing: after an operator, a bracket, a dot or a space; or inside a word."""
    pattern = r"(?<=[A-Za-z]{2})(?=[A-Za-z]{2})" if mid_word else r"(?<=[=(.,\[{&!<:| ])(?=[^ =:&|>)\]};,])"
    first = indentation(line)
    return [found.start() for found in re.finditer(pattern, line) if found.start() > first]


def rest_of_line(source: Source, rng: random.Random, line: int) -> tuple[int, int] | None:
    text = source.lines[line]
    places = starts_in(text, rng.random() < MID_WORD_SHARE)
    return (source.starts[line] + rng.choice(places), source.starts[line] + len(text)) if places else None


def span_in_line(source: Source, rng: random.Random, line: int) -> tuple[int, int] | None:
    text = source.lines[line]
    ends = [found.start() for found in re.finditer(r"(?=[),;\]}:?.{ ])(?<=[^ .:(,\[{&<=|])|(?<=[)\]])(?=.)", text)]
    pairs = [(a, b) for a in starts_in(text, rng.random() < MID_WORD_SHARE) for b in ends if b - a >= HOLE_CODE_CHARS_MIN]
    pairs = [(a, b) for a, b in pairs if b < len(text) and balanced(text[a:b])]
    if not pairs:
        return None
    closed = [(a, b) for a, b in pairs if text[b] in "),;]}?:"]
    if closed and rng.random() < CLOSED_SHARE:
        pairs = closed
    a, b = rng.choice(pairs)
    return source.starts[line] + a, source.starts[line] + b


def whole_lines(source: Source, rng: random.Random, line: int) -> tuple[int, int] | None:
    count, indent = rng.randint(2, 4), indentation(source.lines[line])
    chosen = range(line, line + count)
    if line + count >= len(source.lines):
        return None
    if not all(source.is_code(n) and indentation(source.lines[n]) >= indent for n in chosen):
        return None
    span = source.starts[line] + indent, source.starts[line + count] - 1
    whole = re.match(r"\s*[\w#*&@]", source.lines[line]) and balanced(source.row["text"][span[0] : span[1]])
    return span if whole else None


def function_body(source: Source, rng: random.Random, line: int) -> tuple[int, int] | None:
    if not FUNCTION[source.language].match(source.lines[line]):
        return None
    outer, first = indentation(source.lines[line]), line + 1
    while first < len(source.lines) and source.bits[source.starts[first] + indentation(source.lines[first])] & COMMENT:
        first += 1  # a docstring stays before the hole
    last = first
    while last < len(source.lines) and source.lines[last].strip() and indentation(source.lines[last]) > outer:
        last += 1
    after = source.lines[last].strip() if last < len(source.lines) else None
    if after != ("}" if source.language == "rust" else "") or not 1 <= last - first <= 6 or not all(source.is_code(n) for n in range(first, last)):
        return None
    return source.starts[first] + indentation(source.lines[first]), source.starts[last] - 1


CUTTERS = {"line": rest_of_line, "span": span_in_line, "lines": whole_lines, "body": function_body}


def sensible(source: Source, span: tuple[int, int], tokens: Tokenizer) -> bool:
    """Enough code, few enough tokens, no end inside a string literal, context on both sides."""
    text = source.row["text"]
    solution = text[span[0] : span[1]]
    code = re.sub(r"\s", "", solution)
    inside = any(source.bits[at] & STRING and source.bits[at - 1] & STRING for at in span)
    return (
        len(code) >= HOLE_CODE_CHARS_MIN and bool(re.search(r"[A-Za-z]", code)) and not inside
        and len(tokens.encode(solution, add_special_tokens=False).ids) <= HOLE_TOKENS_MAX
        and span[0] >= 200 and len(text) - span[1] >= 50 and solution == solution.rstrip()
    )


def case(source: Source, span: tuple[int, int], listed: dict, chars: tuple[int, int]) -> dict:
    """The case without kind and id; context is cut at line breaks."""
    text, origin = source.row["text"], listed[source.row["package"]]
    prompt, suffix = text[: span[0]], text[span[1] :]
    if len(prompt) > chars[0]:
        prompt = prompt[-chars[0] :]
        prompt = prompt[prompt.find("\n", 0, chars[0] // 2) + 1 :]
    if len(suffix) > chars[1]:
        suffix = suffix[: chars[1]]
        suffix = suffix[: suffix.rfind("\n") + 1] or suffix
    return {
        "prompt": prompt, "suffix": suffix, "canonical_solution": text[span[0] : span[1]], "language": source.language,
        "origin": {"package": origin["package"].removesuffix("-heldout"), "version": origin["version"], "path": source.row["path"],
                   "licence": origin["licence"]},
    }


def draw(
    sources: list[Source], counts: dict[str, int], listed: dict, tokens: Tokenizer, chars: tuple[int, int], name: str
) -> list[dict]:
    """`counts` cases of every kind: a package at random, a file of it, a line of it, until there are enough."""
    rng = random.Random(f"{name}/{sources[0].language}")
    packages: dict[str, list[Source]] = {}
    for source in sources:
        packages.setdefault(source.row["package"], []).append(source)
    names = sorted(packages)
    weights = [sum(len(s.lines) for s in packages[n]) ** 0.5 for n in names]  # large packages lead, but do not fill the set
    taken, cases = set(), []
    for kind, count in counts.items():
        found, tries = 0, 0
        while found < count and tries < 400_000:
            tries += 1
            source = rng.choice(packages[rng.choices(names, weights)[0]])
            line = rng.randrange(len(source.lines))
            file = (source.row["package"], source.row["path"])
            if any((*file, line + n) in taken for n in range(-CASE_DISTANCE_LINES, CASE_DISTANCE_LINES)) or not (kind == "body" or source.is_code(line)):
                continue
            span = CUTTERS[kind](source, rng, line)
            if span is None or not sensible(source, span, tokens):
                continue
            taken.add((*file, line))
            cases.append({"task_id": f"{name}/{source.language}/{kind}/{found}", **case(source, span, listed, chars), "kind": kind})
            found += 1
        if found < count:
            raise SystemExit(f"{source.language}: only {found} of {count} cases of kind {kind}; hold out more packages")
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what corpus.py wrote")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for heldout.jsonl and smoke.jsonl")
    parser.add_argument("--dev", type=Path, required=True, help="file for the development cases")
    args = parser.parse_args()
    tokens = vocabulary.load(args.tokenizer)
    rows = json.loads((args.data / "packages.json").read_text())
    listed = {row["package"]: row for row in rows if row["split"] == "heldout"}
    full, short = (PROMPT_CHARS, SUFFIX_CHARS), (SMOKE_PROMPT_CHARS, SMOKE_SUFFIX_CHARS)
    written: dict[Path, list[dict]] = {args.out / "heldout.jsonl": [], args.dev: [], args.out / "smoke.jsonl": []}
    for language in ("rust", "python"):
        parts: list[list[Source]] = [[], []]
        for row in vocabulary.documents(args.data, "heldout", language):
            dealt = hashlib.blake2b(f"{row['package']}/{row['path']}".encode()).digest()[0] < 100
            parts[dealt].append(Source.of(row, language))
        plan = zip(written, (0, 1, 1), (HELD_OUT_COUNTS, DEV_COUNTS, SMOKE_COUNTS), (full, full, short))
        for path, part, counts, chars in plan:
            written[path] += draw(parts[part], counts, listed, tokens, chars, path.stem)
    for path, cases in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in cases), encoding="utf-8")
        print(path.name, len(cases), "cases")


if __name__ == "__main__":
    main()
