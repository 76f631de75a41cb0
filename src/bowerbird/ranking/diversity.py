"""What an item costs because of the items that a list holds already: quotas, maximal marginal relevance, calibration.

A list is made place by place; each place goes to the candidate with the greatest relevance less costs:

    relevance(i) - sum of costs(i | list)

    quota          infinite, once ``most`` items of the list have one of i's values
    diversity      s / (1 - s) * max over j in the list of cosine(i, j), at least 0
                   (Carbonell and Goldstein 1998: lambda * rel - (1 - lambda) * max sim, with lambda = 1 - s, over lambda)
    calibration    s / (1 - s) * KL(p, (1 - a) * q + a * p), a = 0.01
                   (Steck 2018: (1 - s) * relevance - s * KL, over 1 - s); p how frequent values are in the user's past by
                   weight of evidence, q how frequent in the list with i; an item with n values has 1/n of each

Shapes: U users, C candidates, N items, W values of an item (padded with -1), D width of vectors, G values of a column.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bowerbird.data.interactions import Interactions
from bowerbird.models.histories import Histories

Codes = NDArray[np.int64]
Values = NDArray[np.int32]
Costs = NDArray[np.float64]
SMOOTHING = 0.01
PROJECTED = 128


class Cost(Protocol):
    """What the candidates of some users cost, which changes with each item that joins their lists."""

    def add(self, codes_U: Codes) -> None:
        """Let an item join each user's list; -1 for none."""

    def costs(self) -> Costs:
        """Return what each candidate costs now; [U, C]."""


def shared(values_UCW: Values, picked_UW: Values) -> NDArray[np.bool_]:
    """Tell which values of the candidates an item of the same user has; bool [U, C, W]."""
    is_shared_UCW = np.zeros(values_UCW.shape, bool)
    for slot in range(picked_UW.shape[1]):
        is_shared_UCW |= values_UCW == picked_UW[:, slot, None, None]
    return is_shared_UCW & (values_UCW >= 0)


def _picked(values_NW: Values, codes_U: Codes) -> Values:
    picked: Values = np.where(codes_U[:, None] >= 0, values_NW[codes_U], -1)
    return picked


class QuotaCost:
    """At most ``most`` items of a list with the same value."""

    def __init__(self, codes_UC: Codes, values_NW: Values, most: int) -> None:
        self.values_NW, self.most = values_NW, most
        self._values_UCW = values_NW[codes_UC]
        self._used_UCW = np.zeros(self._values_UCW.shape, np.int16)

    def add(self, codes_U: Codes) -> None:
        self._used_UCW += shared(self._values_UCW, _picked(self.values_NW, codes_U))

    def costs(self) -> Costs:
        return np.where((self._used_UCW >= self.most).any(axis=2), np.inf, 0.0)


class ValueDiversity:
    """Alike are items that share values: the cosine of two sets, |a and b| / sqrt(|a| |b|)."""

    def __init__(self, codes_UC: Codes, values_NW: Values, strength: float) -> None:
        self.values_NW, self.weight = values_NW, strength / (1 - strength)
        self._values_UCW = values_NW[codes_UC]
        self._sizes_N = (values_NW >= 0).sum(axis=1)
        self._sizes_UC = self._sizes_N[codes_UC]
        self._most_alike_UC = np.zeros(codes_UC.shape)

    def add(self, codes_U: Codes) -> None:
        num_shared_UC = shared(self._values_UCW, _picked(self.values_NW, codes_U)).sum(axis=2)
        sizes_UC = np.maximum(self._sizes_UC * self._sizes_N[codes_U][:, None], 1)
        self._most_alike_UC = np.maximum(self._most_alike_UC, num_shared_UC / np.sqrt(sizes_UC))

    def costs(self) -> Costs:
        return self.weight * self._most_alike_UC


class VectorDiversity:
    """Alike are items whose vectors (of length 1 or 0) point the same way."""

    def __init__(self, codes_UC: Codes, vectors_ND: NDArray[np.float32], strength: float) -> None:
        self.vectors_ND, self.weight = vectors_ND, strength / (1 - strength)
        self._vectors_UCD = vectors_ND[codes_UC]
        self._most_alike_UC = np.zeros(codes_UC.shape)

    def add(self, codes_U: Codes) -> None:
        picked_UD = np.where(codes_U[:, None] >= 0, self.vectors_ND[codes_U], 0)
        alike_UC = np.einsum("ucd,ud->uc", self._vectors_UCD, picked_UD)
        self._most_alike_UC = np.maximum(self._most_alike_UC, alike_UC)

    def costs(self) -> Costs:
        return self.weight * self._most_alike_UC


def unit_vectors(vectors_ND: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring vectors to length 1; vectors of zeros stay."""
    norms_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return (vectors_ND / np.where(norms_N1 > 0, norms_N1, 1)).astype(np.float32)


def projected_users(data: Interactions, seed: int) -> NDArray[np.float32]:
    """Describe each item by who touched it, for models without vectors: item by user, projected at random; [N, 128].

    Cosines keep within about 0.09 of those of the full rows (Johnson and Lindenstrauss 1984).
    """
    ones = np.ones(len(data), np.float32)
    touched_NU = csr_array((ones, (data.items, data.users)), shape=(data.num_items, data.num_users))
    touched_NU.sum_duplicates()
    touched_NU.data[:] = 1
    signs_UD = np.random.default_rng(seed).choice(np.asarray([-1, 1], np.float32), (data.num_users, PROJECTED))
    projected: NDArray[np.float32] = touched_NU @ signs_UD
    return projected


class Calibration:
    """Values as frequent in the list as in the user's past."""

    def __init__(self, codes_UC: Codes, values_NW: Values, past_UG: Costs, strength: float) -> None:
        self.values_NW, self.weight, self.past_UG = values_NW, strength / (1 - strength), past_UG
        self._sizes_N = (values_NW >= 0).sum(axis=1)
        self._codes_UC = codes_UC
        self._counts_UG = np.zeros(past_UG.shape)
        self._num_listed_U = np.zeros(len(past_UG))

    def add(self, codes_U: Codes) -> None:
        picked_UW = _picked(self.values_NW, codes_U)
        rows, slots = np.nonzero(picked_UW >= 0)
        np.add.at(self._counts_UG, (rows, picked_UW[rows, slots]), 1 / self._sizes_N[codes_U[rows]])
        self._num_listed_U += (picked_UW >= 0).any(axis=1)

    def costs(self) -> Costs:
        with_one_more_U = self._divergence(self._num_listed_U + 1)
        as_it_is_U = self._divergence(np.maximum(self._num_listed_U, 1))
        costs_UC = np.empty(self._codes_UC.shape)
        for candidate, codes_U in enumerate(self._codes_UC.T):
            gained_U = self._gained(codes_U)
            costs_UC[:, candidate] = np.where(self._sizes_N[codes_U] > 0, with_one_more_U - gained_U, as_it_is_U)
        return self.weight * costs_UC

    def _divergence(self, num_listed_U: Costs) -> Costs:
        """Return KL(p, q) of the list's values spread over so many items; [U]."""
        p_UG = self.past_UG
        q_UG = (1 - SMOOTHING) * self._counts_UG / num_listed_U[:, None] + SMOOTHING * p_UG
        is_past = p_UG > 0
        ratios_UG = np.divide(p_UG, q_UG, out=np.ones_like(p_UG), where=is_past)
        divergence: Costs = (p_UG * np.log(ratios_UG)).sum(axis=1)
        return divergence

    def _gained(self, codes_U: Codes) -> Costs:
        """Return by how much a candidate's own values lower the divergence; [U]."""
        gained_U = np.zeros(len(codes_U))
        rows = np.arange(len(codes_U))
        for values_U in self.values_NW[codes_U].T:
            p_U = np.where(values_U >= 0, self.past_UG[rows, values_U], 0)
            before_U = (1 - SMOOTHING) * self._counts_UG[rows, values_U] / (self._num_listed_U + 1) + SMOOTHING * p_U
            added_U = (1 - SMOOTHING) / (np.maximum(self._sizes_N[codes_U], 1) * (self._num_listed_U + 1))
            ratios_U = np.divide(before_U + added_U, before_U, out=np.ones_like(p_U), where=p_U > 0)
            gained_U += p_U * np.log(ratios_U)
        return gained_U


def past_values(histories: Histories, values_NW: Values) -> Costs:
    """Return how frequent each value is in each user's past, by weight of evidence; rows sum to 1, without any to 0; [U, G]."""
    past_UG = np.zeros((len(histories.users), int(values_NW.max(initial=0)) + 1))
    evidence = histories.evidence()
    values_EW = values_NW[evidence.items]
    sizes_E = (values_EW >= 0).sum(axis=1)
    events, slots = np.nonzero(values_EW >= 0)
    np.add.at(past_UG, (evidence.rows[events], values_EW[events, slots]), (evidence.weights / np.maximum(sizes_E, 1))[events])
    totals_U1 = past_UG.sum(axis=1, keepdims=True)
    frequent: Costs = past_UG / np.where(totals_U1 > 0, totals_U1, 1)
    return frequent
