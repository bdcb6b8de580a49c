"""Fetches the packages that `manifest.csv` lists, at its versions: crates with cargo, wheels with pip, npm packages with npm.

    python fetch_corpus.py --to packages      # → packages/rust/vendor, packages/python, packages/typescript/NAME; about 3.5 GB with torch and triton

No code of a package is run: crates are vendored, wheels and npm archives are unpacked. The CPython library is not fetched: run `corpus.py` with
the Python of the manifest (3.11; 3.11.7 gave its exact counts). Crates that come along as dependencies are there too;
`corpus.py --manifest` leaves them out.
"""
import argparse
import csv
import subprocess
import sys
import tarfile
from pathlib import Path

MANIFEST = Path(__file__).with_name("manifest.csv")
CARGO_HEAD = '[package]\nname = "wanted"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n'


def wanted(manifest: Path) -> dict:
    """language → [(package, version)]; the standard library's two packages are not to be fetched."""
    found = {"rust": [], "python": [], "typescript": []}
    with manifest.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row["package"].startswith("cpython"):
                found[row["language"]].append((row["package"], row["version"]))
    return found


def cargo_manifest(crates) -> str:
    """A package that depends on every crate at exactly its version."""
    lines = (f'{name} = {{ version = "={version}", default-features = false }}\n' for name, version in crates)
    return CARGO_HEAD + "".join(lines)


def fetch(folder: Path, manifest: Path):
    found = wanted(manifest)
    project = folder / "rust"
    (project / "src").mkdir(parents=True, exist_ok=True)
    (project / "src" / "lib.rs").write_text("")
    (project / "Cargo.toml").write_text(cargo_manifest(found["rust"]))
    subprocess.run(["cargo", "vendor", "--quiet", "--versioned-dirs", "vendor"], cwd=project, check=True, stdout=subprocess.DEVNULL)
    wheels = [f"{name}=={version}" for name, version in found["python"]]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile",
                    "--target", folder / "python", *wheels], check=True)
    for name, version in found["typescript"]:
        unpack(npm_archive(f"{name}@{version}", folder / "typescript"))


def npm_archive(wanted: str, folder: Path) -> Path:
    """Downloads one npm package into `folder`; nothing of it is run."""
    folder.mkdir(parents=True, exist_ok=True)
    said = subprocess.run(["npm", "pack", "--silent", "--ignore-scripts", wanted], cwd=folder, check=True, capture_output=True, text=True)
    return folder / said.stdout.strip().splitlines()[-1]


def unpack(archive: Path):
    """An npm archive into a folder of its name beside it: its package.json and what is TypeScript."""
    target = archive.with_suffix("")
    with tarfile.open(archive) as opened:
        for member in opened:
            inner = Path(*Path(member.name).parts[1:])
            if member.isfile() and ".." not in inner.parts and (inner.suffix == ".ts" or inner == Path("package.json")):
                (target / inner).parent.mkdir(parents=True, exist_ok=True)
                (target / inner).write_bytes(opened.extractfile(member).read())
    archive.unlink()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--to", type=Path, required=True)
    a.add_argument("--manifest", type=Path, default=MANIFEST)
    a = a.parse_args()
    fetch(a.to, a.manifest)


if __name__ == "__main__":
    main()
