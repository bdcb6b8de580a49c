"""Muon for the hidden matrices and AdamW for the rest, over flat tensors on one device: the same numbers as `train.update`.

Matrices of one shape go through Newton-Schulz together, so that a GPU gets a few large products and not thousands of small ones.
"""
from collections import defaultdict

import torch

from train import BETA_1, BETA_2, MUON_MOMENTUM, is_matrix, orthogonalise

WEIGHT_DECAY = 0.01


class Optimiser:
    """params as `train.bind` returns them, state [2, P] (momentum, second moment), grad [P]; everything f32 on one device."""

    def __init__(self, params, state: torch.Tensor, grad: torch.Tensor):
        self.matrices, self.rest = defaultdict(list), []
        for name, p, span in params:
            member = (p, grad[span].view(p.shape), state[0, span].view(p.shape), state[1, span].view(p.shape))
            (self.matrices[p.shape] if is_matrix(name, p) else self.rest).append(member)

    @torch.no_grad()
    def step(self, step: int, rates):
        """Step number `step` (from 1) at the rates (Muon's, AdamW's)."""
        muon_lr, adam_lr = rates
        for shape, members in self.matrices.items():
            params, grads, momenta, _ = map(list, zip(*members))
            torch._foreach_mul_(momenta, MUON_MOMENTUM)
            torch._foreach_add_(momenta, grads)
            ahead = torch.stack(grads).add_(torch.stack(momenta), alpha=MUON_MOMENTUM)  # [n, out, in]
            nudge = orthogonalise(ahead) * (muon_lr * max(1.0, shape[0] / shape[1]) ** 0.5)
            torch._foreach_mul_(params, 1 - muon_lr * WEIGHT_DECAY)
            torch._foreach_sub_(params, list(nudge.unbind()))
        params, grads, first, second = map(list, zip(*self.rest))
        torch._foreach_lerp_(first, grads, 1 - BETA_1)
        torch._foreach_mul_(second, BETA_2)
        torch._foreach_addcmul_(second, grads, grads, 1 - BETA_2)
        root = torch._foreach_sqrt(torch._foreach_div(second, 1 - BETA_2 ** step))
        torch._foreach_add_(root, 1e-10)
        torch._foreach_addcdiv_(params, first, root, -adam_lr / (1 - BETA_1 ** step))
