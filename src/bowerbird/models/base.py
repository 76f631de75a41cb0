"""What every model is: a config, ``fit``, and a score for each item; the rest of the protocol is written here once.

Shapes: B users of a block, N items, E events of the block's histories, K places of a list.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bowerbird.columns import ITEM_ID, RANK, SCORE, SOURCE, TIMESTAMP, USER_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Ids, Interactions, to_microseconds
from bowerbird.errors import CapabilityError, DataError, HomeError
from bowerbird.models.topk import Scores, top_k

FALLBACK = "fallback"
BLOCK = 256
FORMAT = 1
Arrays = dict[str, NDArray[Any]]  # Any: whatever a model keeps

logger = logging.getLogger(__name__)


class ModelConfig(BaseModel):
    """Settings of a model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Curve(BaseModel):
    """One point of a training curve."""

    epoch: int = Field(ge=0)
    loss: float
    validation: float | None = None
    """The validation metric, where it was measured in this epoch."""


@dataclass(frozen=True, eq=False)
class Histories:
    """The histories of a block of B users; E events, ordered by user and time.

    ``users`` holds training codes, -1 for a user the model was not fitted on. ``indptr`` [B + 1] tells where each user's
    events begin. ``items`` are training codes.
    """

    users: NDArray[np.int32]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    timestamps: NDArray[np.int64]
    weights: NDArray[np.float64]
    events: NDArray[np.int16]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The place in the block of each event's user; int64 [E]."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.indptr))

    def select(self, mask: NDArray[np.bool_]) -> Histories:
        """Keep the events for which ``mask`` (bool [E]) holds."""
        kept = np.concatenate([[0], np.cumsum(mask)])[self.indptr]
        return Histories(self.users, kept, self.items[mask], self.timestamps[mask], self.weights[mask], self.events[mask])

    def evidence(self) -> Histories:
        """Keep the events with a weight above 0."""
        return self.select(self.weights > 0)


class Model(ABC):
    """A recommender. A subclass gives ``name``, ``Config``, ``_fit``, ``_score``, and what it keeps in ``_arrays``."""

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]] = ModelConfig

    def __init__(self, config: ModelConfig, *, seed: int = 1) -> None:
        self.config = config
        self.seed = seed
        self.curve: list[Curve] = []
        self.num_skipped = 0
        """Events of the last ``history`` that named items unknown to the model."""
        self._data: Interactions | None = None
        self._popularity = np.zeros(0)

    # ---- what a subclass writes

    @abstractmethod
    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        """Learn from ``data``, which has at least one event."""

    @abstractmethod
    def _score(self, histories: Histories, at: int) -> Scores:
        """Score all items for a block of users at the time ``at`` (microseconds); [B, N].

        -inf says that the model has nothing to say about an item: places left over go to popular items.
        """

    @abstractmethod
    def _arrays(self) -> Arrays:
        """Return what ``fit`` learned, for ``save``."""

    @abstractmethod
    def _restore(self, arrays: Arrays) -> None:
        """Take back what ``_arrays`` returned."""

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the config with what ``fit`` chose (such as the number of epochs) written in."""
        return self.config.model_dump(mode="json")

    # ---- the protocol

    @property
    def data(self) -> Interactions:
        """The events the model was fitted on. Raises CapabilityError before ``fit``."""
        if self._data is None:
            raise CapabilityError(f"the model {self.name!r} is not fitted", next_step="call fit(data) first")
        return self._data

    def fit(self, data: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Learn from interactions; ``items`` and ``users`` describe them (``item_id``/``user_id`` and further columns).

        Returns the model itself. Raises DataError where there is no event.
        """
        if len(data) == 0:
            raise DataError(f"no events to fit {self.name!r} on", next_step="check the source and the cut-off")
        self._data = data
        self._popularity = recent_popularity(data)
        self._fit(data, items, users)
        return self

    def recommend(
        self,
        user_ids: Iterable[Any],  # Any: see Ids
        *,
        k: int = 10,
        exclude_seen: bool | Sequence[str] = True,
        history: Interactions | pd.DataFrame | None = None,
        candidates: Iterable[Any] | None = None,  # Any: see Ids
        at: pd.Timestamp | int | None = None,
    ) -> pd.DataFrame:
        """List the best ``k`` items of each user.

        Parameters
        ----------
        user_ids
            Whom to recommend for; a repeated id is answered once.
        k
            Places of a list; where fewer items are allowed, lists are shorter.
        exclude_seen
            True leaves out what is in the user's history, a list of event types only what has one of those events.
        history
            Stands in for the whole history of its users, and defines what they have seen. Items unknown to the model
            are skipped and counted in ``num_skipped``.
        candidates
            The only items that may be recommended.
        at
            The time of the request (a number is microseconds since 1970); just after the newest training event if absent.

        Returns
        -------
        DataFrame
            ``user_id, item_id, score, rank, source``: ranks from 1; ``source`` is the model's name, or ``fallback`` where
            popularity fills in. Scores compare within one user and source.
        """
        _check_k(k)
        ids = pd.Index(pd.unique(np.asarray(list(user_ids), dtype=object)))
        moment = self._moment(at)
        allowed_N = self._allowed(candidates)
        parts = [
            self._lists(ids[block], k, exclude_seen, histories, allowed_N, moment)
            for block, histories in self._blocks(ids, history)
        ]
        return pd.concat(parts, ignore_index=True) if parts else _as_frame(ids, *_nothing(), self.data.item_ids)

    def score(
        self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None, at: pd.Timestamp | int | None = None
    ) -> NDArray[np.float64]:
        """Score pairs ``user_id, item_id``; float64, one a row, NaN where the model has nothing to say."""
        for column in (USER_ID, ITEM_ID):
            if column not in pairs:
                raise DataError(f"pairs have no column {column!r}", next_step="give user_id and item_id")
        places, distinct = pd.factorize(pairs[USER_ID])
        items = self.data.item_index.get_indexer(pd.Index(pairs[ITEM_ID]))
        scores = np.full(len(pairs), np.nan)
        for block, histories in self._blocks(pd.Index(distinct), history):
            rows = np.flatnonzero((places >= block.start) & (places < block.stop) & (items >= 0))
            scores[rows] = self._score(histories, self._moment(at))[places[rows] - block.start, items[rows]]
        return np.where(np.isfinite(scores), scores, np.nan)

    def predict_proba(self, pairs: pd.DataFrame) -> NDArray[np.float64]:
        """Return p(target event) of pairs. Raises CapabilityError where the model has no calibrated probability."""
        raise CapabilityError(f"the model {self.name!r} gives scores, not probabilities", next_step="use score(pairs)")

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Learn from further events as a full fit would. Raises CapabilityError where there is no way but ``fit``."""
        raise CapabilityError(f"the model {self.name!r} cannot be updated", next_step="fit it on all events")

    def explain(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Name the past item that contributes most to each pair: ``user_id, item_id, because, share``.

        Raises CapabilityError where the model has no exact contributions.
        """
        raise CapabilityError(f"the model {self.name!r} has no exact contributions", next_step="show the source instead")

    def save(self, folder: Path) -> None:
        """Write the model to a folder that must not exist yet: safetensors and JSON, the folder renamed into place last."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        if folder.exists():
            raise HomeError(f"the folder {str(folder)!r} exists already", next_step="save to a new folder")
        data = self.data
        kept = {
            "users": data.users,
            "items": data.items,
            "timestamps": data.timestamps,
            "weights": data.weights,
            "events": data.events,
            "popularity": self._popularity,
        }
        about = {
            "format": FORMAT,
            "name": self.name,
            "seed": self.seed,
            "config": self.config.model_dump(mode="json"),
            "event_types": list(data.event_types),
            "user_ids": data.user_ids.tolist(),
            "item_ids": data.item_ids.tolist(),
            "curve": [point.model_dump() for point in self.curve],
            "frozen": self.frozen_config(),
        }
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        arrays = {f"model.{key}": value for key, value in self._arrays().items()} | {f"data.{k}": v for k, v in kept.items()}
        save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, unfinished / "arrays.safetensors")
        (unfinished / "model.json").write_text(json.dumps(about), encoding="utf-8")
        unfinished.rename(folder)

    def restore(self, folder: Path, about: dict[str, Any]) -> None:  # Any: JSON
        """Take back what ``save`` wrote; ``load_model`` calls it."""
        from safetensors.numpy import load_file

        arrays = load_file(folder / "arrays.safetensors")
        kept = {key.removeprefix("data."): value for key, value in arrays.items() if key.startswith("data.")}
        self._popularity = kept.pop("popularity")
        self._data = Interactions(
            _ids(about["user_ids"]), _ids(about["item_ids"]), event_types=tuple(about["event_types"]), **kept
        )
        self.curve = [Curve.model_validate(point) for point in about["curve"]]
        self._restore({key.removeprefix("model."): value for key, value in arrays.items() if key.startswith("model.")})

    # ---- how it works

    def _blocks(
        self,
        ids: pd.Index[Any],  # Any: see Ids
        history: Interactions | pd.DataFrame | None,
    ) -> Iterator[tuple[slice, Histories]]:
        """Cut the users into blocks and find the history of each."""
        own = self.data
        codes = own.user_index.get_indexer(ids).astype(np.int32)
        other = self._translate(history) if history is not None else None
        for start in range(0, len(ids), BLOCK):
            block = slice(start, min(start + BLOCK, len(ids)))
            yield block, _gather(own, codes[block], other, ids[block])

    def _translate(self, history: Interactions | pd.DataFrame) -> Interactions:
        """Give a caller's history the model's item codes and event types; unknown items are dropped and counted."""
        if isinstance(history, pd.DataFrame):
            timed = history if TIMESTAMP in history else history.assign(**{TIMESTAMP: range(len(history))})
            history = Interactions.from_frame(timed)
        items = self.data.item_index.get_indexer(pd.Index(history.item_ids))[history.items].astype(np.int32)
        types = tuple(self.data.event_types) + tuple(t for t in history.event_types if t not in self.data.event_types)
        events = np.asarray([types.index(name) for name in history.event_types], np.int16)[history.events]
        known = items >= 0
        self.num_skipped = int((~known).sum())
        if self.num_skipped:
            logger.info("%d events of the history name items unknown to %s: skipped", self.num_skipped, self.name)
        return Interactions(
            history.user_ids,
            self.data.item_ids,
            history.users[known],
            items[known],
            history.timestamps[known],
            history.weights[known],
            types,
            events[known],
        )

    def _lists(
        self,
        ids: pd.Index[Any],
        k: int,
        exclude_seen: bool | Sequence[str],
        histories: Histories,  # Any: see Ids
        allowed_N: NDArray[np.bool_],
        at: int,
    ) -> pd.DataFrame:
        scores_BN = np.array(self._score(histories, at))
        scores_BN[np.isnan(scores_BN)] = -np.inf
        scores_BN[np.diff(histories.indptr) == 0] = -np.inf
        scores_BN[:, ~allowed_N] = -np.inf
        seen = self._seen(histories, exclude_seen)
        rows, items = histories.rows[seen], histories.items[seen]
        scores_BN[rows, items] = -np.inf
        codes_BK, values_BK = top_k(scores_BN, k)
        sources_BK = np.full(codes_BK.shape, self.name, object)
        short = np.flatnonzero((codes_BK < 0).any(axis=1))
        if len(short):
            popular_SN = np.where(allowed_N, self._popularity, -np.inf)[None, :].repeat(len(short), axis=0)
            place = np.full(len(ids), -1)
            place[short] = np.arange(len(short))
            of_short = place[rows] >= 0
            popular_SN[place[rows[of_short]], items[of_short]] = -np.inf
            _fill(codes_BK, values_BK, sources_BK, short, popular_SN)
        return _as_frame(ids, codes_BK, values_BK, sources_BK, self.data.item_ids)

    def _seen(self, histories: Histories, exclude_seen: bool | Sequence[str]) -> NDArray[np.bool_]:
        if isinstance(exclude_seen, bool):
            return np.full(len(histories.items), exclude_seen)
        wanted = [place for place, name in enumerate(self.data.event_types) if name in set(exclude_seen)]
        return np.isin(histories.events, wanted)

    def _allowed(self, candidates: Iterable[Any] | None) -> NDArray[np.bool_]:  # Any: see Ids
        if candidates is None:
            return np.ones(self.data.num_items, bool)
        codes = self.data.item_index.get_indexer(pd.Index(np.asarray(list(candidates), dtype=object)))
        allowed_N = np.zeros(self.data.num_items, bool)
        allowed_N[codes[codes >= 0]] = True
        return allowed_N

    def _moment(self, at: pd.Timestamp | int | None) -> int:
        if at is None:
            return self.data.last_timestamp + 1
        return int(at) if isinstance(at, int | np.integer) else int(to_microseconds(pd.Series([at]))[0])


def recent_popularity(data: Interactions, *, days: float = 7, min_events: int = 1000) -> NDArray[np.float64]:
    """Sum the weights of each item over the last ``days``, widened until there are ``min_events``; float64 [N].

    All-time weights, scaled below 1e-6 of the smallest recent one, break ties, so no item is without an order.
    """
    evidence = data.evidence()
    all_time = evidence.item_weights()
    if len(evidence) == 0:
        return all_time
    newest_first = np.sort(evidence.timestamps)[::-1]
    widened = newest_first[min(min_events, len(newest_first)) - 1]
    since = min(int(widened), evidence.last_timestamp - int(days * MICROSECONDS_A_DAY))
    popularity: NDArray[np.float64] = evidence.item_weights(since=since) + all_time / (all_time.max() + 1) * 1e-6
    return popularity


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise DataError(f"k is {k!r}", next_step="ask for a whole number of items, at least 1")


def _gather(
    own: Interactions,
    codes: NDArray[np.int32],
    other: Interactions | None,
    ids: pd.Index[Any],  # Any: see Ids
) -> Histories:
    """Collect the histories of one block, each from the caller's events where it has the user, else from the model's."""
    replaced = other.user_index.get_indexer(ids) if other is not None else np.full(len(ids), -1)
    pieces: list[tuple[Interactions, slice]] = []
    for code, stand_in in zip(codes, replaced, strict=True):
        if other is not None and stand_in >= 0:
            pieces.append((other, slice(other.indptr[stand_in], other.indptr[stand_in + 1])))
        elif code >= 0:
            pieces.append((own, slice(own.indptr[code], own.indptr[code + 1])))
        else:
            pieces.append((own, slice(0, 0)))
    indptr = np.concatenate([[0], np.cumsum([piece.stop - piece.start for _, piece in pieces])]).astype(np.int64)
    return Histories(
        codes,
        indptr,
        np.concatenate([data.items[piece] for data, piece in pieces]),
        np.concatenate([data.timestamps[piece] for data, piece in pieces]),
        np.concatenate([data.weights[piece] for data, piece in pieces]),
        np.concatenate([data.events[piece] for data, piece in pieces]),
    )


def _fill(
    codes_BK: NDArray[np.int64], values_BK: Scores, sources_BK: NDArray[np.object_], short: NDArray[np.int64], popular_SN: Scores
) -> None:
    """Put popular items that are not in the list yet where a list has places left, in place."""
    width = codes_BK.shape[1]
    for row, popular_N in zip(short, popular_SN, strict=True):
        taken = codes_BK[row] >= 0
        popular_N[codes_BK[row, taken]] = -np.inf
        codes, values = top_k(popular_N[None, :], width - int(taken.sum()))
        codes_BK[row, ~taken], values_BK[row, ~taken], sources_BK[row, ~taken] = codes[0], values[0], FALLBACK


def _ids(values: list[Any]) -> Ids:  # Any: see Ids
    return np.asarray(values) if values and isinstance(values[0], int) else np.asarray(values, object)


def _nothing() -> tuple[NDArray[np.int64], Scores, NDArray[np.object_]]:
    return np.zeros((0, 0), np.int64), np.zeros((0, 0)), np.zeros((0, 0), object)


def _as_frame(
    ids: pd.Index[Any],
    codes_BK: NDArray[np.int64],
    values_BK: Scores,
    sources_BK: NDArray[np.object_],  # Any: see Ids
    item_ids: Ids,
) -> pd.DataFrame:
    rows, places = np.nonzero(codes_BK >= 0)
    items = np.asarray(item_ids)[codes_BK[rows, places]] if len(rows) else np.zeros(0, object)
    return pd.DataFrame(
        {
            USER_ID: ids.to_numpy()[rows],
            ITEM_ID: items,
            SCORE: values_BK[rows, places].astype(np.float64),
            RANK: (places + 1).astype(np.int32),
            SOURCE: sources_BK[rows, places],
        }
    )
