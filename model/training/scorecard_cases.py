"""Cuts the scorecard's cases out of packages that nothing was trained on, and a development set out of others.

    python scorecard_sources.py --to packages
    python scorecard_cases.py --packages packages --data data --tokenizer ../mini/tokenizer.json \\
        --out ../../fixtures/infill/cases --dev data/dev2.jsonl

`--data` is what corpus.py wrote: files that share code with it are left out. A case has the shape of `fixtures/infill`, the
text is the file's own, comments and all. Kinds:
    line    from a place in a line to its end: at its indentation, after an operator or bracket, or inside a word
    span    inside one line, code after it
    lines   two to four whole lines, from after the first one's indentation to before the last one's line break
    body    the body of a short function, cut like `lines`
The scorecard is for reporting, the development set for tuning; they share no package. Seeded: same packages, same cases.
"""

import argparse
import json
import random
import re
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer

import scorecard_sources as packages
import tokenizer as vocabulary
from cases import HOLE_CODE_CHARS_MIN, Source, balanced, indentation, span_in_line, starts_in, whole_lines
from tokenizer import COMMENT, STRING

PROMPT_CHARS, SUFFIX_CHARS = 4000, 1500
HOLE_TOKENS_MAX = {"line": 48, "span": 48, "lines": 120, "body": 120}
CASE_DISTANCE_LINES = 6  # between two holes in one file
PACKAGE_CASES_MAX = {"cases": 12, "dev": 18}
FILE_CASES_MAX = 4
BODY_LINES_MAX = 10
BEFORE_CHARS_MIN, AFTER_CHARS_MIN = 200, 50
LINE_START_SHARE, MID_WORD_SHARE = 0.2, 0.15  # of holes to the line's end
COUNTS = {
    "cases": {
        "rust": {"line": 96, "span": 72, "lines": 44, "body": 28},
        "python": {"line": 96, "span": 72, "lines": 44, "body": 28},
        "typescript": {"line": 64, "span": 48, "lines": 30, "body": 18},
    },
    "dev": {
        "rust": {"line": 150, "span": 105, "lines": 30, "body": 15},
        "python": {"line": 150, "span": 105, "lines": 30, "body": 15},
    },
}
FUNCTION = {
    "rust": re.compile(r"\s*(pub(\([\w ]+\))? )?(const |async |unsafe )*fn \w+.*\{$"),
    "python": re.compile(r"\s*(async )?def \w+\(.*:$"),
    "typescript": re.compile(
        r"\s*(export )?(default )?((public|private|protected|static|override|async|get|set) )*"
        r"(function\*? ?\w+|(const|let) \w+.*=>|(?!if\b|for\b|while\b|switch\b|catch\b)#?\w+(<[^>]*>)?\().*\{$"
    ),
}
TEST_MODULE = re.compile(r"#\[cfg\((all\()?test\b")
IMPORTS = {  # whole statements, their lists of names too: nobody fills those from the code around them
    "rust": re.compile(r"^\s*(?:pub(?:\(\w+\))? )?use\b[^;]*;", re.M),
    "python": re.compile(r"^\s*(?:from \S+ )?import (?:\([^)]*\)|[^\n]*)|^__all__ = [(\[][^)\]]*", re.M),
    "typescript": re.compile(r"^(?:import|export)\b(?: type)?(?: \w+,)? ?(?:\{[^}]*\} from|\{[^}]*\};?$|\*)[^\n]*|^import\b[^\n]*", re.M),
}


def source_of(row: dict, language: str) -> Source:
    """A file ready to cut; imports, and the unit tests at the end of a Rust file, are context at most."""
    lines = row["text"].split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    source = Source(row, language, lines, starts, vocabulary.marks(row["text"], language))
    tests = next((n for n, line in enumerate(lines) if language == "rust" and TEST_MODULE.search(line)), len(lines))
    source.bits[starts[tests] :] |= COMMENT
    for found in IMPORTS[language].finditer(row["text"]):
        source.bits[found.start() : found.end()] |= COMMENT
    return source


def rest_of_line(source: Source, rng: random.Random, line: int) -> tuple[int, int] | None:
    text, drawn = source.lines[line], rng.random()
    places = [indentation(text)] if drawn < LINE_START_SHARE else starts_in(text, drawn < LINE_START_SHARE + MID_WORD_SHARE)
    return (source.starts[line] + rng.choice(places), source.starts[line] + len(text)) if places else None


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
    ends = after == "" if source.language == "python" else after is not None and re.fullmatch(r"\}[;,)]*", after)
    if not ends or not 1 <= last - first <= BODY_LINES_MAX or not all(source.is_code(n) for n in range(first, last)):
        return None
    return source.starts[first] + indentation(source.lines[first]), source.starts[last] - 1


def span_of_generics(source: Source, rng: random.Random, line: int) -> tuple[int, int] | None:
    """`span_in_line` that leaves no list of type arguments half open."""
    span = span_in_line(source, rng, line)
    text = source.row["text"][span[0] : span[1]] if span else ""
    arrows = re.sub(r"[-=]>| [<>]=? ", "", text)
    return span if arrows.count("<") == arrows.count(">") else None


CUTTERS = {"line": rest_of_line, "span": span_of_generics, "lines": whole_lines, "body": function_body}


def sensible(source: Source, span: tuple[int, int], kind: str, tokens: Tokenizer) -> bool:
    """Enough code, few enough tokens, no end inside a string literal, context on both sides."""
    text = source.row["text"]
    solution = text[span[0] : span[1]]
    code = re.sub(r"\s", "", solution)
    inside = any(source.bits[at] & STRING and source.bits[at - 1] & STRING for at in span)
    return (
        len(code) >= HOLE_CODE_CHARS_MIN and bool(re.search(r"[A-Za-z]", code)) and not inside
        and len(tokens.encode(solution, add_special_tokens=False).ids) <= HOLE_TOKENS_MAX[kind]
        and span[0] >= BEFORE_CHARS_MIN and len(text) - span[1] >= AFTER_CHARS_MIN and solution == solution.rstrip()
    )


def case(source: Source, span: tuple[int, int]) -> dict:
    """The case without kind and id; context is cut at line breaks."""
    text = source.row["text"]
    prompt, suffix = text[: span[0]], text[span[1] :]
    if len(prompt) > PROMPT_CHARS:
        prompt = prompt[-PROMPT_CHARS:]
        prompt = prompt[prompt.find("\n", 0, PROMPT_CHARS // 2) + 1 :]
    if len(suffix) > SUFFIX_CHARS:
        suffix = suffix[:SUFFIX_CHARS]
        suffix = suffix[: suffix.rfind("\n") + 1] or suffix
    return {"prompt": prompt, "suffix": suffix, "canonical_solution": text[span[0] : span[1]], "language": source.language}


def read(split: str, language: str, folder: Path, known: set[int]) -> dict[str, list[Source]]:
    """The files to cut by package; `known` grows by what was read, so no two sets share a file."""
    found: dict[str, list[Source]] = {}
    for package in (p for p in packages.listed() if (p.split, p.language) == (split, language)):
        licence, files = packages.files_of(package, folder)
        if not packages.sources.licence_permits(licence):
            print(f"{package.name}: licence {licence!r} does not permit it; left out")
            continue
        for path, raw in files.items():
            text = packages.hand_written(path, raw, language)
            if text is None:
                continue
            shingles = packages.shingles(text)
            if len(shingles & known) > packages.SHARED_MAX:
                continue
            known |= shingles
            origin = {"package": package.name, "version": package.version, "path": path, "licence": licence}
            found.setdefault(package.name, []).append(source_of({"text": text, "origin": origin}, language))
    return found


def draw(split: str, language: str, found: dict[str, list[Source]], tokens: Tokenizer) -> list[dict]:
    """The cases of one language: a package at random, a file of it, a line of it, until every kind has enough."""
    rng = random.Random(f"scorecard/{split}/{language}")
    names = sorted(found)
    weights = [min(sum(len(s.lines) for s in found[name]), 1000) ** 0.5 for name in names]
    taken, same, of_package, of_file, cases = set(), set(), Counter(), Counter(), []
    for kind, count in COUNTS[split][language].items():
        drawn, tries = 0, 0
        while drawn < count and tries < 1_000_000:
            tries += 1
            name = rng.choices(names, weights)[0]
            source = rng.choice(found[name])
            line = rng.randrange(len(source.lines))
            file = (name, source.row["origin"]["path"])
            if of_package[name] >= PACKAGE_CASES_MAX[split] or of_file[file] >= FILE_CASES_MAX:
                continue
            if any((*file, line + n) in taken for n in range(-CASE_DISTANCE_LINES, CASE_DISTANCE_LINES + 1)):
                continue
            if not (kind == "body" or source.is_code(line)):
                continue
            span = CUTTERS[kind](source, rng, line)
            if span is None or not sensible(source, span, kind, tokens):
                continue
            key = (source.row["text"][span[0] : span[1]], source.lines[line].strip())
            if key in same:
                continue
            same.add(key)
            taken.add((*file, line))
            of_package[name] += 1
            of_file[file] += 1
            cases.append({"task_id": f"{split}/{language}/{kind}/{drawn}", **case(source, span), "kind": kind, "origin": source.row["origin"]})
            drawn += 1
        if drawn < count:
            raise SystemExit(f"{split} {language}: only {drawn} of {count} cases of kind {kind}; list more packages")
    print(split, language, len(cases), "cases of", len(of_package), "packages and", len(of_file), "files")
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="what scorecard_sources.py fetched")
    parser.add_argument("--data", type=Path, required=True, help="what corpus.py wrote")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the scorecard's cases")
    parser.add_argument("--dev", type=Path, help="file for the development set")
    args = parser.parse_args()
    tokens = vocabulary.load(args.tokenizer)
    known = packages.trained_on(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    written: dict[Path, list[dict]] = {}
    for split, counts in COUNTS.items():
        for language in counts:
            path = args.out / f"{language}.jsonl" if split == "cases" else args.dev
            if path is not None:
                written.setdefault(path, []).extend(draw(split, language, read(split, language, args.packages, known), tokens))
    for path, cases in written.items():
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in cases), encoding="utf-8")


if __name__ == "__main__":
    main()
