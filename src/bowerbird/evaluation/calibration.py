"""Whether probabilities come true: the data of a reliability plot, and calibration errors, over all candidates.

Almost all probabilities of a recommender are tiny, so bins of equal width or equal size would leave all that matters in the last
one. Here each bin holds an equal part of the expected positives: sum of p / num_bins.

    ECE            = sum over bins of n_b / n * |mean p - share of positives|       Naeini et al., AAAI 2015
    relative error = sum over bins of |expected - observed positives| / observed positives = ECE * n / observed

P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.errors import CapabilityError, DataError
from bowerbird.models.base import Model

BLOCK_PAIRS = 2**21
"""So many candidates are asked about at a time."""
MAX_PAIRS = 4_000_000
"""Of more users than have so many candidates, some are drawn evenly."""
FINE_BINS = 100


@dataclass(frozen=True, eq=False)
class Calibration:
    """How well probabilities agree with what came.

    Attributes
    ----------
    bins
        ``num_pairs, expected, observed, mean_probability, positive_rate`` of each bin, from low to high probabilities.
    """

    bins: pd.DataFrame
    num_pairs: int
    expected: float
    observed: int
    ece: float
    relative_error: float


def calibration(p: NDArray[np.float64], came_true: NDArray[np.bool_], *, num_bins: int = 10) -> Calibration:
    """Compare probabilities [P] with outcomes [P]. Pairs of one probability share a bin. Raises DataError.

    ``relative_error`` is NaN where nothing came true.
    """
    if len(p) != len(came_true) or len(p) == 0 or not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"{len(p)} probabilities for {len(came_true)} outcomes", next_step="give as many numbers from 0 to 1")
    order = np.argsort(p, kind="stable")
    before = np.cumsum(p[order]) - p[order]
    bins_P = np.minimum(before / max(p.sum(), np.finfo(float).tiny) * num_bins, num_bins - 1).astype(np.int64)
    is_first = np.diff(p[order], prepend=-1) > 0
    bins_P = bins_P[np.maximum.accumulate(np.where(is_first, np.arange(len(p)), 0))]  # as the first pair of its probability
    counts, expected, observed = (
        np.bincount(bins_P, weights, minlength=num_bins) for weights in (None, p[order], came_true[order].astype(float))
    )
    found = counts > 0
    return _summed(
        pd.DataFrame({"num_pairs": counts[found], "expected": expected[found], "observed": observed[found].astype(np.int64)})
    )


def pooled(tables: Sequence[pd.DataFrame], *, num_bins: int = 10) -> Calibration:
    """Put the fine bins of several windows together, and into fewer that hold equal parts of the expected positives."""
    fine = pd.concat(tables).sort_values("mean_probability", kind="stable", ignore_index=True)
    before = (fine["expected"].cumsum() - fine["expected"]) / max(fine["expected"].sum(), np.finfo(float).tiny)
    places = np.minimum((before * num_bins).astype(np.int64), num_bins - 1)
    return _summed(fine[["num_pairs", "expected", "observed"]].groupby(places).sum().reset_index(drop=True))


def _summed(bins: pd.DataFrame) -> Calibration:
    bins["mean_probability"] = bins["expected"] / bins["num_pairs"]
    bins["positive_rate"] = bins["observed"] / bins["num_pairs"]
    gap, num_pairs, observed = float((bins["expected"] - bins["observed"]).abs().sum()), *bins[["num_pairs", "observed"]].sum()
    relative_error = gap / observed if observed else float("nan")
    return Calibration(bins, int(num_pairs), float(bins["expected"].sum()), int(observed), gap / num_pairs, relative_error)


def against_all_candidates(
    model: Model,
    user_ids: Sequence[Any],
    positives: pd.DataFrame,
    *,
    num_bins: int = 10,  # Any: see Ids
) -> Calibration:
    """Ask for the probability of every item for each user, and compare with ``positives`` (``user_id, item_id``).

    Pairs that the model has no probability for, such as items it does not know, are left out, whatever came of them.
    """
    items = model.data.item_ids
    true_users = pd.Index(user_ids).get_indexer(pd.Index(positives[USER_ID]))
    true_items = model.data.item_index.get_indexer(pd.Index(positives[ITEM_ID]))
    came_true_UN = np.zeros((len(user_ids), len(items)), bool)
    is_known = (true_users >= 0) & (true_items >= 0)
    came_true_UN[true_users[is_known], true_items[is_known]] = True
    size = max(1, BLOCK_PAIRS // len(items))
    blocks = [np.asarray(user_ids, object)[start : start + size] for start in range(0, len(user_ids), size)]
    p = np.concatenate([_ask(model, block, items) for block in blocks])
    return calibration(p[~np.isnan(p)], came_true_UN.ravel()[~np.isnan(p)], num_bins=num_bins)


def fine_bins(model: Model, positives: pd.DataFrame, *, seed: int) -> pd.DataFrame | None:
    """Compare probabilities with what came of all items for the users that ``model`` knows, or an even draw of them.

    Returns the fine bins that ``pooled`` takes; None where the model has no probabilities.
    """
    users = model.data.user_ids
    num_users = max(1, MAX_PAIRS // model.data.num_items)
    if len(users) > num_users:
        users = users[np.sort(np.random.default_rng(seed).choice(len(users), num_users, replace=False))]
    try:
        return against_all_candidates(model, list(users), positives, num_bins=FINE_BINS).bins
    except CapabilityError:
        return None


def _ask(model: Model, user_ids: NDArray[Any], item_ids: NDArray[Any]) -> NDArray[np.float64]:  # Any: see Ids
    pairs = {USER_ID: np.repeat(user_ids, len(item_ids)), ITEM_ID: np.tile(item_ids, len(user_ids))}
    return model.predict_proba(pd.DataFrame(pairs))
