"""The training task: what a solver sees half way, and the objective on it.

The prompt is the same for every puzzle: `<bos>` and one token for each cell of the grid, which tells a cell where it stands
(the network knows distances only): cell i of a canvas finds the name of its place always `FAR` positions before it. The canvas is
`<board>`, clamped, and the 81 cells. Causal rows, for the controls, are the same prompt and then
    prefix only   <board> solution
    givens first  <board> puzzle with <mask> in its holes <middle> solution
"""
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from net import Dims, Net

from .puzzles import BOX, COLUMN, ROW, shuffled

PAD, EOS, BOS, MASK, BOARD, MIDDLE = range(6)
DIGIT_1 = 6
CELL_1 = DIGIT_1 + 9
VOCABULARY = CELL_1 + 81
HEADER = [BOS, *range(CELL_1, CELL_1 + 81)]
FAR = len(HEADER)
CANVAS = 1 + 81

KEPT_WEIGHT = 0.1  # of the loss on hole cells that hold a digit already
PAIRS, SHARPNESS = 6, 2.0  # of the heads that look for a place
WRONG_SHARE = 0.03  # of those: another digit than the right one, to be noticed


def dims(hidden: int, layers: int) -> Dims:
    """The network's sizes; heads of 32, two query heads to a key-value head."""
    return Dims(vocab_size=VOCABULARY, hidden_size=hidden, num_layers=layers, num_heads=hidden // 32,
                num_kv_heads=hidden // 64, head_dim=32, intermediate_size=2 * hidden, moe_intermediate_size=hidden,
                canvas_length=CANVAS, positions_max=256)


@torch.no_grad()
def know_places(net: Net):
    """A start that knows where a cell is, but no rule: the embedding of a place is the sum of one random vector each for its row,
    column and box, and in the first layer one head looks `FAR` positions back (a second one as far again, for the second
    text of a givens-first row). Training could find both by itself; this saves steps that a CPU does not have.
    """
    h, layer, size = net.dims.hidden_size, net.layers[0], net.dims.head_dim
    parts = torch.randn(3, 9, h) * (3 * h) ** -0.5
    net.embed[CELL_1:CELL_1 + 81] = parts[0][ROW] + parts[1][COLUMN] + parts[2][BOX]
    is_place, is_cell = F.normalize(torch.randn(2, h), dim=1)
    net.embed[CELL_1:CELL_1 + 81] += is_place
    net.embed[[MASK, *range(DIGIT_1, DIGIT_1 + 9)]] += is_cell
    # A query and a key of constant direction, on the pairs of dimensions that turn fastest; the angle makes them meet at the distance.
    speed = 1e4 ** (-torch.arange(size // 2) / (size // 2))
    used = (torch.arange(size // 2) < PAIRS) * 1.0
    for head, distance in enumerate((FAR, 2 * FAR)):
        turned = torch.cat([used * torch.cos(speed * distance), -used * torch.sin(speed * distance)])
        layer.q_proj[head * size:(head + 1) * size] += torch.outer(turned, is_cell) * 4
    layer.k_proj[:size] += torch.outer(torch.cat([used, 0 * used]), is_place + is_cell) * 4
    layer.q_norm *= SHARPNESS
    layer.k_norm *= SHARPNESS


@dataclass
class Shape:
    canvases: int = 96  # even: the first half is self-conditioned
    rows: int = 8  # causal rows
    device: str = "cpu"


class Drawer:
    """Micro-batch j is a function of (seed, j) alone, so a resumed run continues with the data it would have seen."""

    def __init__(self, puzzles: np.ndarray, solutions: np.ndarray, seed: int, shape: Shape):
        self.grids, self.seed, self.shape = np.stack([puzzles, solutions], 1), seed, shape

    def states(self, rng, count: int):
        """Puzzles with 0 to all of the holes shown as given or found: givens, shown [N, 81] bool, solution [N, 81] in 1-9."""
        grids = shuffled(rng, self.grids[rng.integers(len(self.grids), size=count)])
        minimal, solution = grids[:, 0] > 0, grids[:, 1]
        order = rng.random((count, 81))
        # Half of the puzzles are handed out with more givens than a minimal one; the rest of what is shown was found.
        extra = order < (rng.random((count, 1)) * (rng.random((count, 1)) < 0.5))
        givens = minimal | extra
        shown = givens | (rng.random((count, 81)) < rng.random((count, 1)))
        none_open = shown.all(1)
        shown[none_open] = givens[none_open]
        return givens, shown, solution

    def batch(self, index: int) -> dict:
        """Tensors on the device: canvas, label [N, 82], weight [N, 82], clamped [N, 82] bool, temperature [N/2],
        rows, row_weight [R, T]."""
        rng = np.random.default_rng((self.seed, index))
        givens, shown, solution = self.states(rng, self.shape.canvases)
        label = solution + DIGIT_1 - 1
        wrong = shown & ~givens & (rng.random(shown.shape) < WRONG_SHARE)
        canvas = np.where(shown, label, MASK)
        canvas = np.where(wrong, DIGIT_1 + rng.integers(9, size=shown.shape), canvas)
        weight = np.where(givens, 0.0, np.where(shown & (canvas == label), KEPT_WEIGHT, 1.0))
        head = lambda x, value: np.concatenate([np.full((len(x), 1), value, x.dtype), x], 1)
        out = {"canvas": head(canvas, BOARD), "label": head(label, BOARD), "weight": head(weight.astype(np.float32), 0.0),
               "clamped": head(givens, True), "temperature": rng.uniform(0.4, 0.8, self.shape.canvases // 2).astype(np.float32)}
        out["rows"], out["row_weight"] = self.causal_rows(rng, index)
        return {k: torch.from_numpy(v).to(self.shape.device) for k, v in out.items()}

    def causal_rows(self, rng, index: int):
        """Every fourth micro-batch prefix only, else givens first. Only holes of the puzzle count in the latter."""
        givens, _, solution = self.states(rng, self.shape.rows)
        label = solution + DIGIT_1 - 1
        start = np.tile([*HEADER, BOARD], (len(label), 1))
        if index % 4 == 0:
            return np.concatenate([start, label], 1), head_zeros(FAR + 1, np.ones(label.shape))
        puzzle = np.where(givens, label, MASK)
        middle = np.full((len(label), 1), MIDDLE)
        return np.concatenate([start, puzzle, middle, label], 1), head_zeros(FAR + 1 + 81 + 1, ~givens)


def head_zeros(count: int, weight: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((len(weight), count)), weight], 1).astype(np.float32)


def prompt_cache(net: Net, dtype):
    """Keys and values of the prompt that all canvases share."""
    return net.encode(torch.tensor([HEADER], device=net.embed.device), dtype)[1]


def beliefs(net: Net, hidden, tokens, clamped, temperature, dtype):
    """Self-conditioning input [N, 82, hidden]: a clamped row's own token, elsewhere what the last step believed.
    temperature [N, 1, 1]."""
    logits = digits_only(net.logits(hidden, dtype)) / temperature
    return torch.where(clamped[..., None], net.embedding(tokens), net.soften(torch.softmax(logits, -1), dtype))


def digits_only(logits):
    """Logits with everything that is no digit at -inf, as the engine excludes special tokens."""
    outside = torch.ones(VOCABULARY, dtype=torch.bool, device=logits.device)
    outside[DIGIT_1:DIGIT_1 + 9] = False
    return logits.masked_fill(outside, float("-inf"))


def objective(net: Net, batch: dict, dtype=torch.bfloat16):
    """Returns (causal + canvas loss, causal loss, canvas loss), means over what counts; see `Drawer.batch`."""
    rows, canvas = batch["rows"], batch["canvas"]
    hidden, _ = net.encode(rows, dtype)
    losses = F.cross_entropy(net.logits(hidden[:, :-1], dtype).flatten(0, 1), rows[:, 1:].flatten(), reduction="none")
    counts = batch["row_weight"][:, 1:].flatten()
    causal = (losses * counts).sum() / counts.sum()
    cache, half = prompt_cache(net, dtype), len(canvas) // 2
    anchor = torch.full((len(canvas),), FAR, device=canvas.device)
    soft = torch.zeros(*canvas.shape, net.dims.hidden_size, device=canvas.device)
    with torch.no_grad():
        known = [(k.detach(), v.detach()) for k, v in cache]
        first = net.denoise(canvas[:half], soft[:half], known, anchor[:half], dtype)
        soft[:half] = beliefs(net, first, canvas[:half], batch["clamped"][:half], batch["temperature"][:, None, None], dtype)
    hidden = net.denoise(canvas, soft, cache, anchor, dtype)
    losses = F.cross_entropy(net.logits(hidden, dtype).flatten(0, 1), batch["label"].flatten(), reduction="none")
    weight = batch["weight"].flatten()
    hole = (losses * weight).sum() / weight.sum()
    return causal + hole, causal.detach(), hole.detach()
