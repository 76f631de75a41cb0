"""Content: what reads like a user's past, so that items nobody has touched yet are recommended too.

    p[u]        = sum over past events e of u on j of w[e] v[j] / sum of w[e],   w[e] = weight(e) * 2^(-age(e) / half_life_days)
    score(u, i) = p[u] . v[i]

v[i] describes the item by its text, categories and numbers, and has length 1 (see ``features``): so the score is the mean
cosine with the past, and the parts of it that each past item and each attribute add are exact. Age is counted from the user's
newest event; the time of the request would change nothing. With ``encoder`` a sentence model reads title and description, and

    v[i] = (a[i], text_weight * s[i]), brought to length 1

where a[i] describes all but the texts and s[i] is the sentence vector, both of length 1. Items without any description, and
users with no described item, have nothing to say: popularity fills in. Labels do not enter.

Pazzani and Billsus, "Content-based recommendation systems", 2007. B users of a block, N items, F features, D width, P pairs.
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
from scipy.sparse import coo_array, csr_array, diags_array, hstack

from bowerbird.columns import ATTRIBUTE, DESCRIPTION, ITEM_ID, TITLE
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.models.alike import alike
from bowerbird.models.base import Arrays, Histories, ModelConfig
from bowerbird.models.features import FeatureWeights, feature_matrix, known_rows
from bowerbird.models.linear import AdditiveModel, Contributions, pack, state_matrix, unpack
from bowerbird.models.topk import Scores
from bowerbird.text.encoders import build_encoder

BLOCK = 256  # its square: pairs that are compared together

TEXT = "text"  # what the encoder read, as an attribute; and all attributes of a model that was saved without their names

logger = logging.getLogger(__name__)


class ContentConfig(FeatureWeights):
    """What an item is described by, and how long a user's past counts."""

    encoder: str | None = None
    """What reads title and description, named as in the recipe's ``[text]`` (not ``auto``); tf-idf where absent."""
    half_life_days: Annotated[float, Field(ge=0.01, le=36_500)] | None = 90
    """An event's weight is halved for each such time before the user's newest; no decay where absent."""
    max_history: Annotated[int, Field(ge=1)] = 1000
    """Only a user's latest so many events count."""


class Content(AdditiveModel):
    """The mean cosine with the descriptions of what a user had."""

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

    def _state(self, histories: Histories) -> csr_array:
        """Return the part of each item in what is known of a user, B x N; rows sum to 1."""
        past = histories.evidence().last(self.config.max_history)
        values = past.weights
        if self.config.half_life_days is not None:
            values = values * np.exp2(-past.ages / (self.config.half_life_days * MICROSECONDS_A_DAY))
        sums = np.bincount(past.rows, values, minlength=len(past.users))
        return state_matrix(past, values / sums[past.rows], self.data.num_items)

    def _score(self, histories: Histories, at: int) -> Scores:
        state = self._state(histories)
        scores_BN = self._cosines(state @ self._sparse, state @ self._dense.astype(np.float64))
        return np.where(scores_BN > 0, scores_BN, -np.inf)

    def _cosines(self, sparse: csr_array, dense_BD: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply vectors with those of all items; [B, N]."""
        products_BN: NDArray[np.float64] = (sparse @ self._sparse.T).toarray() + dense_BD @ self._dense.T.astype(np.float64)
        return products_BN

    def _explainer(self) -> Contributions:
        return self._contributions

    def _contributions(self, histories: Histories, places: NDArray[np.int64], items: NDArray[np.int64]) -> csr_array:
        parts = self._state(histories)[places].tocoo()
        cosines = np.empty(len(parts.data))
        for start in range(0, len(cosines), BLOCK**2):
            block = slice(start, start + BLOCK**2)
            past, new = parts.col[block], items[parts.row[block]]
            sparse = np.asarray(self._sparse[past].multiply(self._sparse[new]).sum(axis=1)).ravel()
            cosines[block] = sparse + np.einsum("pd,pd->p", self._dense[past], self._dense[new], dtype=np.float64)
        return coo_array((parts.data * cosines, (parts.row, parts.col)), shape=parts.shape).tocsr()

    def explain_attributes(self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None) -> pd.DataFrame:
        """Name the word, category or range of numbers that adds most to each pair: ``user_id, item_id, attribute, share``.

        An attribute counts by how much of it the user's past has, and the item. With an encoder, ``text`` is all of the texts.
        """
        names = np.asarray([*self._names, TEXT], object)
        return self._name_largest(pairs, history, self._attribute_contributions, names, ATTRIBUTE)

    def _attribute_contributions(self, histories: Histories, places: NDArray[np.int64], items: NDArray[np.int64]) -> csr_array:
        """Return what each attribute adds to pairs, and the sentence vectors as one column more; P x (F + 1)."""
        state = self._state(histories)
        sparse = (state @ self._sparse)[places].multiply(self._sparse[items])
        profiles_BD = state @ self._dense.astype(np.float64)
        texts_P = np.einsum("pd,pd->p", profiles_BD[places], self._dense[items], dtype=np.float64)
        return hstack([sparse, csr_array(texts_P[:, None])], format="csr")

    def similar_items(self, item_ids: Iterable[Any], *, k: int = 10) -> pd.DataFrame:  # Any: see Ids
        """List the ``k`` items with the highest cosine to each: ``item_id, similar_item_id, score, rank``."""
        return alike(item_ids, self.data.item_index, self._similarity, k=k, column=ITEM_ID)

    def _similarity(self, codes: NDArray[np.int64]) -> Scores:
        return self._cosines(self._sparse[codes], self._dense[codes].astype(np.float64))

    def _arrays(self) -> Arrays:
        names = np.frombuffer(json.dumps(self._names).encode(), np.uint8)
        return pack(self._sparse, "sparse") | {"dense": self._dense, "names": names}

    def _restore(self, arrays: Arrays) -> None:
        self._dense = arrays["dense"]
        self._sparse = unpack(arrays, "sparse")
        self._names = json.loads(arrays["names"].tobytes()) if "names" in arrays else [TEXT] * self._sparse.shape[1]


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
