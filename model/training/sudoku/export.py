"""Writes a checkpoint of `sudoku.train` as the files a DiffusionGemma loader reads.

    python -m sudoku.export --checkpoint run/checkpoint.pt --out solver

The same files as `../export.py` writes; what differs is the tokenizer (nine digits, and nothing else survives: separators and
line breaks of a puzzle file are the file's own) and the `lacuna` object, whose keys `../README.md` explains.
"""
import argparse
import json
from pathlib import Path
from types import SimpleNamespace

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from safetensors.torch import save_file

import export
from export import load
from net import Net

from .task import BOARD, CELL_1, DIGIT_1, EOS, HEADER, MASK, MIDDLE, PAD, VOCABULARY

STEPS_MAX = 64


def names() -> list[str]:
    """The token of every id."""
    places = [f"<r{row}c{column}>" for row in range(1, 10) for column in range(1, 10)]
    return ["<pad>", "<eos>", "<bos>", "<mask>", "<board>", "<middle>", *"123456789", *places]


def tokenizer() -> Tokenizer:
    """One token a digit 1-9; every other character of a text vanishes."""
    tokens = names()
    made = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<pad>"))
    made.normalizer = normalizers.Replace(Regex("[^1-9]"), "")
    made.pre_tokenizer = pre_tokenizers.Split(Regex("[1-9]"), behavior="isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in tokens if len(t) > 1])
    return made


def lacuna() -> dict:
    tokens = names()
    return {
        # Training shows a few wrong digits, too, but nothing is gained by drawing some at inference.
        "noise": {"kind": "mask", "mask_token_id": MASK, "uniform_share": 0.0, "uniform_first_id": DIGIT_1},
        "canvas_holds": "text", "hole_tokens_max": 1, "suffix_tokens_min": 0, "prompt_tokens_max": 256,
        "prompt": {"begin": [tokens[i] for i in [*HEADER, BOARD]]},
        "fim": {"prefix": BOARD, "suffix": MIDDLE, "middle": MIDDLE},
        "end_of_document": {"first": EOS, "then": PAD},
    }


def config(net: Net) -> dict:
    """`config.json`: what `../export.py` writes, with this model's own `lacuna` object."""
    return export.config(net.dims, SimpleNamespace(first_text_id=DIGIT_1)) | {"lacuna": lacuna()}


def write(net: Net, out: Path):
    """Everything into `out`."""
    assert names()[DIGIT_1] == "1" and names()[CELL_1] == "<r1c1>" and len(names()) == VOCABULARY
    out.mkdir(parents=True, exist_ok=True)
    save_file(export.tensors(net), out / "model.safetensors", metadata={"format": "pt"})
    generation = export.GENERATION | {"max_denoising_steps": STEPS_MAX}
    for name, content in (("config.json", config(net)), ("generation_config.json", generation)):
        (out / name).write_text(json.dumps(content, indent=2) + "\n")
    tokenizer().save(str(out / "tokenizer.json"))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--checkpoint", type=Path, required=True)
    a.add_argument("--out", type=Path, required=True)
    a = a.parse_args()
    write(load(a.checkpoint), a.out)


if __name__ == "__main__":
    main()
