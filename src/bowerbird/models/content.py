"""Content: what reads like what goes with a user's past, so that items nobody has touched yet are recommended too.

    score(u, i) = sum over items k of p[u, k] v[k] . v[i]  /  (r[i] + shrinkage * mean r)
    p[u, k]     = sum over past events e of u on j of w[e] g[j, k] / sum of w[e]
    g[j, k]     = sum over users who had both of 1 / (items that the user had)  /  sqrt(users of j * users of k)
    r[i]        = sum over items k with events of v[k] . v[i]
    w[e]        = weight(e) * 2^(-age(e) / half_life_days)

v[i] describes the item by its texts, categories and numbers, and has length 1 (see ``features``); g goes from an item to what the
same users had, itself included, of which the ``num_neighbors`` closest are kept. So a score is the mean of how well the items of
the catalogue go with the past, weighed by how alike item i reads to each (Nadaraya and Watson's estimate; new items take what
belongs to those like them: Gantner et al., "Learning attribute-to-feature mappings for cold-start recommendations", ICDM 2010),
and the shrinkage holds back items that resemble few. With ``num_neighbors = 0`` it is the mean cosine with the past itself,
without a divisor (Pazzani and Billsus, "Content-based recommendation systems", 2007). What each past item and each attribute add
is exact. Age is counted from the user's newest event; the time of the request would change nothing.

With ``encoder`` a sentence model reads title and description, and

    v[i] = (a[i], text_weight * s[i]), brought to length 1

where a[i] describes all but the texts and s[i] is the sentence vector, both of length 1. Items without any description, and
users with no described item, have nothing to say: popularity fills in. Labels do not enter.

B users of a block, N items, F features, D width, P pairs, J distinct past items of pairs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import coo_array, csr_array, diags_array, eye_array, hstack

from bowerbird.columns import ATTRIBUTE, DESCRIPTION, ITEM_ID, TITLE
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.models.alike import alike
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.features import FeatureWeights, feature_matrix, known_rows
from bowerbird.models.linear import AdditiveModel, Contributions, had_matrix, pack, state_matrix, unpack
from bowerbird.models.neighbours import Similarity, nearest_items
from bowerbird.models.topk import Scores
from bowerbird.text.encoders import build_encoder

BLOCK = 256  # its square: pairs that are compared together
PROFILES = 2**24
MAX_ITEMS_A_USER = 1000  # pairs of items grow with the square; of a longer history the latest say what goes with what

TEXT = "text"  # what the encoder read, as an attribute; and all attributes of a model that was saved without their names

logger = logging.getLogger(__name__)


class ContentConfig(FeatureWeights):
    """What an item is described by, how long a user's past counts, and how far it reaches."""

    category_weight: Annotated[float, Field(ge=0, le=1000)] | None = None
    """Of each column with categories; where absent, they are read as part of the texts."""
    encoder: str | None = None
    """What reads title and description, named as in the recipe's ``[text]`` (not ``auto``); tf-idf where absent."""
    half_life_days: Annotated[float, Field(ge=0.01, le=36_500)] | None = None
    """An event's weight is halved for each such time before the user's newest; no decay where absent."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count."""
    num_neighbors: Annotated[int, Field(ge=0, le=10_000)] = 1000
    """So many items that go with each item count beside it; with 0 the past alone is compared."""
    shrinkage: Annotated[float, Field(ge=0, le=1000)] = 0.3
    """The higher, the less items count that resemble few; as a share of what items resemble on average."""


class Content(AdditiveModel):
    """How well what reads like an item goes with what a user had."""

    name: ClassVar[str] = "content"
    Config: ClassVar[type[ModelConfig]] = ContentConfig
    config: ContentConfig

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is None:
            logger.warning("content was given no items: it has nothing to say, popular items stand in")
            items = pd.DataFrame({ITEM_ID: data.item_ids[:0]})
        known = known_rows(items, ITEM_ID, until=data.last_timestamp)
        if len(known):
            self._accept(data.with_items(known.index.to_numpy()))
        self._describe(known.reindex(self.data.item_ids))
        self._relate()

    def _describe(self, table: pd.DataFrame) -> None:
        """Make the vectors of all items: ``_sparse`` (N x F), F names and, of the encoder, ``_dense`` [N, D]."""
        config = self.config
        if config.encoder is None:
            (self._sparse, self._names), self._dense = feature_matrix(table, config), np.zeros((len(table), 0), np.float32)
            return
        attributes, self._names = feature_matrix(table.drop(columns=[TITLE, DESCRIPTION], errors="ignore"), config)
        sentences_ND = config.text_weight * encode(_texts(table), config.encoder)
        norms_N = np.sqrt(np.asarray(attributes.power(2).sum(axis=1)).ravel() + (sentences_ND**2).sum(axis=1))
        scale_N = 1 / np.where(norms_N > 0, norms_N, 1.0)
        self._sparse = (diags_array(scale_N) @ attributes).tocsr()
        self._dense = (scale_N[:, None] * sentences_ND).astype(np.float32)

    def _relate(self) -> None:
        """Find what goes with what, ``_related`` (N x N), and what each score is divided by, ``_divisors_N``."""
        num_items, config = self.data.num_items, self.config
        if config.num_neighbors == 0:
            self._related, self._divisors_N = _past_alone(num_items)
            return
        had = had_matrix(Histories.of_all(self.data).evidence().last(MAX_ITEMS_A_USER), num_items)
        root_N = np.sqrt(np.maximum(np.bincount(had.indices, minlength=num_items), 1))
        shares = (diags_array(1 / np.sqrt(np.maximum(np.diff(had.indptr), 1))) @ had).tocsr()
        own_N = np.bincount(shares.indices, shares.data**2, minlength=num_items) / root_N**2
        near = nearest_items(shares, Similarity(root_N, root_N), num_neighbors=config.num_neighbors)
        self._related = (near + diags_array(np.where(own_N > 0, own_N, 1.0))).tocsr()
        has_events = csr_array((own_N > 0).astype(np.float64)[None, :])
        resembled = self._cosines(has_events @ self._sparse, has_events @ self._dense.astype(np.float64))
        resembled_N = np.maximum(resembled.ravel(), 0.0)
        divisors_N = resembled_N + config.shrinkage * resembled_N[resembled_N > 0].sum() / max((resembled_N > 0).sum(), 1)
        self._divisors_N = np.where(divisors_N > 0, divisors_N, 1.0)

    def _state(self, histories: Histories) -> csr_array:
        """Return the part of each item in what is known of a user, B x N; rows sum to 1."""
        past = histories.evidence().last(self.config.max_history)
        values = past.weights
        if self.config.half_life_days is not None:
            values = values * np.exp2(-past.ages / (self.config.half_life_days * MICROSECONDS_A_DAY))
        sums = np.bincount(past.rows, values, minlength=len(past.users))
        return state_matrix(past, values / sums[past.rows], self.data.num_items)

    def _score(self, histories: Histories, at: int) -> Scores:
        related = self._state(histories) @ self._related
        if self.config.num_neighbors:
            sparse_BN = self._products_of_many(related)
            scores_BN = sparse_BN + (related @ self._dense.astype(np.float64)) @ self._dense.T.astype(np.float64)
        else:
            scores_BN = self._cosines(related @ self._sparse, related @ self._dense.astype(np.float64))
        return np.where(scores_BN > 0, scores_BN / self._divisors_N, -np.inf)

    def _products_of_many(self, related: csr_array) -> NDArray[np.float64]:
        """Multiply with the vectors of all items what goes with a past, thousands of items, by way of dense profiles; [B, N].

        Four times as fast as sparse products there; users go in groups, so that profiles take no more than ``PROFILES`` numbers.
        """
        terms, (num_users, num_items) = self._sparse.T, related.shape
        products_BN = np.empty((num_users, num_items))
        step = max(1, PROFILES // max(terms.shape[0], 1))
        for start in range(0, num_users, step):
            group = slice(start, start + step)
            profiles_FB = terms @ np.ascontiguousarray(related[group].toarray().T)
            products_BN[group] = (self._sparse @ profiles_FB).T
        return products_BN

    def _cosines(self, sparse: csr_array, dense_BD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply vectors with those of all items; [B, N]."""
        products_BN: NDArray[np.float64] = (sparse @ self._sparse.T).toarray() + dense_BD @ self._dense.T.astype(np.float64)
        return products_BN

    def _explainer(self) -> Contributions:
        return self._contributions

    def _contributions(self, histories: Histories, places: NDArray[np.int64], items: NDArray[np.int64]) -> csr_array:
        parts = self._state(histories)[places].tocoo()
        had_J, past_of = np.unique(parts.col, return_inverse=True)
        sparse_JF = (self._related[had_J] @ self._sparse).tocsr()
        dense_JD = self._related[had_J] @ self._dense.astype(np.float64)
        added = np.empty(len(parts.data))
        for start in range(0, len(added), BLOCK**2):
            block = slice(start, start + BLOCK**2)
            past, new = past_of[block], items[parts.row[block]]
            sparse = np.asarray(sparse_JF[past].multiply(self._sparse[new]).sum(axis=1)).ravel()
            dense = np.einsum("pd,pd->p", dense_JD[past], self._dense[new], dtype=np.float64)
            added[block] = (sparse + dense) / self._divisors_N[new]
        return coo_array((parts.data * added, (parts.row, parts.col)), shape=parts.shape).tocsr()

    def explain_attributes(self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None) -> pd.DataFrame:
        """Name the word, category or range of numbers that adds most to each pair: ``user_id, item_id, attribute, share``.

        An attribute counts by how much of it the item has, and what goes with the user's past. With an encoder, ``text`` is
        all of the texts.
        """
        names = np.asarray([*self._names, TEXT], object)
        return self._name_largest(pairs, history, self._attribute_contributions, names, ATTRIBUTE)

    def _attribute_contributions(self, histories: Histories, places: NDArray[np.int64], items: NDArray[np.int64]) -> csr_array:
        """Return what each attribute adds to pairs, and the sentence vectors as one column more; P x (F + 1)."""
        related = self._state(histories) @ self._related
        sparse = (related @ self._sparse)[places].multiply(self._sparse[items])
        profiles_BD = related @ self._dense.astype(np.float64)
        texts_P = np.einsum("pd,pd->p", profiles_BD[places], self._dense[items], dtype=np.float64)
        return hstack([sparse, csr_array(texts_P[:, None])], format="csr")

    def similar_items(self, item_ids: Iterable[Any], *, k: int = 10) -> pd.DataFrame:  # Any: see Ids
        """List the ``k`` items with the highest cosine to each: ``item_id, similar_item_id, score, rank``."""
        return alike(item_ids, self.data.item_index, self._similarity, k=k, column=ITEM_ID)

    def _similarity(self, codes: NDArray[np.int64]) -> Scores:
        return self._cosines(self._sparse[codes], self._dense[codes].astype(np.float64))

    def _arrays(self) -> Arrays:
        names = np.frombuffer(json.dumps(self._names).encode(), np.uint8)
        kept = pack(self._sparse, "sparse") | pack(self._related, "related")
        return kept | {"divisors": self._divisors_N, "dense": self._dense, "names": names}

    def _restore(self, arrays: Arrays) -> None:
        self._dense = arrays["dense"]
        self._sparse = unpack(arrays, "sparse")
        self._names = json.loads(arrays["names"].tobytes()) if "names" in arrays else [TEXT] * self._sparse.shape[1]
        if "divisors" in arrays:
            self._related, self._divisors_N = unpack(arrays, "related"), arrays["divisors"]
        else:  # a first version compared the past alone
            self._related, self._divisors_N = _past_alone(self.data.num_items)


def _past_alone(num_items: int) -> tuple[csr_array, NDArray[np.float64]]:
    """Return what goes with what, each item with itself only, and divisors that change nothing."""
    return eye_array(num_items, format="csr"), np.ones(num_items)


def encode(texts: list[str], encoder: str) -> NDArray[np.float64]:
    """Turn texts into sentence vectors of length 1, 0 for an empty text; [N, D]. Raises MissingExtraError, EncoderError."""
    distinct = sorted(set(texts) - {""})
    vectors_TD = build_encoder(encoder).encode([*distinct, "-"]).astype(np.float64)
    vectors_TD /= np.maximum(np.linalg.norm(vectors_TD, axis=1, keepdims=True), 1e-12)
    vectors_TD[-1] = 0.0  # stands for the empty text
    place = {text: row for row, text in enumerate(distinct)}
    chosen: NDArray[np.float64] = vectors_TD[[place.get(text, -1) for text in texts]]
    return chosen


def _texts(table: pd.DataFrame) -> list[str]:
    columns = [table[name].fillna("").astype(str).tolist() for name in (TITLE, DESCRIPTION) if name in table]
    return [". ".join(part.strip() for part in parts if part.strip()) for parts in zip(*columns, strict=True)]
