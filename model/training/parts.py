"""Cuts a file into pieces of a stated size and joins them again, with a check of the whole.

    python parts.py split FILE --out DIR [--mib 15]      → DIR/NAME.000, NAME.001, … and NAME.sha256
    python parts.py join DIR/NAME.sha256 --out FILE      fails where a piece is missing or the whole differs
"""
import argparse
import hashlib
from pathlib import Path


def split(file: Path, out: Path, piece_bytes: int) -> list:
    """→ the pieces' paths; `file` is read into memory."""
    out.mkdir(parents=True, exist_ok=True)
    whole, pieces = file.read_bytes(), []
    for number, at in enumerate(range(0, len(whole), piece_bytes)):
        pieces.append(out / f"{file.name}.{number:03d}")
        pieces[-1].write_bytes(whole[at:at + piece_bytes])
    (out / f"{file.name}.sha256").write_text(f"{hashlib.sha256(whole).hexdigest()}  {file.name}  {len(pieces)} pieces\n")
    return pieces


def join(listed: Path, out: Path):
    digest, name, count, _ = listed.read_text().split()
    pieces = [listed.with_name(f"{name}.{number:03d}") for number in range(int(count))]
    if missing := [p.name for p in pieces if not p.exists()]:
        raise SystemExit(f"{listed} names {count} pieces; missing beside it: {', '.join(missing)}")
    whole = b"".join(p.read_bytes() for p in pieces)
    if (found := hashlib.sha256(whole).hexdigest()) != digest:
        raise SystemExit(f"the {count} pieces of {name} have sha256 {found}, {listed} says {digest}: fetch them again")
    out.write_bytes(whole)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = a.add_subparsers(dest="verb", required=True)
    cut, glue = verbs.add_parser("split"), verbs.add_parser("join")
    cut.add_argument("file", type=Path)
    cut.add_argument("--mib", type=float, default=15)
    glue.add_argument("listed", type=Path)
    for verb in (cut, glue):
        verb.add_argument("--out", type=Path, required=True)
    a = a.parse_args()
    if a.verb == "split":
        for piece in split(a.file, a.out, int(a.mib * 2 ** 20)):
            print(piece, piece.stat().st_size)
    else:
        join(a.listed, a.out)


if __name__ == "__main__":
    main()
