"""What every model is: a config, ``fit``, and a score for each item; the rest of the protocol is written here once.

Shapes: B users of a block, N items, E events of the block's histories, K places of a list.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bowerbird.columns import ITEM_ID, RANK, SCORE, SOURCE, USER_ID
from bowerbird.data.interactions import Ids, Interactions, to_microseconds
from bowerbird.errors import CapabilityError, DataError, HomeError
from bowerbird.models.barrier import Barrier
from bowerbird.models.fallback import fill, recent_popularity
from bowerbird.models.histories import Histories, HistoryReader
from bowerbird.models.topk import Scores, top_k

__all__ = ["FALLBACK", "Arrays", "Curve", "Histories", "Model", "ModelConfig", "Scores", "recent_popularity"]

FALLBACK = "fallback"
BLOCK = 256

FORMAT = 1
Arrays = dict[str, NDArray[Any]]  # Any: whatever a model keeps
Lists = tuple[NDArray[np.int64], Scores, NDArray[np.bool_]]  # item codes, scores, filled by popularity; each [B, K]

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


class Model(ABC):
    """A recommender. A subclass gives ``name``, ``Config``, ``_fit``, ``_score``, and what it keeps in ``_arrays``."""

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]] = ModelConfig
    block_scores: ClassVar[int] = 2**21
    """A block of users has at most so many scores, but for a single user: they stay near the cache, and memory is bounded."""
    is_personal: ClassVar[bool] = True
    """Whether lists depend on what a user has done; else the same for everybody, or for everybody of a segment, is no fault."""
    foretells_targets: ClassVar[bool] = False
    """Whether labels of the events tell which of them count as success, where a run knows that."""

    def __init__(self, config: ModelConfig, *, seed: int = 1) -> None:
        self.config = config
        self.seed = seed
        self.curve: list[Curve] = []
        self.on_validation: Callable[[int, float], None] | None = None
        """Is told epoch and value of each validation inside ``fit``; what it raises ends the fit."""
        self.checkpoints: Path | None = None
        """A folder in which the trainings inside ``fit`` are kept while they go on, in models that can: the sequence models,
        ``two_tower``, ``neural_cf``, and those inside others."""
        self.num_skipped = 0
        """Events of the last ``history`` that named items unknown to the model."""
        self._data: Interactions | None = None
        self._popularity = np.zeros(0)
        self._order = np.zeros(0, np.int64)
        self._parts: list[Model] = []
        """Fitted models inside this one; ``save`` gives each a folder of its own."""

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

    def item_vectors(self) -> NDArray[np.float32] | None:
        """Return a vector for each item by which items compare, [N, D]; None in a model that has none."""
        return None

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
        self._accept(data)
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
        ids = _distinct(user_ids)
        moment = self._moment(at)
        allowed_N = None if candidates is None else self._allowed(candidates)
        reader = self._reader(history)
        parts = [
            self._lists(histories, reader.excluded(histories, exclude_seen), k, allowed_N, moment)
            for _, histories in self._blocks(ids, reader)
        ]
        return self._as_frame(ids, parts)

    def score(
        self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None, at: pd.Timestamp | int | None = None
    ) -> NDArray[np.float64]:
        """Score pairs ``user_id, item_id``; float64, one a row, NaN where the model has nothing to say."""
        scores = np.full(len(pairs), np.nan)
        moment = self._moment(at)
        for rows, places, items, histories in self._pair_blocks(pairs, history):
            scores[rows] = self._score(histories, moment)[places, items]
        return np.where(np.isfinite(scores), scores, np.nan)

    def predict_proba(self, pairs: pd.DataFrame) -> NDArray[np.float64]:
        """Return p(target event) of pairs. Raises CapabilityError where the model has no calibrated probability."""
        raise CapabilityError(f"the model {self.name!r} gives scores, not probabilities", next_step="use score(pairs)")

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Learn from further events as a full fit would. Raises CapabilityError where there is no way but ``fit``."""
        raise CapabilityError(f"the model {self.name!r} cannot be updated", next_step="fit it on all events")

    def explain(self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None) -> pd.DataFrame:
        """Name the past item that contributes most to each pair: ``user_id, item_id, because, share``.

        Raises CapabilityError where the model has no exact contributions.
        """
        raise CapabilityError(f"the model {self.name!r} has no exact contributions", next_step="show the source instead")

    def explain_attributes(self, pairs: pd.DataFrame, *, history: Interactions | pd.DataFrame | None = None) -> pd.DataFrame:
        """Name the attribute, such as a category, that contributes most to each pair: ``user_id, item_id, attribute, share``.

        Raises CapabilityError where the model knows no attributes, or not what each adds.
        """
        raise CapabilityError(f"the model {self.name!r} has no contributions of attributes", next_step="use explain(pairs)")

    def similar_items(self, item_ids: Iterable[Any], *, k: int = 10) -> pd.DataFrame:  # Any: see Ids
        """List the ``k`` items most like each: ``item_id, similar_item_id, score, rank``. Unknown items are left out.

        Raises CapabilityError where the model compares no items.
        """
        raise CapabilityError(f"the model {self.name!r} compares no items", next_step="fit one that does, such as item_knn")

    def similar_users(self, user_ids: Iterable[Any], *, k: int = 10) -> pd.DataFrame:  # Any: see Ids
        """List the ``k`` users most like each: ``user_id, similar_user_id, score, rank``. Unknown users are left out.

        Raises CapabilityError where the model compares no users.
        """
        raise CapabilityError(f"the model {self.name!r} compares no users", next_step="fit one that does, such as user_knn")

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
            **({} if data.sessions is None else {"sessions": data.sessions}),
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
        for place, part in enumerate(self._parts):
            part.save(unfinished / f"part-{place:02d}")
        unfinished.rename(folder)

    def restore(self, folder: Path, about: dict[str, Any]) -> None:  # Any: JSON
        """Take back what ``save`` wrote; ``load_model`` calls it."""
        from safetensors.numpy import load_file

        from bowerbird.models import load_model

        arrays = load_file(folder / "arrays.safetensors")
        kept = unprefixed(arrays, "data.")
        self._popularity = kept.pop("popularity")
        self._data = Interactions(
            _ids(about["user_ids"]), _ids(about["item_ids"]), event_types=tuple(about["event_types"]), **kept
        )
        self.curve = [Curve.model_validate(point) for point in about["curve"]]
        self._parts = [load_model(part) for part in sorted(folder.glob("part-*"))]
        self._restore(unprefixed(arrays, "model."))

    # ---- how it works

    def _accept(self, data: Interactions) -> None:
        """Take ``data`` as the events that the model was fitted on, and count what is popular."""
        if len(data) == 0:
            raise DataError(f"no events to fit {self.name!r} on", next_step="check the source and the cut-off")
        self._data = data
        self._popularity, self._order = recent_popularity(data), np.zeros(0, np.int64)

    def _reader(self, history: Interactions | pd.DataFrame | None) -> HistoryReader:
        reader = HistoryReader(self.data, history)
        self.num_skipped = reader.num_skipped
        if reader.num_skipped:
            logger.info("%d events of the history name items unknown to %s: skipped", reader.num_skipped, self.name)
        return reader

    def _block_size(self) -> int:
        """Return how many users are listed at a time."""
        return max(1, min(BLOCK, self.block_scores // self.data.num_items))

    def _blocks(self, ids: pd.Index[Any], reader: HistoryReader) -> Iterator[tuple[slice, Histories]]:  # Any: see Ids
        """Cut the users into blocks and find the history of each."""
        size = self._block_size()
        for start in range(0, len(ids), size):
            block = slice(start, min(start + size, len(ids)))
            yield block, reader.read(ids[block])

    def _pair_blocks(
        self, pairs: pd.DataFrame, history: Interactions | pd.DataFrame | None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Histories]]:
        """Cut pairs ``user_id, item_id`` into blocks of users; pairs with an unknown item are left out.

        Gives the rows of ``pairs``, the place of their users in the block, their item codes, and the histories.
        """
        for column in (USER_ID, ITEM_ID):
            if column not in pairs:
                raise DataError(f"pairs have no column {column!r}", next_step="give user_id and item_id")
        users, distinct = pd.factorize(pairs[USER_ID])
        items = self.data.item_index.get_indexer(pd.Index(pairs[ITEM_ID]))
        order = np.argsort(users, kind="stable")
        for block, histories in self._blocks(pd.Index(distinct), self._reader(history)):
            rows = order[slice(*np.searchsorted(users[order], [block.start, block.stop]))]
            rows = rows[items[rows] >= 0]
            yield rows, users[rows] - block.start, items[rows], histories

    def _lists(
        self, histories: Histories, excluded: NDArray[np.bool_], k: int, allowed_N: NDArray[np.bool_] | None, at: int
    ) -> Lists:
        bar = Barrier.of(histories, excluded, allowed_N)
        codes_BK, values_BK = self._best(histories, at, k, bar)
        popular = self._popular_order if allowed_N is None else self._popular_order[allowed_N[self._popular_order]]
        return codes_BK, values_BK, fill(codes_BK, values_BK, self._popularity, popular, (bar.rows, bar.items))

    def _best(self, histories: Histories, at: int, k: int, bar: Barrier) -> tuple[NDArray[np.int64], Scores]:
        """Choose the best ``k`` items of each user as ``top_k`` does; ``bar`` sets what must not be listed to -inf, in place.

        A subclass may find the same items in a faster way.
        """
        scores_BN = np.require(self._score(histories, at), requirements=["OWNDATA", "WRITEABLE"])
        bar(scores_BN)
        return top_k(scores_BN, k)

    @property
    def _popular_order(self) -> NDArray[np.int64]:
        """All items, most popular first, ties by code; int64 [N]."""
        if len(self._order) != len(self._popularity):
            self._order = np.argsort(-self._popularity, kind="stable")
        return self._order

    def _as_frame(self, ids: pd.Index[Any], parts: list[Lists]) -> pd.DataFrame:  # Any: see Ids
        nothing = np.zeros((0, 0))
        codes_UK, values_UK, is_filled_UK = map(np.concatenate, zip(*parts, strict=True)) if parts else [nothing] * 3
        users, places = np.nonzero(codes_UK >= 0)
        return pd.DataFrame(
            {
                USER_ID: ids[users],
                ITEM_ID: self.data.item_ids[codes_UK[users, places].astype(np.int64)],
                SCORE: values_UK[users, places].astype(np.float64),
                RANK: (places + 1).astype(np.int32),
                SOURCE: np.where(is_filled_UK[users, places], FALLBACK, self.name).astype(object),
            }
        )

    def _allowed(self, candidates: Iterable[Any]) -> NDArray[np.bool_]:  # Any: see Ids
        codes = self.data.item_index.get_indexer(_distinct(candidates))
        allowed_N = np.zeros(self.data.num_items, bool)
        allowed_N[codes[codes >= 0]] = True
        return allowed_N

    def _moment(self, at: pd.Timestamp | int | None) -> int:
        if at is None:
            return self.data.last_timestamp + 1
        return int(at) if isinstance(at, int | np.integer) else int(to_microseconds(pd.Series([at]))[0])


def unprefixed(arrays: Arrays, prefix: str) -> Arrays:
    """Take the arrays whose names begin with ``prefix``, and take it off."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise DataError(f"k is {k!r}", next_step="ask for a whole number of items, at least 1")


def _distinct(ids: Iterable[Any]) -> pd.Index[Any]:  # Any: see Ids
    """Drop repeated ids, keeping the order of the first."""
    if isinstance(ids, str):
        raise DataError(f"the ids are one text, {ids!r}", next_step=f"give a list, as in [{ids!r}]")
    distinct: pd.Index[Any] = pd.Index(pd.Series(list(ids)).unique())  # Any: see Ids
    return distinct


def _ids(values: list[Any]) -> Ids:  # Any: see Ids
    return np.asarray(values) if values and isinstance(values[0], int) else np.asarray(values, object)
