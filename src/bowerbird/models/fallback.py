"""Popularity, and how it fills the places of a list that a model leaves open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.models.topk import Scores

TIE_BREAK = 1e-6


def recent_popularity(
    data: Interactions, *, days: float | None = 7, min_events: int = 1000, half_life_days: float | None = None
) -> NDArray[np.float64]:
    """Sum the weights of each item over the last ``days`` (None: all time); float64 [N].

    The window is widened until it holds ``min_events`` events with a weight above 0. With ``half_life_days`` an event's
    weight is halved for each such time between it and the newest event. All-time weights, scaled below a millionth of the
    smallest sum, break ties.
    """
    evidence = data.evidence()
    all_time = evidence.item_weights()
    if len(evidence) == 0 or all_time.max() == 0:
        return all_time
    weights = recent_weights(evidence, days=days, min_events=min_events, half_life_days=half_life_days)
    recent = np.bincount(evidence.items, weights, minlength=data.num_items)
    smallest = recent[recent > 0].min(initial=1.0)
    popularity: NDArray[np.float64] = recent + all_time * (TIE_BREAK * smallest / all_time.max())
    return popularity


def recent_weights(
    evidence: Interactions, *, days: float | None, min_events: int, half_life_days: float | None
) -> NDArray[np.float64]:
    """Return what each event counts, 0 before the window; arguments as of ``recent_popularity``, and one event at least."""
    weights = np.where(evidence.timestamps >= _window_start(evidence, days, min_events), evidence.weights, 0.0)
    if half_life_days is not None:
        weights *= np.exp2((evidence.timestamps - evidence.last_timestamp) / (half_life_days * MICROSECONDS_A_DAY))
    return weights


def _window_start(evidence: Interactions, days: float | None, min_events: int) -> int:
    if days is None:
        return int(evidence.timestamps.min())
    place = len(evidence) - min(min_events, len(evidence))
    widened = np.partition(evidence.timestamps, place)[place]
    return min(int(widened), evidence.last_timestamp - int(days * MICROSECONDS_A_DAY))


def fill(
    codes_BK: NDArray[np.int64],
    values_BK: Scores,
    popularity_N: NDArray[np.float64],
    order_P: NDArray[np.int64],
    taken: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.bool_]:
    """Put popular items where a list has places left (code -1), in place; tell which places were filled, bool [B, K].

    Parameters
    ----------
    order_P
        The items that are allowed, most popular first.
    taken
        Rows and items that must not be chosen; what a list holds already is not chosen either.
    """
    is_filled_BK = np.zeros(codes_BK.shape, bool)
    missing_B = (codes_BK < 0).sum(axis=1)
    short_S = np.flatnonzero(missing_B)
    if len(short_S) == 0:
        return is_filled_BK
    is_taken_SN = np.zeros((len(short_S), len(popularity_N)), bool)
    place_B = np.full(len(codes_BK), -1)
    place_B[short_S] = np.arange(len(short_S))
    rows, items = taken
    of_short = place_B[rows] >= 0
    is_taken_SN[place_B[rows[of_short]], items[of_short]] = True
    listed = codes_BK[short_S] >= 0
    is_taken_SN[np.nonzero(listed)[0], codes_BK[short_S][listed]] = True
    enough_P = order_P[: codes_BK.shape[1] + int(is_taken_SN.sum(axis=1).max())]
    is_free_SP = ~is_taken_SN[:, enough_P]
    ordinal_SP = np.cumsum(is_free_SP, axis=1)
    found, places = np.nonzero(is_free_SP & (ordinal_SP <= missing_B[short_S][:, None]))
    rows = short_S[found]
    slots = codes_BK.shape[1] - missing_B[rows] + ordinal_SP[found, places] - 1
    codes_BK[rows, slots] = enough_P[places]
    values_BK[rows, slots] = popularity_N[enough_P[places]]
    is_filled_BK[rows, slots] = True
    return is_filled_BK
