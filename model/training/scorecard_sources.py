"""Fetches the packages that the scorecard's cases are cut from, and reads the files of them that are worth a case.

    python scorecard_sources.py --to packages        # cargo, pip and npm, versions from scorecard_packages.csv

No code of a package is run: crates are vendored, wheels and npm archives are only opened. A package is read when its own
metadata names a permissive licence; a file when it is written by hand, 30 to 1,500 lines long, and shares no five lines in a
row with the training corpus (comments aside, which the corpus shortens).
"""

import argparse
import csv
import hashlib
import json
import re
import subprocess
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

import sources
from fetch_corpus import npm_archive

LIST = Path(__file__).with_name("scorecard_packages.csv")
FILE_LINES = (30, 1500)
SHINGLE_LINES = 5
SHARED_MAX = 0  # shingles; one is enough to call a file known
EXTENSION = {"rust": ".rs", "python": ".py", "typescript": ".ts"}
NOT_SOURCE = re.compile(
    r"(\.d\.[mc]?ts$)|(^|/)(__?tests?__?|spec|specs|examples?|demos?|locales?|lang|deno|_pb|scripts|_data|data|bench\w*)(/|$)"
    r"|(^|[/._-])(tests?|spec|bench|gen)\.(ts|rs)$|(^|/)(version|index|mod|prelude|_version|errors?)\.(ts|rs|py)$"
)
COMMENT_LINE = re.compile(r"^(//|#(?!\[|!\[)|/\*|\*)")


@dataclass(frozen=True)
class Package:
    """One line of the list."""

    language: str
    name: str
    version: str
    split: str  # `cases` for the scorecard, `dev` for tuning


def listed() -> list[Package]:
    with LIST.open(encoding="utf-8") as file:
        return [Package(row["language"], row["package"], row["version"], row["split"]) for row in csv.DictReader(file)]


# ---- fetching


def fetch(folder: Path) -> None:
    """Downloads every listed package at its version into `folder/{rust,python,typescript}`."""
    of = {language: [p for p in listed() if p.language == language] for language in EXTENSION}
    for language in EXTENSION:
        (folder / language).mkdir(parents=True, exist_ok=True)
    project = folder / "rust"
    (project / "src").mkdir(exist_ok=True)
    (project / "src" / "lib.rs").write_text("")
    wanted = "".join(f'{p.name} = {{ version = "={p.version}", default-features = false }}\n' for p in of["rust"])
    head = '[package]\nname = "wanted"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n'
    (project / "Cargo.toml").write_text(head + wanted)
    subprocess.run(["cargo", "vendor", "--quiet", "--versioned-dirs", "vendor"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    wheels = [f"{p.name}=={p.version}" for p in of["python"]]
    subprocess.run(["pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder / "python", *wheels], check=True)
    for p in of["typescript"]:
        npm_archive(f"{p.name}@{p.version}", folder / "typescript")


# ---- reading


def files_of(package: Package, folder: Path) -> tuple[str, dict[str, bytes]]:
    """The licence a package names, and its files by path."""
    return {"rust": crate, "python": wheel, "typescript": archive}[package.language](package, folder / package.language)


def crate(package: Package, folder: Path) -> tuple[str, dict[str, bytes]]:
    root = folder / "vendor" / f"{package.name}-{package.version}"
    manifest = tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))["package"]
    paths = sorted((root / "src").rglob("*.rs"))
    return str(manifest.get("license", "")), {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def wheel(package: Package, folder: Path) -> tuple[str, dict[str, bytes]]:
    stem = re.sub(r"[-_.]+", "_", package.name).lower() + "-" + package.version
    path = next(p for p in sorted(folder.glob("*.whl")) if re.sub(r"[-_.]+", "_", p.name.split("-")[0]).lower() + "-" + p.name.split("-")[1] == stem)
    with zipfile.ZipFile(path) as opened:
        names = sorted(opened.namelist())
        info = HeaderParser().parsestr(opened.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode())
        code = {name: opened.read(name) for name in names if name.endswith(".py")}
    classified = [line.rsplit("::", 1)[-1].strip() for line in info.get_all("Classifier") or [] if line.startswith("License ::")]
    named = [name for name in classified if name != "OSI Approved"] or [(info.get("License") or "").strip()]
    licence = info.get("License-Expression") or " OR ".join(sources.LICENCE_NAMES.get(name.lower(), name) for name in named)
    return licence, code


def archive(package: Package, folder: Path) -> tuple[str, dict[str, bytes]]:
    path = folder / f"{package.name.removeprefix('@').replace('/', '-')}-{package.version}.tgz"
    with tarfile.open(path) as opened:
        files = {member.name.split("/", 1)[1]: opened.extractfile(member).read() for member in opened if member.isfile() and "/" in member.name}
    licence = json.loads(files["package.json"]).get("license", "")
    return licence, {name: files[name] for name in sorted(files) if name.endswith(".ts")}


def hand_written(path: str, raw: bytes, language: str) -> str | None:
    """The text of a file worth cutting, unchanged, or None."""
    if sources.path_skipped(path) or NOT_SOURCE.search(path.lower()) or b"\r" in raw or b"\0" in raw:
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.split("\n")
    long = any(len(line) > sources.LINE_CHARS_MAX for line in lines)
    if long or not FILE_LINES[0] <= len(lines) <= FILE_LINES[1] or text.startswith("\ufeff"):
        return None
    if sources.GENERATED.search(text[:1500]) or sources.COPYLEFT.search(text[:3000]):
        return None
    return text if sources.worth_reading(code_lines(lines), "python" if language == "python" else "rust") else None


def code_lines(lines: list[str]) -> list[str]:
    return [line for line in lines if not COMMENT_LINE.match(line.strip())]


def shingles(text: str) -> set[int]:
    """Hashes of every run of five meaningful lines of code."""
    lines = [re.sub(r"\s+", " ", line.strip()) for line in code_lines(text.split("\n"))]
    lines = [line for line in lines if len(line) > 8]
    runs = ("\n".join(lines[i : i + SHINGLE_LINES]) for i in range(max(1, len(lines) - SHINGLE_LINES + 1)))
    return {int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()) for run in runs}


def trained_on(data: Path) -> set[int]:
    """The shingles of everything `corpus.py` wrote, held-out packages included."""
    known: set[int] = set()
    for path in sorted(data.glob("train.*.jsonl")) + sorted(data.glob("heldout.*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                known |= shingles(json.loads(line)["text"])
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True)
    fetch(parser.parse_args().to)


if __name__ == "__main__":
    main()
