r"""The tokenizer of the small model, and the packed token files that training reads.

    python tokenizer.py train --data data --out ../mini/tokenizer.json     # learns the vocabulary from the train split
    python tokenizer.py pack  --data data --tokenizer ../mini/tokenizer.json --manifest manifest.csv

Byte-level BPE with 4096 entries; any UTF-8 text survives encode and decode unchanged. Text is first cut into units, so that
the ends of a hole fall on token boundaries where people stop typing: line breaks with the indentation that follows them,
words with one leading space, runs of underscores, numbers, at most three punctuation marks, other spaces. The only parts
used are `Split` with a plain regex (no look-behind, same meaning in onig and fancy-regex) and `ByteLevel`.

The shipped tokenizer.json was learned from a slightly wider cut of the corpus than the manifest lists (more low-level Rust crates,
longer comments), before training began; it is part of the model. `train` makes one for a new model, not the same file again.
Training text has LF line endings only: turn CRLF into LF before encoding.

Special tokens are ids 0 to 15. **User text must not be able to write them:** by default `tokenizers` finds "<mask>" in any
text it encodes. Set the switch once after loading, which encodes such text as ordinary bytes; it is not saved in the file:
    Python  tokenizer.encode_special_tokens = True           (transformers: split_special_tokens=True)
    Rust    tokenizer.set_encode_special_tokens(true)
and put special ids in by number. Decoding leaves them out unless `skip_special_tokens=False`.

Files that `pack` writes into the data folder, for SPLIT in train, heldout and LANG in rust, python, typescript:
    tokens.SPLIT.LANG.npy  u16 [tokens]    every document after the other, no special tokens at all
    flags.SPLIT.LANG.npy   u8  [tokens]    what each position is, bits below
    docs.SPLIT.LANG.npy    i64 [docs + 1]  document d is tokens[docs[d]:docs[d + 1]]
    vocab.npz                              per token id, V = 4096:
        flags   u8  [V]      the bits that depend on the token alone (NEWLINE, INDENT, OPEN, CLOSE, SPACE)
        width   i16 [V]      columns after its last line break (a tab counts 4), -1 where it has none
        chars   i16 [V]      length in characters, 0 where it is not whole UTF-8 or special
    cuts.npz                               a token cut inside, as a cursor in the middle of a word does; lists in CSR form:
        index       i32 [V + 1]   the cuts of token t are index[t]:index[t + 1]
        position    i16 [C]       characters left of the cut
        left_off    i32 [C + 1]   left part encoded alone: left_ids[left_off[c]:left_off[c + 1]]
        left_ids    u16           right_off, right_ids: the same for the right part
Flag bits: 1 NEWLINE contains a line break; 2 INDENT is a line break and white space only; 4 UNIT first token of a unit, the natural
place for a hole to begin or end; 8 COMMENT inside a comment or docstring; 16 OPEN has an opening bracket; 32 CLOSE has a
closing one; 64 SPACE begins with a space; 128 STRING inside a string literal.
"""

import argparse
import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 4096
SPECIALS = ["<pad>", "<eos>", "<bos>", "<mask>", "<blank>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>",
            "<rust>", "<python>", "<typescript>"] + [f"<reserved_{n}>" for n in range(4)]
UNITS = (
    r"(?:\r?\n)+[ \t]*"  # line breaks, blank lines merged, with the indentation after them
    r"| ?[fiu](?:8|16|32|64|128)"  # number types are words
    r"| ?[A-Za-z]+"
    r"| ?[0-9]{1,3}"
    r"| ?_+"
    r"| ?[^ \t\r\nA-Za-z0-9_]{1,3}"
    r"|[ \t]+(?![^ \t\r\n])"  # a run of spaces leaves its last one to the word that follows
    r"|[ \t]+"
    r"|\r"
)
NEWLINE, INDENT, UNIT, COMMENT, OPEN, CLOSE, SPACE, STRING = (1 << bit for bit in range(8))

RUST_MARKS = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>\bb?r(?P<hash>#*)".*?"(?P=hash)|b?"(?:\\.|[^"\\])*")|b?'(?:\\[^']*|[^'\\\n])'""", re.S
)
PYTHON_MARKS = re.compile(
    r'''(?P<comment>\#[^\n]*|(?:(?<=\n)|\A)[ \t]*[rR]?(?:"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'))'''
    r'''|(?P<string>"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')''', re.S
)
TYPESCRIPT_MARKS = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)""", re.S
)
MARKS = {"rust": RUST_MARKS, "python": PYTHON_MARKS, "typescript": TYPESCRIPT_MARKS}


def documents(data: Path, split: str, language: str) -> list[dict]:
    """The rows `corpus.py` wrote."""
    with (data / f"{split}.{language}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def untrained() -> Tokenizer:
    """The tokenizer without merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(UNITS), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def load(path: Path) -> Tokenizer:
    """A trained tokenizer that reads special tokens in text as text."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def train(data: Path, out: Path, vocabulary: int = VOCABULARY) -> None:
    """Learns the merges on equal shares of all languages."""
    texts = {language: [row["text"] for row in documents(data, "train", language)] for language in MARKS}
    share = min(sum(map(len, rows)) for rows in texts.values())
    chosen = []
    for rows in texts.values():
        rate = share / sum(map(len, rows))
        chosen += [row for n, row in enumerate(rows) if int((n + 1) * rate) > int(n * rate)]  # evenly over the packages
    tokenizer = untrained()
    tokenizer.train_from_iterator(chosen, trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
    ))
    out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out))


def marks(text: str, language: str) -> np.ndarray:
    """COMMENT and STRING bits of every character, u8 [chars]."""
    bits = np.zeros(len(text) + 1, np.uint8)
    for found in MARKS[language].finditer(text):
        if found.lastgroup:
            bits[found.start() : found.end()] = COMMENT if found["comment"] else STRING
    return bits


def token_texts(tokenizer: Tokenizer) -> list[str | None]:
    """The text of every id; None where it is special or not whole UTF-8."""
    texts: list[str | None] = [None] * len(SPECIALS)
    for token in range(len(SPECIALS), tokenizer.get_vocab_size()):
        text = tokenizer.decode([token])
        texts.append(None if "\ufffd" in text else text)
    return texts


def vocabulary_table(texts: list[str | None]) -> dict[str, np.ndarray]:
    """`vocab.npz`: flags, width and chars of every token id."""
    size = len(texts)
    table = {"flags": np.zeros(size, np.uint8), "width": np.full(size, -1, np.int16), "chars": np.zeros(size, np.int16)}
    for token, text in enumerate(texts):
        if not text:
            continue
        bits = NEWLINE * ("\n" in text) | OPEN * bool(re.search(r"[(\[{]", text)) | CLOSE * bool(re.search(r"[)\]}]", text))
        table["flags"][token] = bits | INDENT * ("\n" in text and not text.strip()) | SPACE * text.startswith(" ")
        table["chars"][token] = len(text)
        if "\n" in text:
            table["width"][token] = len(text.rsplit("\n", 1)[1].replace("\t", "    "))
    return table


def cut_table(tokenizer: Tokenizer, texts: list[str | None]) -> dict[str, np.ndarray]:
    """`cuts.npz`: every way to cut a token of two characters or more, with both parts encoded apart."""
    index, position, parts = [0], [], {"left": ([0], []), "right": ([0], [])}
    for text in texts:
        for cut in range(1, len(text or "")):
            position.append(cut)
            for side, piece in (("left", text[:cut]), ("right", text[cut:])):
                offsets, ids = parts[side]
                ids.extend(tokenizer.encode(piece, add_special_tokens=False).ids)
                offsets.append(len(ids))
        index.append(len(position))
    table = {"index": np.array(index, np.int32), "position": np.array(position, np.int16)}
    for side, (offsets, ids) in parts.items():
        table |= {f"{side}_off": np.array(offsets, np.int32), f"{side}_ids": np.array(ids, np.uint16)}
    return table


def pack_split(tokenizer: Tokenizer, data: Path, split: str, language: str) -> Counter:
    """Writes the three arrays of one split and language; returns tokens by package."""
    by_token = np.load(data / "vocab.npz")["flags"]
    rows, tokens, flags, ends, counted = documents(data, split, language), [], [], [0], Counter()
    for start in range(0, len(rows), 64):
        batch = rows[start : start + 64]
        for row, encoded in zip(batch, tokenizer.encode_batch([row["text"] for row in batch], add_special_tokens=False)):
            ids, offsets = np.array(encoded.ids, np.uint16), np.array(encoded.offsets)
            words = np.array(encoded.word_ids, np.int64)
            first = np.diff(words, prepend=-1) != 0
            leading = (by_token[ids] & SPACE) != 0
            here = marks(row["text"], language)[np.minimum(offsets[:, 0] + leading, offsets[:, 1] - 1)]
            tokens.append(ids)
            flags.append(by_token[ids] | here | (first * UNIT).astype(np.uint8))
            ends.append(ends[-1] + len(ids))
            counted[row["package"]] += len(ids)
    np.save(data / f"tokens.{split}.{language}.npy", np.concatenate(tokens))
    np.save(data / f"flags.{split}.{language}.npy", np.concatenate(flags))
    np.save(data / f"docs.{split}.{language}.npy", np.array(ends, np.int64))
    return counted


def pack(data: Path, path: Path, manifest: Path) -> None:
    """Writes every file of the docstring, and the manifest with the tokens counted."""
    tokenizer = load(path)
    texts = token_texts(tokenizer)
    np.savez(data / "vocab.npz", **vocabulary_table(texts))
    np.savez(data / "cuts.npz", **cut_table(tokenizer, texts))
    counted = {(s, n): pack_split(tokenizer, data, s, n) for s in ("train", "heldout") for n in MARKS}
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["package", "version", "licence", "language", "files", "tokens", "split"])
        rows = json.loads((data / "packages.json").read_text())
        for row in sorted(rows, key=lambda row: (row["split"], row["language"], row["package"].lower())):
            tokens = counted[row["split"], row["language"]][row["package"]]
            writer.writerow([row["package"], row["version"], row["licence"], row["language"], row["files"], tokens, row["split"]])
    for key, packages in counted.items():
        chars = sum(row["chars"] for row in rows if (row["split"], row["language"]) == key)
        print(*key, packages.total(), "tokens", round(chars / packages.total(), 3), "characters a token")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    learn, fill = verbs.add_parser("train"), verbs.add_parser("pack")
    for verb in (learn, fill):
        verb.add_argument("--data", type=Path, required=True)
    learn.add_argument("--out", type=Path, required=True)
    learn.add_argument("--vocabulary", type=int, default=VOCABULARY)
    fill.add_argument("--tokenizer", type=Path, required=True)
    fill.add_argument("--manifest", type=Path, required=True)
    args = parser.parse_args()
    if args.verb == "train":
        train(args.data, args.out, args.vocabulary)
    else:
        pack(args.data, args.tokenizer, args.manifest)


if __name__ == "__main__":
    main()
