"""Losses over a catalogue: full cross-entropy, and its estimate from negatives that all targets of a batch share.

Shapes: T targets, K negatives, N items.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e4
"""Stands for minus infinity; it is finite so that a row of nothing else still has a gradient (of 0)."""


def full_softmax(scores_TN: Tensor, targets_T: Tensor) -> Tensor:
    """Return the mean cross-entropy over all items: ``log(sum_i exp(s_i)) - s_target``."""
    return functional.cross_entropy(scores_TN, targets_T)


def sampled_softmax(target_T: Tensor, negative_TK: Tensor, is_target_TK: Tensor, *, log_expected: float | Tensor) -> Tensor:
    """Return the mean cross-entropy with the sum over the other items estimated from K draws.

    An item that is drawn ``K q`` times in the mean stands for ``1 / (K q)`` of itself, so ``sum_k [k is not the target]
    exp(s_k) / (K q_k)`` is an unbiased estimate of the sum over all items but the target. The log-q correction is therefore
    ``-log(K q_k)`` on the negatives and none on the target, which is there with probability 1 (Khrylchenko et al. 2025, after
    Bengio and Senécal 2008; Yi et al. 2019 for negatives from the batch). Draws that hit a row's own target do not count in
    that row. With every item drawn once it equals ``full_softmax``.

    Parameters
    ----------
    target_T, negative_TK
        Scores of each row's target, and of the draws.
    is_target_TK
        Where a draw is the row's target.
    log_expected
        ``log(K q)``: ``log(K / N)`` for uniform draws, else one for each draw, [K].
    """
    others_T = torch.logsumexp((negative_TK - log_expected).masked_fill(is_target_TK, NEVER), dim=1)
    return functional.softplus(others_T - target_T).mean()
