"""What lists are like beyond being right: how common, new, alike, dear and true to a user's tastes their items are.

Each figure is one value a user, NaN where his list has none, so that it gets an interval as accuracy does. Pairs of items and
mixes of categories are sums over a list's items, so a product of lists and items gives them for many users at a time.
Formulas, with rows worked by hand: docs/reference/metrics.md.

Shapes: U users, B users of a block, K places, N items, G categories or dimensions of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, issparse

from bowerbird.data.interactions import Interactions
from bowerbird.evaluation.matching import EMPTY, Matches, Table
from bowerbird.ranking.diversity import SMOOTHING

Values = NDArray[np.float64]
Vectors: TypeAlias = "csr_array | Values"
AGREEMENT = "rank_biased_overlap"
FIGURES = (
    "average_popularity",
    "novelty",
    "serendipity",
    "intra_list_diversity",
    "miscalibration",
    "age_days",
    "price_spread",
    AGREEMENT,
)
"""The figures by name, in the order in which they are shown."""
TINY = np.finfo(np.float64).tiny
CELLS = 1 << 20
"""Numbers held at a time for a block of users."""
NARROW = 64
"""So many categories are multiplied faster as a full matrix, zeros and all."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What is known of the items, in the order of the codes in a table; what is None or empty is not measured.

    Attributes
    ----------
    weights_N : float64 [N]
        Each item's events, or their weights.
    ages_N : float64 [N], optional
        Days since each item came; NaN where unknown.
    prices_N : float64 [N], optional
        NaN where unknown.
    categories_NG : sparse [N, G], optional
        1 where an item is of a category.
    vectors_ND : float64 [N, D], optional
        What makes items alike; without them, categories do. Rows of zeros stand for items of which nothing is known.
    """

    weights_N: Values
    ages_N: Values | None = None
    prices_N: Values | None = None
    categories_NG: csr_array | None = None
    vectors_ND: Values | None = None

    @cached_property
    def shares_NG(self) -> Vectors | None:
        """Each item's categories, summing to 1."""
        return None if self.categories_NG is None else _scaled(self.categories_NG, power=1)

    @cached_property
    def directions_NG(self) -> Vectors | None:
        """What makes items alike, at length 1."""
        alike = self.categories_NG if self.vectors_ND is None else self.vectors_ND
        return None if alike is None else _scaled(alike, power=2)

    @cached_property
    def numbers(self) -> dict[str, Values]:
        """What is averaged over a list's items; [N] each, NaN where unknown. In novelty no item is below the smallest count."""
        positive = self.weights_N[self.weights_N > 0]
        total, least = (positive.sum(), positive.min()) if len(positive) else (1.0, 1.0)
        shares_N = self.weights_N / total
        numbers = {"average_popularity": shares_N, "novelty": -np.log2(np.maximum(shares_N, least / total))}
        return numbers if self.ages_N is None else numbers | {"age_days": self.ages_N}


def list_figures(matches: Matches, catalogue: Catalogue, *, past_UN: csr_array | None = None) -> pd.DataFrame:
    """Measure each user's list, and what it hit of his targets.

    Parameters
    ----------
    matches : Matches
        Made with ``items``, whose first N codes are the catalogue's.
    catalogue : Catalogue
        What is not known there is left out.
    past_UN : sparse [U, N], optional
        See ``pasts``; without it ``miscalibration`` is left out.

    Returns
    -------
    DataFrame
        One row for each user with targets, index ``user_id``, columns named as in ``FIGURES``; NaN where a list has no item of
        which the thing is known.
    """
    widths = [vectors.shape[1] for vectors in (catalogue.directions_NG, catalogue.shares_NG) if vectors is not None]
    size = max(1, CELLS // max(matches.k, *widths, 1))
    blocks = []
    for start in range(0, max(len(matches.user_ids), 1), size):
        block = slice(start, start + size)
        blocks.append(_block(matches.table_UK[block], catalogue, None if past_UN is None else past_UN[block]))
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    found["serendipity"] = serendipity(matches, catalogue.weights_N)
    return pd.DataFrame({name: found[name] for name in FIGURES if name in found}, index=matches.user_ids)


def pasts(data: Interactions, user_ids: pd.Index[Any]) -> csr_array:  # Any: ids are texts or whole numbers
    """Return some users' events by weight of evidence, with no row's items in order, repeats apart; [U, N]."""
    one_more = np.append(data.indptr, data.indptr[-1])  # the last row is empty, and stands for those who have no past
    past_UN = csr_array((data.weights, data.items, one_more), shape=(data.num_users + 1, data.num_items))
    return past_UN[data.user_index.get_indexer(user_ids)]


def serendipity(matches: Matches, weights_N: Values) -> Values:
    """Hits that are none of the k most popular items, over k (Ge, Delgado-Battenfeld and Jannach, RecSys 2010); [U].

    What anybody would have listed is no surprise. Of equally popular items the one with the lower code is the more popular.
    """
    is_expected_N = np.zeros(len(matches.item_ids), bool)
    popular = np.argsort(-weights_N, kind="stable")[: matches.k]
    is_expected_N[popular[weights_N[popular] > 0]] = True
    return matches.sum_by_user((~is_expected_N[matches.hit_items]).astype(np.float64)) / matches.k


def _block(table_BK: Table, catalogue: Catalogue, past_BN: csr_array | None) -> dict[str, Values]:
    table_BK = np.where(table_BK < len(catalogue.weights_N), table_BK, EMPTY)
    found = {name: _means(_looked_up(table_BK, values_N)) for name, values_N in catalogue.numbers.items()}
    if catalogue.prices_N is not None:
        found["price_spread"] = price_spread(_looked_up(table_BK, catalogue.prices_N))
    lists_BN = _as_matrix(table_BK, len(catalogue.weights_N))
    if catalogue.directions_NG is not None:
        found["intra_list_diversity"] = intra_list_diversity(lists_BN, catalogue.directions_NG)
    if catalogue.shares_NG is not None and past_BN is not None:
        found["miscalibration"] = miscalibration(lists_BN, past_BN, catalogue.shares_NG)
    return found


def _looked_up(table_BK: Table, values_N: Values) -> Values:
    """Find the value of each item, NaN where there is none; [B, K]."""
    values: Values = np.append(values_N, np.nan)[table_BK]
    return values


def _means(values_BK: Values) -> Values:
    """Average what is known in each row; [B], NaN where nothing is."""
    is_known_BK = ~np.isnan(values_BK)
    return _over(np.where(is_known_BK, values_BK, 0).sum(axis=1), is_known_BK.sum(axis=1))


def _over(values: Values, counts: NDArray[np.integer | np.floating]) -> Values:
    """Divide; NaN where there is nothing to divide by."""
    quotients: Values = np.divide(values, counts, out=np.full(len(values), np.nan), where=counts > 0)
    return quotients


def price_spread(prices_BK: Values) -> Values:
    """Standard deviation of a list's prices over their mean; NaN below two known prices or for a mean of 0; [B]."""
    means_B = _means(prices_BK)
    deviations_B = np.sqrt(_means((prices_BK - means_B[:, None]) ** 2))
    has_two_B = (~np.isnan(prices_BK)).sum(axis=1) >= 2
    return _over(deviations_B, np.where(has_two_B, means_B, 0))


def intra_list_diversity(lists_BN: csr_array, directions_NG: Vectors) -> Values:
    """1 - mean cosine over the pairs of a list's items of which something is known; NaN below two of them; [B].

    The cosines of all pairs sum to (|sum of the directions|^2 - n) / 2, so no pair is ever looked at.
    """
    counts_B = lists_BN @ _has_any(directions_NG)
    sums_BG = _product(lists_BN, directions_NG)
    return 1 - _over(np.einsum("bg,bg->b", sums_BG, sums_BG) - counts_B, counts_B * (counts_B - 1))


def miscalibration(lists_BN: csr_array, past_BN: csr_array, shares_NG: Vectors) -> Values:
    """KL(p, (1 - a) q + a p), a = 0.01: p the mix of a user's past, q that of his list (Steck, RecSys 2018); [B].

    NaN for a user without past or a list without categories.
    """
    p_BG, q_BG = (_product(items_BN, shares_NG) for items_BN in (past_BN, lists_BN))
    totals_B, counts_B = p_BG.sum(axis=1), q_BG.sum(axis=1)
    p_BG, q_BG = p_BG / np.maximum(totals_B, TINY)[:, None], q_BG / np.maximum(counts_B, TINY)[:, None]
    mixed_BG = (1 - SMOOTHING) * q_BG + SMOOTHING * p_BG
    logs_BG = np.log(np.maximum(p_BG, TINY)) - np.log(np.maximum(mixed_BG, TINY))  # 0 times what it is where p is 0
    return np.where((counts_B > 0) & (totals_B > 0), np.einsum("bg,bg->b", p_BG, logs_BG), np.nan)


def _product(items_BN: csr_array, vectors_NG: Vectors) -> Values:
    """Sum the vectors of each row's items; [B, G]."""
    sums_BG = items_BN @ vectors_NG
    dense: Values = sums_BG.toarray() if issparse(sums_BG) else sums_BG
    return dense


def _as_matrix(table_BK: Table, num_items: int) -> csr_array:
    """Lay lists out as rows of ones; [B, N]."""
    is_item_BK = table_BK >= 0
    indptr = np.concatenate([[0], np.cumsum(is_item_BK.sum(axis=1))]).astype(np.int32)
    return csr_array((np.ones(indptr[-1]), table_BK[is_item_BK], indptr), shape=(len(table_BK), num_items))


def _has_any(vectors_NG: Vectors) -> Values:
    """1 where a row has anything but zeros; [N]."""
    return np.asarray(abs(vectors_NG).sum(axis=1) > 0, np.float64)


def _scaled(vectors_NG: Vectors, *, power: int) -> Vectors:
    """Bring rows to a sum (``power`` 1) or a length (2) of 1; rows of zeros stay."""
    norms_N = np.asarray((abs(vectors_NG) ** power).sum(axis=1)) ** (1 / power)
    factors_N = np.divide(1, norms_N, out=np.zeros(len(norms_N)), where=norms_N > 0)
    if not issparse(vectors_NG):
        return vectors_NG * factors_N[:, None]
    scaled_NG = csr_array(diags_array(factors_N) @ vectors_NG)
    return scaled_NG.toarray() if scaled_NG.shape[1] <= NARROW else scaled_NG
