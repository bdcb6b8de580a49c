"""Builds the training corpus from folders of packages: vendored Rust crates, installed Python packages, unpacked npm packages.

    python fetch_corpus.py --to packages       # the packages of manifest.csv, at its versions
    python corpus.py --vendor packages/rust/vendor --site-packages packages/python --npm packages/typescript \\
        --cases ../../fixtures/infill/cases --manifest manifest.csv --out data

Without `--manifest` everything found in the folders is read (any `cargo vendor` folder, any site-packages folder).

Writes `data/{train,heldout}.{rust,python,typescript}.jsonl` (one `{"package", "path", "text"}` a line) and `data/packages.json`, which
`tokenizer.py` turns into `manifest.csv` once tokens can be counted. The same folders give the same bytes: files are visited
in the order of a hash of their name, so the caps below take a sample and not the letter A. Licences are read from each
package's own metadata; what is not permissive is never opened. Whole packages are held out (`sources.HELD_OUT`), and a
training file that shares code with one of them is dropped. TypeScript came in when the scorecard's cases were already cut: a
file of it that shares code with a case of `--cases` is dropped too.
"""

import argparse
import csv
import hashlib
import json
import re
import sysconfig
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import sources

PACKAGE_CHARS_MAX = {"rust": 2_600_000, "python": 2_600_000, "typescript": 1_500_000}  # about 8 % of a language
PACKAGE_CHARS_OTHER = {"cpython": 12_000_000}  # a library of many hands, not one style
SHINGLE_LINES = 5
SEEN_SHARE_MAX = 0.4  # a file whose shingles were mostly read before says nothing new
HELD_OUT_SHARED_MAX = {"rust": 3, "python": 3, "typescript": 0}  # shingles; above it a training file leaks a held-out one


@dataclass
class Package:
    """One package as found: `files` are absolute paths, `root` is what they are named relative to."""

    name: str
    version: str
    licence: str
    language: str
    root: Path
    files: list[Path]
    split: str = "train"


def listed_in(manifest: Path) -> set[tuple[str, str]]:
    """(package, version) of every line of a manifest."""
    with manifest.open(encoding="utf-8") as file:
        return {(row["package"], row["version"]) for row in csv.DictReader(file)}


def crates(vendor: Path, listed: set[tuple[str, str]] | None = None) -> list[Package]:
    """The crates of a `cargo vendor` folder, the newest version of each; of those `listed` only, where a list is given."""
    newest: dict[str, tuple[tuple[int, ...], Package]] = {}
    for manifest in sorted(vendor.glob("*/Cargo.toml")):
        package = tomllib.loads(manifest.read_text(encoding="utf-8"))["package"]
        name, version = package["name"], str(package.get("version", "0"))
        if sources.SKIPPED_CRATES.match(name) or listed is not None and (name, version) not in listed:
            continue
        order = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
        split = "heldout" if name in sources.HELD_OUT["rust"] else "train"
        found = Package(name, version, str(package.get("license", "")), "rust", manifest.parent, [], split)
        if name not in newest or newest[name][0] < order:
            newest[name] = (order, found)
    packages = [found for _, found in newest.values()]
    for package in packages:
        package.files = sorted(package.root.rglob("*.rs"))
    return packages


def licence_of(info: metadata.PackageMetadata) -> str:
    """The licence of an installed package in SPDX terms, or whatever it calls it."""
    if expression := info.get("License-Expression"):
        return expression
    classified = [line.rsplit("::", 1)[-1].strip() for line in info.get_all("Classifier") or [] if line.startswith("License ::")]
    names = [name for name in classified if name != "OSI Approved"] or [(info.get("License") or "").strip()]
    return " OR ".join(sources.LICENCE_NAMES.get(name.lower(), name) for name in names)


def distributions(site: Path) -> list[Package]:
    """The packages installed in a site-packages folder."""
    packages = []
    for found in metadata.distributions(path=[str(site)]):
        name, files = found.metadata["Name"], [site / str(path) for path in found.files or [] if str(path).endswith(".py")]
        split = "heldout" if name in sources.HELD_OUT["python"] else "train"
        files = sorted(path for path in files if ".." not in path.parts)
        packages.append(Package(name, found.version, licence_of(found.metadata), "python", site, files, split))
    return sorted(packages, key=lambda package: package.name)


def standard_library(root: Path) -> list[Package]:
    """The interpreter's own library, in two packages: what is trained on and the held-out modules."""
    version = "{}.{}".format(*re.search(r"python(\d+)\.(\d+)", root.name).groups()) if re.search(r"python\d", root.name) else "3"
    files = [path for path in sorted(root.rglob("*.py")) if "site-packages" not in path.parts]
    held = [path for path in files if path.relative_to(root).parts[0].removesuffix(".py") in sources.HELD_OUT_STDLIB]
    rest = sorted(set(files) - set(held))
    return [
        Package("cpython", version, "PSF-2.0", "python", root, rest),
        Package("cpython-heldout", version, "PSF-2.0", "python", root, held, "heldout"),
    ]


def npm_packages(folder: Path, listed: set[tuple[str, str]] | None = None) -> list[Package]:
    """The unpacked npm packages of a folder; of those `listed` only, where a list is given."""
    packages = []
    for manifest in sorted(folder.glob("*/package.json")):
        found = json.loads(manifest.read_text(encoding="utf-8"))
        name, version, licence = found["name"], found["version"], found.get("license", "")
        if sources.SKIPPED_NPM.match(name) or listed is not None and (name, version) not in listed:
            continue
        split = "heldout" if name in sources.HELD_OUT["typescript"] else "train"
        licence = licence if isinstance(licence, str) else licence.get("type", "")
        root = manifest.parent
        files = [path for path in sorted(root.rglob("*.ts")) if not sources.SKIPPED_TYPESCRIPT.search(path.relative_to(root).as_posix())]
        packages.append(Package(name, version, licence, "typescript", root, files, split))
    return packages


def case_shingles(folder: Path) -> set[int]:
    """The shingles of the scorecard's TypeScript cases, and of nothing where there are none."""
    known: set[int] = set()
    for path in sorted(folder.glob("typescript*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            known |= shingles(row["prompt"] + row["canonical_solution"] + row["suffix"])
    return known


def shingles(text: str) -> set[int]:
    """Hashes of every run of five meaningful lines: what two files share when one is a copy of the other."""
    lines = [re.sub(r"\s+", " ", line.strip()) for line in text.split("\n")]
    lines = [line for line in lines if len(line) > 8]
    runs = ("\n".join(lines[i : i + SHINGLE_LINES]) for i in range(max(1, len(lines) - SHINGLE_LINES + 1)))
    return {int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()) for run in runs}


def read(package: Package, seen: set[int], held: set[int]) -> list[dict]:
    """The clean files of one package under its cap; `seen` grows, and `held` grows by held-out packages."""
    cap = PACKAGE_CHARS_OTHER.get(package.name, PACKAGE_CHARS_MAX[package.language])
    named = [(path.relative_to(package.root).as_posix(), path) for path in package.files]
    named = [(name, path) for name, path in named if not sources.path_skipped(name)]
    named.sort(key=lambda item: hashlib.blake2b(f"{package.name}/{item[0]}".encode()).digest())
    kept, chars = [], 0
    for name, path in named:
        if chars > 0.97 * cap:
            break
        text = sources.clean(path.read_bytes(), package.language) if path.is_file() else None
        if text is None or chars + len(text) > cap:
            continue
        marks = shingles(text)
        if len(marks & seen) > SEEN_SHARE_MAX * len(marks):
            continue
        if package.split == "heldout":
            held |= marks
        elif len(marks & held) > HELD_OUT_SHARED_MAX[package.language]:
            continue
        seen |= marks
        chars += len(text)
        kept.append({"package": package.name, "path": name, "text": text})
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vendor", type=Path, action="append", default=[], help="a folder made by `cargo vendor`")
    parser.add_argument("--site-packages", type=Path, action="append", default=[], help="installed Python packages")
    library = Path(sysconfig.get_path("stdlib"))
    parser.add_argument("--npm", type=Path, action="append", default=[], help="a folder of unpacked npm packages")
    parser.add_argument("--cases", type=Path, help="the scorecard's cases: no TypeScript that shares code with them")
    parser.add_argument("--stdlib", type=Path, default=library, help="the Python standard library (default: this interpreter's)")
    parser.add_argument("--manifest", type=Path, help="read only the packages it lists, at its versions")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    listed = listed_in(args.manifest) if args.manifest else None
    packages = [p for folder in args.vendor for p in crates(folder, listed)]
    found = [p for folder in args.site_packages for p in distributions(folder)]
    packages += [p for p in found if listed is None or (p.name, p.version) in listed]
    packages += [p for folder in args.npm for p in npm_packages(folder, listed)]
    packages = [p for p in packages + standard_library(args.stdlib) if sources.licence_permits(p.licence)]
    packages.sort(key=lambda p: (p.split != "heldout", p.language, p.name))  # held-out first: they decide what leaks
    held = {"rust": set(), "python": set(), "typescript": case_shingles(args.cases) if args.cases else set()}
    seen, kept_packages = set(), []
    keys = [(split, language) for split in ("train", "heldout") for language in PACKAGE_CHARS_MAX]
    outputs = {key: (args.out / "{}.{}.jsonl".format(*key)).open("w", encoding="utf-8") for key in keys}
    for package in packages:
        kept = read(package, seen, held[package.language])
        if not kept:
            continue
        for row in kept:
            outputs[package.split, package.language].write(json.dumps(row, ensure_ascii=False) + "\n")
        chars = sum(len(row["text"]) for row in kept)
        kept_packages.append({
            "package": package.name, "version": package.version, "licence": package.licence, "language": package.language,
            "files": len(kept), "chars": chars, "split": package.split,
        })
    for output in outputs.values():
        output.close()
    (args.out / "packages.json").write_text(json.dumps(kept_packages, indent=1))
    for key in outputs:
        print(*key, sum(row["chars"] for row in kept_packages if (row["split"], row["language"]) == key), "chars")


if __name__ == "__main__":
    main()
