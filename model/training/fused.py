"""The two attentions of `net.py` through `scaled_dot_product_attention`: what a GPU wants, where plain products would write every
score to memory. Same arguments, same results (`test_training.py`); on a CPU the plain products train faster.
"""
import torch
import torch.nn.functional as F

WANTED = True  # on a GPU; `train_device.py --plain-attention` says no


def heads_first(x, heads: int):
    """[n, t, G, D] → [n, H, t, D]: key and value heads repeated, as not every kernel knows grouped heads."""
    return x.transpose(1, 2).repeat_interleave(heads // x.shape[2], 1)


def attend_causal(q, k, v):
    """q [B, L, H, D], k and v [B, L, G, D] → [B, L, H·D]; scale 1."""
    b, length, heads, dim = q.shape
    out = F.scaled_dot_product_attention(q.transpose(1, 2), heads_first(k, heads), heads_first(v, heads), is_causal=True, scale=1.0)
    return out.transpose(1, 2).reshape(b, length, heads * dim)


def attend_canvas(q, k, v, clean_k, clean_v, bias):
    """q [B·K, C, H, D], k and v [B·K, C, G, D], clean_k and clean_v [B, L, G, D], bias [B, K, L] (0 or -inf) → [B·K, C, H·D]."""
    n, c, heads, dim = q.shape
    per_row = n // clean_k.shape[0]
    keys = torch.cat([clean_k.repeat_interleave(per_row, 0), k], 1)  # [B·K, L + C, G, D]
    values = torch.cat([clean_v.repeat_interleave(per_row, 0), v], 1)
    far = bias.reshape(n, 1, 1, -1) == 0
    mask = torch.cat([far, far.new_ones(n, 1, 1, c)], -1).expand(n, 1, c, -1)
    out = F.scaled_dot_product_attention(q.transpose(1, 2), heads_first(keys, heads), heads_first(values, heads), attn_mask=mask, scale=1.0)
    return out.transpose(1, 2).reshape(n, c, heads * dim)


@torch.no_grad()
def difference(device: str) -> float:
    """The relative error of both attentions against the plain products in f32, on random bf16 numbers of training's shape."""
    import net

    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g).bfloat16().to(device)
    q, k, v = draw(2, 512, 6, 64) / 8, draw(2, 512, 2, 64), draw(2, 512, 2, 64)
    canvas = draw(8, 64, 6, 64) / 8, draw(8, 64, 2, 64), draw(8, 64, 2, 64)
    bias = torch.zeros(2, 4, 512, device=device).masked_fill(torch.arange(512, device=device) >= 300, float("-inf"))
    wide = lambda xs: [x.float().cpu() for x in xs]  # on a CPU `net` takes the plain products
    pairs = [(attend_causal(q, k, v), net.attend_causal(*wide((q, k, v)))),
             (attend_canvas(*canvas, k, v, bias), net.attend_canvas(*wide((*canvas, k, v, bias))))]
    return max(((found.float().cpu() - expected).norm() / expected.norm()).item() for found, expected in pairs)
