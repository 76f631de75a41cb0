"""Losses over a catalogue: cross-entropy in full or estimated from negatives that a batch shares, and binary cross-entropy.

Shapes: T targets, K negatives, N items, D width, H rows with a hit, R rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional

NEVER = -1e4
"""Stands for minus infinity; it is finite so that a row of nothing else still has a gradient (of 0)."""
NUMBERS_AT_ONCE = 2**18
"""How many scores ``full_softmax`` holds at once: what stays in the cache costs no second way to memory."""
Hits = tuple[Tensor, Tensor]


def hits(targets_T: Tensor, drawn_K: Tensor) -> Hits:
    """Return rows and columns where the draw is the row's target; few are, so only their rows are looked at."""
    rows_H = torch.isin(targets_T, drawn_K).nonzero()[:, 0]
    rows, columns = (targets_T[rows_H][:, None] == drawn_K).nonzero().unbind(1)
    return rows_H[rows], columns


def full_softmax(states_TD: Tensor, vectors_ND: Tensor, biases_N: Tensor, targets_T: Tensor) -> Tensor:
    """Return the mean cross-entropy over all items, ``log(sum_i exp(s_i)) - s_target`` with ``s_i = h . e_i + b_i``.

    A few rows at a time are scored, and their gradient is taken at once: no [T, N] is ever held, nor read again from memory.
    A target whose share is below the smallest number counts as that, 87 in single precision; its gradient is exact.
    """
    loss: Tensor = _FullSoftmax.apply(states_TD, vectors_ND, biases_N, targets_T)  # type: ignore[no-untyped-call]  # torch's
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(context: FunctionCtx, states_TD: Tensor, vectors_ND: Tensor, biases_N: Tensor, targets_T: Tensor) -> Tensor:
        gradients = torch.empty_like(states_TD), torch.zeros_like(vectors_ND), torch.zeros_like(biases_N)
        size = max(1, min(NUMBERS_AT_ONCE // len(vectors_ND), len(targets_T)))
        room_RN, ones_R = states_TD.new_empty(size, len(vectors_ND)), states_TD.new_ones(size)
        found_T1 = states_TD.new_empty(len(targets_T), 1)  # the softmax of the targets
        for start in range(0, len(targets_T), size):
            block = slice(start, min(start + size, len(targets_T)))
            targets_R1, shares_RN = targets_T[block, None], room_RN[: block.stop - start]
            torch.addmm(biases_N, states_TD[block], vectors_ND.T, out=shares_RN)
            torch.softmax(shares_RN, dim=1, out=shares_RN)
            torch.gather(shares_RN, 1, targets_R1, out=found_T1[block])
            shares_RN.scatter_(1, targets_R1, found_T1[block] - 1)  # the gradient of the sum of the losses
            torch.mm(shares_RN, vectors_ND, out=gradients[0][block])
            gradients[1].addmm_(shares_RN.T, states_TD[block])
            gradients[2].addmv_(shares_RN.T, ones_R[: len(shares_RN)])
        context.save_for_backward(*(gradient.div_(len(targets_T)) for gradient in gradients))
        return -found_T1.clamp_(min=torch.finfo(found_T1.dtype).tiny).log_().mean()

    @staticmethod
    def backward(context: Any, outer: Tensor) -> tuple[Tensor | None, ...]:  # Any: torch types no saved tensors
        return *(gradient * outer for gradient in context.saved_tensors), None


def sampled_softmax(target_T: Tensor, negative_TK: Tensor, is_target: Hits, *, log_expected: float | Tensor) -> Tensor:
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
    is_target
        Rows and columns where a draw is the row's target.
    log_expected
        ``log(K q)``: ``log(K / N)`` for uniform draws, else one for each draw, [K].
    """
    corrected_TK = negative_TK.detach() - log_expected
    corrected_TK[is_target] = NEVER
    others_T: Tensor = _LogSum.apply(negative_TK, corrected_TK)  # type: ignore[no-untyped-call]  # torch's
    return functional.softplus(others_T - target_T).mean()


class _LogSum(torch.autograd.Function):
    """``logsumexp`` of what is made of the scores by additions; the softmax, which is the gradient, is there at once."""

    @staticmethod
    def forward(context: FunctionCtx, scores_TK: Tensor, corrected_TK: Tensor) -> Tensor:
        largest_T = corrected_TK.amax(dim=1)
        shares_TK = torch.softmax(corrected_TK, dim=1, out=corrected_TK)  # large blocks of new memory cost more than the sums
        context.save_for_backward(shares_TK)
        return largest_T - shares_TK.amax(dim=1).log()  # the largest share is exp(largest score - logsumexp)

    @staticmethod
    def backward(context: Any, outer_T: Tensor) -> tuple[Tensor | None, ...]:  # Any: torch types no saved tensors
        (shares_TK,) = context.saved_tensors
        return shares_TK.mul_(outer_T[:, None]), None


def binary_cross_entropy(target_T: Tensor, negative_TK: Tensor, is_target: Hits, *, beta: float = 1.0) -> Tensor:
    """Return ``-mean_T (beta log sigma(s_target) + sum_k [k is not the target] log(1 - sigma(s_k))) / (K + 1)``.

    With ``beta`` 1 it is BCE, with that of ``gbce_beta`` gBCE, which takes back how much too sure a network becomes when it
    sees few of the negatives (Petrov and Macdonald, RecSys 2023, equation 10).
    """
    positives_T = functional.softplus(-target_T) * beta
    negatives_T = functional.softplus(negative_TK).index_put(is_target, negative_TK.new_zeros(())).sum(dim=1)
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

    def of_all(self, states_TD: Tensor, vectors_ND: Tensor, biases_N: Tensor, targets_T: Tensor) -> Tensor:
        """Return the loss where all items are scored; gBCE then is BCE."""
        if self.name == "softmax":
            return full_softmax(states_TD, vectors_ND, biases_N, targets_T)
        scores_TN = torch.addmm(biases_N, states_TD, vectors_ND.T)
        targets = torch.arange(len(targets_T), device=targets_T.device), targets_T
        return binary_cross_entropy(scores_TN[targets], scores_TN, targets)

    def of_drawn(
        self, target_T: Tensor, drawn_TK: Tensor, is_target: Hits, *, log_expected: float | Tensor, num_items: int
    ) -> Tensor:
        """Return the loss from each row's target and what was drawn; only softmax asks how often each draw is expected."""
        if self.name == "softmax":
            return sampled_softmax(target_T, drawn_TK, is_target, log_expected=log_expected)
        beta = gbce_beta(drawn_TK.shape[1], num_items, calibration=self.calibration) if self.name == "gbce" else 1.0
        return binary_cross_entropy(target_T, drawn_TK, is_target, beta=beta)
