"""Turns a table that describes items or users into vectors: texts by tf-idf, categories one-hot, numbers in bins.

    x[i, t] = (1 + log(occurrences of t in i)) * log((1 + N) / (1 + rows that have t))

for each token, category or bin t; N rows. What all rows have therefore counts nothing. Each column's part of a row is
brought to length 1 and times the weight of its kind, and then the row to length 1; a row that says nothing stays 0.

- ``title``, ``description`` and ``profile`` are texts, cut by ``tokenize``.
- Lists (such as ``categories``, ``tags``) are sets of categories; other texts are cut at ``|`` and ``;`` into such, and truth
  values are categories.
- Numbers fall into bins that hold equally many rows. Missing values have no bin, and times of all sorts are left out,
  as is ``text_vector``: whoever reads vectors takes them as they are.

Without ``category_weight`` texts and categories are one text: their parts are brought to length 1 together, pairs of neighbouring
words are terms as well, and what a term weighs for being rare is taken to the power of 1.5. Chosen for how well it finds those
who want a new item on six earlier windows of Amazon Beauty (benchmarks/cold_items.py). Towers keep their columns apart: they
would have a weight to learn for each pair of words, and were not tried so.

Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array, csr_array, diags_array, hstack

from bowerbird.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, CREATED_AT, DESCRIPTION, PROFILE, TEXT_VECTOR, TITLE
from bowerbird.data.interactions import to_microseconds
from bowerbird.data.tokens import tokenize
from bowerbird.models.base import ModelConfig

TEXTS = (TITLE, DESCRIPTION, PROFILE)
LEFT_OUT = (CREATED_AT, AVAILABLE_FROM, AVAILABLE_UNTIL, TEXT_VECTOR)
CATEGORY_BORDER = re.compile(r"[|;]")
RARITY = 1.5  # the power that a term's rarity is taken to in one text


class FeatureWeights(ModelConfig):
    """What each kind of column weighs."""

    text_weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Of a title, and of a description."""
    category_weight: Annotated[float, Field(ge=0, le=1000)] | None = 0.3
    """Of each column with categories; where absent, they are read as part of the texts."""
    number_weight: Annotated[float, Field(ge=0, le=1000)] = 0.1
    """Of each column with numbers."""
    num_bins: Annotated[int, Field(ge=2, le=1000)] = 10
    """Bins for a column of numbers."""


def feature_matrix(table: pd.DataFrame, weights: FeatureWeights, *, texts: Iterable[str] = TEXTS) -> tuple[csr_array, list[str]]:
    """Describe each row of ``table``, all columns of which are features, by a vector of length 1 or 0; N x F, and F names."""
    one_text, apart = [(csr_array((len(table), 0)), list[str]())], [(csr_array((len(table), 0)), list[str]())]
    for name in table.columns:
        column = table[name]
        if name in LEFT_OUT or pd.api.types.is_datetime64_any_dtype(column) or column.isna().all():
            continue
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            bags, labels = _bins(column, weights.num_bins)
            matrix, terms = _tf_idf(bags)
            apart.append((weights.number_weight * unit_rows(matrix), [f"{name}: {labels[int(term)]}" for term in terms]))
            continue
        bags = [tokenize(str(text)) for text in column.fillna("")] if name in texts else [_categories(value) for value in column]
        if weights.category_weight is None:
            bags = [bag + [" ".join(pair) for pair in pairwise(bag)] for bag in bags] if name in texts else bags
            matrix, terms = _tf_idf(bags, rarity=RARITY)
            one_text.append((matrix, [f"{name}: {term}" for term in terms]))
        else:
            matrix, terms = _tf_idf(bags)
            weight = weights.text_weight if name in texts else weights.category_weight
            apart.append((weight * unit_rows(matrix), [f"{name}: {term}" for term in terms]))
    together = weights.text_weight * unit_rows(hstack([matrix for matrix, _ in one_text], format="csr"))
    names = [name for _, part in one_text + apart for name in part]
    return unit_rows(hstack([together, *(matrix for matrix, _ in apart)], format="csr")), names


def unit_rows(matrix: csr_array) -> csr_array:
    """Bring each row to length 1, but for rows of zeros."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scaled: csr_array = (diags_array(1 / np.where(norms > 0, norms, 1.0)) @ matrix).tocsr()
    scaled.sort_indices()
    return scaled


def _tf_idf(bags: list[list[str]], *, rarity: float = 1.0) -> tuple[csr_array, list[str]]:
    """Weigh the terms of each row as the module's formula says, but for its length; columns by term in order, and the terms."""
    rows = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
    codes, terms = pd.factorize(np.asarray([term for bag in bags for term in bag], object), sort=True)
    counts = coo_array((np.ones(len(rows)), (rows, codes)), shape=(len(bags), len(terms))).tocsr()
    idf = np.log((1 + len(bags)) / (1 + np.bincount(counts.indices, minlength=len(terms))))
    counts.data = (1 + np.log(counts.data)) * idf[counts.indices] ** rarity
    counts.eliminate_zeros()
    return counts, list(terms)


def _bins(column: pd.Series[Any], num_bins: int) -> tuple[list[list[str]], list[str]]:  # Any: numbers
    """Cut numbers at the quantiles; equal numbers share a bin. Return each row's bin, and what the bins are called."""
    values: NDArray[np.float64] = column.to_numpy(np.float64, na_value=np.nan)
    is_there = np.isfinite(values)
    borders = np.unique(np.quantile(values[is_there], np.arange(1, num_bins) / num_bins)) if is_there.any() else values[:0]
    places = np.searchsorted(borders, values, side="right")
    bags = [[str(place)] if there else [] for place, there in zip(places, is_there, strict=True)]
    between = [f"{low:g} to {high:g}" for low, high in pairwise(borders)]
    return bags, [f"below {borders[0]:g}", *between, f"{borders[-1]:g} and above"] if len(borders) else []


def _categories(value: Any) -> list[str]:  # Any: a list, a text, or missing
    """Return the distinct categories of a cell; a missing one has none."""
    if isinstance(value, str):
        found = CATEGORY_BORDER.split(value)
    elif isinstance(value, list | tuple | set | np.ndarray):
        found = [str(part) for part in value if part is not None]
    else:
        found = [] if pd.isna(value) else [str(value)]
    return sorted({name.strip() for name in found} - {""})


def known_rows(table: pd.DataFrame, id_column: str, *, until: int) -> pd.DataFrame:
    """Index a table by its ids: of repeated ids the last row, and nothing created after ``until`` (microseconds)."""
    if CREATED_AT in table:
        is_dated = table[CREATED_AT].notna()
        is_later = np.zeros(len(table), bool)
        is_later[is_dated] = to_microseconds(table[CREATED_AT][is_dated]) > until
        table = table[~is_later]
    return table[table[id_column].notna()].drop_duplicates(id_column, keep="last").set_index(id_column)
