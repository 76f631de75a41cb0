"""Losses over a catalogue: full cross-entropy, and its estimate from negatives that all targets of a batch share.

Shapes: T targets, K negatives, N items.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e4
"""Stands for minus infinity; it is finite so that a row of nothing else still has a gradient (of 0)."""


def full_softmax(scores_TN: Tensor, targets_T: Tensor) -> Tensor:
    """Return the mean cross-entropy over all items: ``log(sum_i exp(s_i)) - s_target``."""
    return functional.cross_entropy(scores_TN, targets_T)


def sampled_softmax(target_T: Tensor, negative_TK: Tensor, is_target_TK: Tensor, *, num_items: int) -> Tensor:
    """Return the mean cross-entropy with the sum over the other items estimated from K uniform draws.

    A draw has probability 1/N, so ``N/K * sum_k [k is not the target] exp(s_k)`` is an unbiased estimate of the sum over
    all items but the target. The log-q correction is therefore ``-log(K/N)`` on the negatives and none on the target, which
    is there with probability 1 (Khrylchenko et al. 2025, after Bengio and Senécal 2008). Draws that hit a row's own target
    do not count in that row. With every item drawn once it equals ``full_softmax``.

    Parameters
    ----------
    target_T, negative_TK
        Scores of each row's target, and of the draws.
    is_target_TK
        Where a draw is the row's target.
    """
    negative_TK = negative_TK.masked_fill(is_target_TK, NEVER)
    others_T = torch.logsumexp(negative_TK, dim=1) + math.log(num_items / negative_TK.shape[1])
    return functional.softplus(others_T - target_T).mean()
