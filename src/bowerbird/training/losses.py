"""Losses over a catalogue: full cross-entropy, and its estimate from negatives that all targets of a batch share.

Shapes: T targets, D width, K negatives, N items.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e4
"""Stands for minus infinity; it is finite so that a row of nothing else still has a gradient (of 0)."""


def full_softmax(hidden_TD: Tensor, targets_T: Tensor, items_ND: Tensor) -> Tensor:
    """Return the mean cross-entropy over all items: ``log(sum_i exp(s_i)) - s_target``."""
    return functional.cross_entropy(hidden_TD @ items_ND.T, targets_T)


def sampled_softmax(
    hidden_TD: Tensor,
    targets_T: Tensor,
    target_items_TD: Tensor,
    negatives_K: Tensor,
    negative_items_KD: Tensor,
    *,
    num_items: int,
) -> Tensor:
    """Return the mean cross-entropy with the sum over the other items estimated from K uniform draws.

    A draw has probability 1/N, so ``N/K * sum_k [k is not the target] exp(s_k)`` is an unbiased estimate of the sum over
    all items but the target. The log-q correction is therefore ``-log(K/N)`` on the negatives and none on the target, which
    is there with probability 1 (Khrylchenko et al. 2025, after Bengio and Senécal 2008). Draws that hit a row's own target
    do not count in that row. With every item drawn once it equals ``full_softmax``.
    """
    positive_T = (hidden_TD * target_items_TD).sum(-1)
    negative_TK = (hidden_TD @ negative_items_KD.T).masked_fill(targets_T[:, None] == negatives_K, NEVER)
    others_T = torch.logsumexp(negative_TK, dim=1) + math.log(num_items / len(negatives_K))
    return functional.softplus(others_T - positive_T).mean()
