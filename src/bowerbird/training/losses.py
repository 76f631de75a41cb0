"""Losses over a catalogue: cross-entropy in full or estimated from negatives that a batch shares, and binary cross-entropy.

Shapes: T targets, K negatives, N items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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


def binary_cross_entropy(target_T: Tensor, negative_TK: Tensor, is_target_TK: Tensor, *, beta: float = 1.0) -> Tensor:
    """Return ``-mean_T (beta log sigma(s_target) + sum_k [k is not the target] log(1 - sigma(s_k))) / (K + 1)``.

    With ``beta`` 1 it is BCE, with that of ``gbce_beta`` gBCE, which takes back how much too sure a network becomes when it
    sees few of the negatives (Petrov and Macdonald, RecSys 2023, equation 10).
    """
    positives_T = functional.softplus(-target_T) * beta
    negatives_T = functional.softplus(negative_TK).masked_fill(is_target_TK, 0).sum(dim=1)
    return ((positives_T + negatives_T) / (negative_TK.shape[1] + 1)).mean()


def gbce_beta(num_negatives: int, num_items: int, *, calibration: float) -> float:
    """Return ``alpha (t (1 - 1 / alpha) + 1 / alpha)`` with ``alpha = K / (N - 1)``; t = 0 is BCE, 1 calibrates in full.

    Source: Petrov and Macdonald, RecSys 2023, equation 19.
    """
    alpha = min(1.0, num_negatives / max(num_items - 1, 1))
    return alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)


@dataclass(frozen=True)
class ItemLoss:
    """One of the losses by its name; ``calibration`` is gBCE's t."""

    name: Literal["softmax", "gbce", "bce"] = "softmax"
    calibration: float = 0.75

    def of_all(self, scores_TN: Tensor, targets_T: Tensor) -> Tensor:
        """Return the loss where all items are scored; gBCE then is BCE."""
        if self.name == "softmax":
            return full_softmax(scores_TN, targets_T)
        is_target_TN = functional.one_hot(targets_T, scores_TN.shape[1]).bool()
        return binary_cross_entropy(scores_TN.gather(1, targets_T[:, None])[:, 0], scores_TN, is_target_TN)

    def of_drawn(
        self, target_T: Tensor, drawn_TK: Tensor, is_target_TK: Tensor, *, log_expected: float | Tensor, num_items: int
    ) -> Tensor:
        """Return the loss from each row's target and what was drawn; only softmax asks how often each draw is expected."""
        if self.name == "softmax":
            return sampled_softmax(target_T, drawn_TK, is_target_TK, log_expected=log_expected)
        beta = gbce_beta(drawn_TK.shape[1], num_items, calibration=self.calibration) if self.name == "gbce" else 1.0
        return binary_cross_entropy(target_T, drawn_TK, is_target_TK, beta=beta)
