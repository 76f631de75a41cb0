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
    is_free_UK = (due_UK >= 0) & ~is_pinned_UL[:, :num_places]
    is_next_UM = next_UM >= 0
    num_free_U1, num_next_U1 = is_free_UK.sum(axis=1, keepdims=True), is_next_UM.sum(axis=1, keepdims=True)
    width = min(num_places, next_UM.shape[1])
    lots_UL = np.where(np.concatenate([is_free_UK, is_next_UM], axis=1), draws_UX[:, : chosen_UL.shape[1]], 2.0)
    places_UX = np.argsort(lots_UL[:, :num_places], axis=1, kind="stable")[:, :width]
    candidates_UX = np.argsort(lots_UL[:, num_places:], axis=1, kind="stable")[:, :width]
    is_matched_UX = np.arange(width) < np.minimum(num_free_U1, num_next_U1)
    is_shown_UX = is_matched_UX & (draws_UX[:, chosen_UL.shape[1] :][:, :width] < share)
    rows, pairs = np.nonzero(is_shown_UX)
    shown_UK = due_UK.copy()
    shown_UK[rows, places_UX[rows, pairs]] = next_UM[rows, candidates_UX[rows, pairs]]
    propensities_UK = np.where(is_free_UK, 1 - share * np.minimum(1, num_next_U1 / np.maximum(num_free_U1, 1)), 1.0)
    drawn_U1 = share / np.maximum(np.maximum(num_free_U1, num_next_U1), 1)
    return shown_UK, np.where(shown_UK != due_UK, drawn_U1, propensities_UK)


def uniform_draws(user_ids: Ids, width: int, *, seed: int, at: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1), the same for the same seed, time and user; [U, width]."""
    moment = mix(np.asarray([at], np.int64).view(np.uint64) ^ mix(np.asarray([seed], np.uint64)))
    own_U = mix(hashes(user_ids) ^ moment)
    mixed: NDArray[np.uint64] = mix(own_U[:, None] + mix(np.arange(width, dtype=np.uint64)))
    return (mixed >> np.uint64(11)).astype(np.float64) * TWO_TO_MINUS_53
