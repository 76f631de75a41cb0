"""Lets chance take some places of a list, and says how probable what is shown was.

Of K free places (pins are not free) and m candidates that come next, min(K, m) pairs of both are matched at random, each pair
with the same probability; a matched place then shows its candidate with probability e. So, for one user and place,

    p(the candidate that was due) = 1 - e * min(1, m / K)        p(one of those that come next) = e / max(m, K)

which sum to 1. Draws depend on seed, time and user alone, not on who else is asked for. U users, K places, M candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bowerbird.data.interactions import Ids
from bowerbird.models.random import TWO_TO_MINUS_53, hashes, mix

Columns = NDArray[np.int64]


def explore(
    chosen_UL: Columns, is_pinned_UL: NDArray[np.bool_], *, num_places: int, share: float, draws_UX: NDArray[np.float64]
) -> tuple[Columns, NDArray[np.float64]]:
    """Return the first ``num_places`` of each list, some of them drawn from the rest, and propensities; each [U, K].

    Parameters
    ----------
    chosen_UL
        Lists in order, -1 after their ends: K places, then the candidates that come next.
    draws_UX
        Uniform numbers below 1, X = L + K.
    """
    due_UK, next_UM = chosen_UL[:, :num_places], chosen_UL[:, num_places:]
    is_drawn_UL = _take_part(chosen_UL, is_pinned_UL, num_places)
    num_free_U1, num_next_U1 = _counts(is_drawn_UL, num_places)
    width = min(num_places, next_UM.shape[1])
    lots_UL = np.where(is_drawn_UL, draws_UX[:, : chosen_UL.shape[1]], 2.0)
    places_UX = np.argsort(lots_UL[:, :num_places], axis=1, kind="stable")[:, :width]
    candidates_UX = np.argsort(lots_UL[:, num_places:], axis=1, kind="stable")[:, :width]
    is_matched_UX = np.arange(width) < np.minimum(num_free_U1, num_next_U1)
    is_shown_UX = is_matched_UX & (draws_UX[:, chosen_UL.shape[1] :][:, :width] < share)
    rows, pairs = np.nonzero(is_shown_UX)
    places, candidates = places_UX[rows, pairs], candidates_UX[rows, pairs]
    chances_UL = probabilities(chosen_UL, is_pinned_UL, num_places=num_places, share=share)
    shown_UK, propensities_UK = due_UK.copy(), chances_UL[:, :num_places].copy()
    shown_UK[rows, places] = next_UM[rows, candidates]
    propensities_UK[rows, places] = chances_UL[rows, num_places + candidates]
    return shown_UK, propensities_UK


def probabilities(chosen_UL: Columns, is_pinned_UL: NDArray[np.bool_], *, num_places: int, share: float) -> NDArray[np.float64]:
    """Return how probable each item is: one that is due at its place, one that comes next at each free place; [U, L]."""
    is_drawn_UL = _take_part(chosen_UL, is_pinned_UL, num_places)
    num_free_U1, num_next_U1 = _counts(is_drawn_UL, num_places)
    due_UK = np.where(is_drawn_UL[:, :num_places], 1 - share * np.minimum(1, num_next_U1 / np.maximum(num_free_U1, 1)), 1.0)
    drawn_U1 = share / np.maximum(np.maximum(num_free_U1, num_next_U1), 1)
    return np.concatenate([due_UK, np.repeat(drawn_U1, chosen_UL.shape[1] - num_places, axis=1)], axis=1)


def _take_part(chosen_UL: Columns, is_pinned_UL: NDArray[np.bool_], num_places: int) -> NDArray[np.bool_]:
    """Tell which places are free, and which candidates come next."""
    is_drawn_UL = chosen_UL >= 0
    is_drawn_UL[:, :num_places] &= ~is_pinned_UL[:, :num_places]
    return is_drawn_UL


def _counts(is_drawn_UL: NDArray[np.bool_], num_places: int) -> tuple[Columns, Columns]:
    """Count free places and candidates; each [U, 1]."""
    free_UK, next_UM = is_drawn_UL[:, :num_places], is_drawn_UL[:, num_places:]
    return free_UK.sum(axis=1, keepdims=True), next_UM.sum(axis=1, keepdims=True)


def uniform_draws(user_ids: Ids, width: int, *, seed: int, at: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1), the same for the same seed, time and user; [U, width]."""
    moment = mix(np.asarray([at], np.int64).view(np.uint64) ^ mix(np.asarray([seed], np.uint64)))
    own_U = mix(hashes(user_ids) ^ moment)
    mixed: NDArray[np.uint64] = mix(own_U[:, None] + mix(np.arange(width, dtype=np.uint64)))
    return (mixed >> np.uint64(11)).astype(np.float64) * TWO_TO_MINUS_53
