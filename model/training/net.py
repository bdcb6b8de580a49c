"""The DiffusionGemma network in one sitting, lean enough to train on a CPU.

The same function as `DiffusionGemmaForBlockDiffusion` of `transformers` 5.23.0 (`models/diffusion_gemma`) when the
config has one expert (softmax over one expert is 1, so the expert is a second MLP beside the dense one) and when no
sequence is longer than the sliding window. `check_parity.py` compares the two.

Two passes share every weight but one scalar per layer:
    encode  causal over clean text, returns hidden states and the keys and values of every layer
    denoise bidirectional over a canvas that also sees the clean text before it
Shapes: B rows, L clean tokens, K canvases a row, C canvas length, H query heads, G key-value heads, D head size.
"""
from dataclasses import dataclass, asdict

import torch
import torch.nn.functional as F
from torch import nn

import fused

EPS = 1e-6
SOFTCAP = 30.0


@dataclass
class Dims:
    vocab_size: int = 4096
    hidden_size: int = 256
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 384
    moe_intermediate_size: int = 256
    canvas_length: int = 64
    positions_max: int = 1024  # also the sliding window: no training row or prompt reaches it

    def to_dict(self):
        return asdict(self)


def rms(x, weight=None):
    """RMS norm in f32, `x / sqrt(mean(x²) + 1e-6) · w`, back in f32."""
    x = x.float()
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)
    return x if weight is None else x * weight


def linear(x, weight, dtype):
    return F.linear(x.to(dtype), weight.to(dtype))


def softcap(logits):
    return SOFTCAP * torch.tanh(logits.float() / SOFTCAP)


def rope_tables(dims: Dims):
    """cos and sin [2, positions, D]: index 0 sliding layers (θ 1e4), index 1 the full layer (θ 1e6, a quarter rotated)."""
    half = dims.head_dim // 2
    exponent = torch.arange(half).float() / half
    sliding = 1.0 / (1e4 ** exponent)
    full = 1.0 / (1e6 ** exponent)
    full[int(0.25 * half):] = 0.0
    angles = torch.arange(dims.positions_max)[None, :, None] * torch.stack([sliding, full])[:, None, :]
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Split-half RoPE; x [..., heads, D], cos and sin broadcast over heads."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Layer(nn.Module):
    def __init__(self, d: Dims, full: bool):
        super().__init__()
        h, hd = d.hidden_size, d.head_dim
        self.d, self.full = d, full

        def matrix(out, inp):
            return nn.Parameter(torch.randn(out, inp) * inp ** -0.5)

        self.q_proj = matrix(d.num_heads * hd, h)
        self.k_proj = matrix(d.num_kv_heads * hd, h)
        self.v_proj = None if full else matrix(d.num_kv_heads * hd, h)
        self.o_proj = matrix(h, d.num_heads * hd)
        # The reference's attention scale is 1, so these norms start at D^-1/4 each: together the usual D^-1/2.
        self.q_norm = nn.Parameter(torch.full((hd,), hd ** -0.25))
        self.k_norm = nn.Parameter(torch.full((hd,), hd ** -0.25))
        self.mlp_gate, self.mlp_up = matrix(d.intermediate_size, h), matrix(d.intermediate_size, h)
        self.mlp_down = matrix(h, d.intermediate_size)
        self.expert_gate, self.expert_up = matrix(d.moe_intermediate_size, h), matrix(d.moe_intermediate_size, h)
        self.expert_down = matrix(h, d.moe_intermediate_size)
        branch = (2 * d.num_layers) ** -0.5
        self.input_norm = nn.Parameter(torch.ones(h))
        self.post_attention_norm = nn.Parameter(torch.full((h,), branch))
        self.pre_ff_norm = nn.Parameter(torch.ones(h))
        self.pre_ff_norm_2 = nn.Parameter(torch.ones(h))
        self.post_ff_norm_1 = nn.Parameter(torch.ones(h))
        self.post_ff_norm_2 = nn.Parameter(torch.ones(h))
        self.post_ff_norm = nn.Parameter(torch.full((h,), branch))
        self.encoder_scalar = nn.Parameter(torch.ones(1))
        self.decoder_scalar = nn.Parameter(torch.ones(1))

    def qkv(self, x, cos, sin, dtype):
        """x [n, t, hidden] → q [n, t, H, D], k and v [n, t, G, D]; cos and sin [n or 1, t, D]."""
        d = self.d
        x = rms(x, self.input_norm)
        heads = [self.q_proj, self.k_proj] + ([] if self.full else [self.v_proj])
        parts = linear(x, torch.cat(heads), dtype).split([w.shape[0] for w in heads], -1)
        parts = [p.unflatten(-1, (-1, d.head_dim)) for p in parts]
        q, k = parts[0], parts[1]
        v = k if self.full else parts[2]
        cos, sin = cos[..., None, :], sin[..., None, :]
        q = rotate(rms(q, self.q_norm), cos, sin).to(dtype)
        k = rotate(rms(k, self.k_norm), cos, sin).to(dtype)
        return q, k, rms(v).to(dtype)

    def finish(self, x, mixed, scalar, dtype):
        """Everything after attention; x and mixed [n, t, ·]."""
        x = x + rms(linear(mixed, self.o_proj, dtype), self.post_attention_norm)
        a = linear(rms(x, self.pre_ff_norm), torch.cat([self.mlp_gate, self.mlp_up]), dtype)
        b = linear(rms(x, self.pre_ff_norm_2), torch.cat([self.expert_gate, self.expert_up]), dtype)
        a = rms(linear(geglu(a), self.mlp_down, dtype), self.post_ff_norm_1)
        b = rms(linear(geglu(b), self.expert_down, dtype), self.post_ff_norm_2)
        return (x + rms(a + b, self.post_ff_norm)) * scalar


def geglu(x):
    gate, up = x.chunk(2, -1)
    return F.gelu(gate, approximate="tanh") * up


def attend_causal(q, k, v):
    """q [B, L, H, D], k and v [B, L, G, D] → [B, L, H·D]; scale 1.

    Plain products: on a CPU at L ≤ 512 they train several times faster than the fused causal kernel.
    """
    if q.is_cuda and fused.WANTED:
        return fused.attend_causal(q, k, v)
    b, length, heads, dim = q.shape
    groups = k.shape[2]
    q = q.view(b, length, groups, heads // groups, dim).permute(0, 2, 3, 1, 4).reshape(b, groups, -1, dim)
    scores = (q @ k.permute(0, 2, 3, 1)).float().view(b, groups, -1, length, length)  # [B, G, H/G, L, L]
    later = torch.ones(length, length, dtype=torch.bool, device=q.device).triu(1)
    weights = torch.softmax(scores.masked_fill(later, float("-inf")), -1).to(q.dtype)
    out = weights.view(b, groups, -1, length) @ v.transpose(1, 2)  # [B, G, H/G·L, D]
    return out.view(b, groups, -1, length, dim).permute(0, 3, 1, 2, 4).reshape(b, length, heads * dim)


def attend_canvas(q, k, v, clean_k, clean_v, bias):
    """Canvas attention: all of the own canvas and the clean positions before it.

    q [B·K, C, H, D], k and v [B·K, C, G, D], clean_k and clean_v [B, L, G, D],
    bias [B, K, L] f32: 0 where the clean position is visible, -inf where it is not. Returns [B·K, C, H·D].
    The K canvases of a row are the rows of one product with that row's clean keys, which are never copied.
    """
    if q.is_cuda and fused.WANTED:
        return fused.attend_canvas(q, k, v, clean_k, clean_v, bias)
    n, c, heads, dim = q.shape
    b, length, groups, _ = clean_k.shape
    per, k_count = heads // groups, n // b
    q_row = q.view(b, k_count, c, groups, per, dim).permute(0, 3, 1, 4, 2, 5)  # [B, G, K, per, C, D]
    ck, cv = clean_k.permute(0, 2, 3, 1), clean_v.permute(0, 2, 1, 3)  # [B, G, D, L], [B, G, L, D]
    far = (q_row.reshape(b, groups, k_count * per * c, dim) @ ck).float()
    far = far.view(b, groups, k_count, per * c, length) + bias[:, None, :, None, :]
    own_k = k.view(b, k_count, c, groups, dim).permute(0, 3, 1, 4, 2)  # [B, G, K, D, C]
    own_v = v.view(b, k_count, c, groups, dim).permute(0, 3, 1, 2, 4)  # [B, G, K, C, D]
    near = (q_row.reshape(b, groups, k_count, per * c, dim) @ own_k).float()
    top = torch.maximum(far.amax(-1, keepdim=True), near.amax(-1, keepdim=True)).detach()
    far, near = (far - top).exp(), (near - top).exp()
    total = far.sum(-1, keepdim=True) + near.sum(-1, keepdim=True)
    out = far.to(q.dtype).view(b, groups, k_count * per * c, length) @ cv
    out = out.view(b, groups, k_count, per * c, dim) + near.to(q.dtype) @ own_v
    out = (out.float() / total).to(q.dtype).view(b, groups, k_count, per, c, dim)
    return out.permute(0, 2, 4, 1, 3, 5).reshape(n, c, heads * dim)


class Net(nn.Module):
    def __init__(self, dims: Dims):
        super().__init__()
        h = dims.hidden_size
        self.dims = dims
        self.embed = nn.Parameter(torch.randn(dims.vocab_size, h) * h ** -0.5)
        self.layers = nn.ModuleList(Layer(dims, i == dims.num_layers - 1) for i in range(dims.num_layers))
        # Below 1: the head is tied, so at first every position would predict its own token with confidence.
        self.norm = nn.Parameter(torch.full((h,), 0.3))
        self.sc_norm = nn.Parameter(torch.ones(h))
        self.sc_gate = nn.Parameter(torch.randn(dims.intermediate_size, h) * h ** -0.5)
        self.sc_up = nn.Parameter(torch.randn(dims.intermediate_size, h) * h ** -0.5)
        self.sc_down = nn.Parameter(torch.randn(h, dims.intermediate_size) * dims.intermediate_size ** -0.5)
        cos, sin = rope_tables(dims)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def embedding(self, ids):
        return F.embedding(ids, self.embed) * self.dims.hidden_size ** 0.5

    def encode(self, ids, dtype=torch.float32):
        """ids [B, L] → hidden [B, L, hidden] (after the final norm) and per layer (k, v) [B, L, G, D]."""
        x, length, cache = self.embedding(ids), ids.shape[1], []
        for layer in self.layers:
            cos, sin = self.cos[int(layer.full), None, :length], self.sin[int(layer.full), None, :length]
            q, k, v = layer.qkv(x, cos, sin, dtype)
            cache.append((k, v))
            x = layer.finish(x, attend_causal(q, k, v), layer.encoder_scalar, dtype)
        return rms(x, self.norm), cache

    def denoise(self, canvas, soft, cache, anchor, dtype=torch.float32):
        """One denoising pass.

        canvas [B·K, C] token ids, soft [B·K, C, hidden] (the scaled soft embedding, zeros on the first step),
        cache from `encode` of B rows, anchor [B·K]: the canvas starts there and sees clean positions [0, anchor).
        Returns hidden [B·K, C, hidden] after the final norm.
        """
        n, c = canvas.shape
        rows, length = cache[0][0].shape[:2]
        gate_up = linear(rms(soft, self.sc_norm), torch.cat([self.sc_gate, self.sc_up]), dtype)
        x = rms(self.embedding(canvas) + linear(geglu(gate_up), self.sc_down, dtype))
        position = anchor[:, None] + torch.arange(c, device=canvas.device)
        hidden_keys = torch.arange(length, device=canvas.device) >= anchor[:, None]
        bias = torch.zeros(n, length, device=canvas.device).masked_fill(hidden_keys, float("-inf")).view(rows, -1, length)
        for layer, (clean_k, clean_v) in zip(self.layers, cache):
            q, k, v = layer.qkv(x, self.cos[int(layer.full)][position], self.sin[int(layer.full)][position], dtype)
            x = layer.finish(x, attend_canvas(q, k, v, clean_k, clean_v, bias), layer.decoder_scalar, dtype)
        return rms(x, self.norm)

    def logits(self, hidden, dtype=torch.float32):
        """Softcapped logits in f32; hidden [..., hidden] → [..., V]."""
        return softcap(linear(hidden, self.embed, dtype))

    def soften(self, probabilities, dtype=torch.float32):
        """The soft embedding of a distribution [..., V] → [..., hidden]."""
        return (probabilities.to(dtype) @ self.embed.to(dtype)).float() * self.dims.hidden_size ** 0.5


def causal_targets(net: Net, flat, batch):
    """Which hole slots the causal pass predicts too, and what it says there: knowledge to distil into the canvas.

    flat [B·(L-1), V] causal logits of `training_loss`. Returns known [2, M] bool (the slot's token stands in the clean row at
    the slot's place, with everything since the anchor the same) and log-probabilities [2, M, V] without gradient.
    """
    rows, clean, anchor, slot_at = batch["rows"], batch["clamped"], batch["anchor"], batch["slot_at"]
    (b, length), (n, c) = rows.shape, clean.shape
    at = anchor[:, None] + torch.arange(c, device=rows.device)  # [B·K, C] the row position of every canvas position
    own = torch.arange(n, device=rows.device) // (n // b)
    same = (at < length) & (rows[own[:, None], at.clamp(max=length - 1)] == clean)
    same = same.int().cumprod(-1).bool()
    side = torch.arange(2, device=rows.device)[:, None]
    canvas, spot = slot_at // c * 2 + side, slot_at % c  # [2, M]
    before = own[canvas] * (length - 1) + (at[canvas, spot] - 1).clamp(0, length - 2)
    return same[canvas, spot] & (spot > 0), flat.detach()[before].log_softmax(-1)


def training_loss(net: Net, batch, dtype=torch.bfloat16, distil: float = 0.0):
    """The whole objective on one micro-batch of fixed shape; see `holes.py` for how it is drawn.

    rows [B, L], row_weight [B, L] (of each token's causal loss), canvas [B·K, C] (noised), anchor [B·K], clamped [B·K, C] (the token where clamped),
    slot_at [2, M] (flat canvas positions of hole tokens; row 0 for the self-conditioned even canvases, row 1 for the
    odd ones), slot_label [2, M], slot_weight [2, M], temperature [B·K/2].
    distil: weight of KL(causal pass ‖ canvas) on the hole tokens that the causal pass predicts too.
    Returns (objective, causal loss, hole loss) as sums over the micro-batch's own normalisers.
    """
    rows, canvas, anchor, slot_at = batch["rows"], batch["canvas"], batch["anchor"], batch["slot_at"]
    hidden, cache = net.encode(rows, dtype)
    flat = net.logits(hidden[:, :-1].flatten(0, 1), dtype)
    counts = (batch["row_weight"][:, 1:] * (rows[:, 1:] != 0)).flatten()
    causal = (F.cross_entropy(flat, rows[:, 1:].flatten(), reduction="none") * counts).sum() / counts.sum()
    n, c = canvas.shape
    h = net.dims.hidden_size
    soft = torch.zeros(n // 2, 2, c, h, device=rows.device)
    with torch.no_grad():  # pass one: half of the canvases, nothing known yet
        detached = [(k.detach(), v.detach()) for k, v in cache]
        even = canvas.view(-1, 2, c)[:, 0].contiguous()
        guess = net.denoise(even, torch.zeros_like(soft[:, 0]), detached, anchor.view(-1, 2)[:, 0].contiguous(), dtype)
        guess = guess.reshape(-1, h)[slot_at[0]]
        scaled = net.logits(guess, dtype) / batch["temperature"][slot_at[0] // c][:, None]
        # Clamped rows carry the token itself; hole rows the expectation under the guess. Unused slots (weight 0)
        # point at a clamped position of their canvas and rewrite what is already there.
        known = net.embedding(batch["clamped"].view(-1, 2, c)[:, 0])
        drawn = net.soften(torch.softmax(scaled, -1), dtype)
        used = batch["slot_weight"][0][:, None] > 0
        first = known.reshape(-1, h)
        first = first.index_copy(0, slot_at[0], torch.where(used, drawn, first[slot_at[0]]))
        soft[:, 0] = first.view(-1, c, h)
    hidden = net.denoise(canvas, soft.view(n, c, h), cache, anchor, dtype).view(-1, 2, c, h)
    picked = torch.cat([hidden[:, 0].reshape(-1, h)[slot_at[0]], hidden[:, 1].reshape(-1, h)[slot_at[1]]])
    logits = net.logits(picked, dtype)
    losses = F.cross_entropy(logits, batch["slot_label"].flatten(), reduction="none")
    weight = batch["slot_weight"].flatten()
    hole = (losses * weight).sum() / weight.sum().clamp(min=1.0)
    objective = causal + hole
    if distil:
        known, teacher = causal_targets(net, flat, batch)
        gap = F.kl_div(logits.log_softmax(-1), teacher.flatten(0, 1), reduction="none", log_target=True).sum(-1)
        shared = weight * known.flatten()
        objective = objective + distil * (gap * shared).sum() / shared.sum().clamp(min=1.0)
    return objective, causal.detach(), hole.detach()
