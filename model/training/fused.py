"""The two attentions of `net.py` through `scaled_dot_product_attention`: what a GPU wants, where plain products would write every
score to memory. Same arguments, same results (`test_training.py`); on a CPU the plain products train faster.
"""
import torch
import torch.nn.functional as F


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
