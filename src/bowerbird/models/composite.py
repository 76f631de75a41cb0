"""What models share that are made of others: inner models, the generators, draw candidates, the outer model orders them.

Each generator names its best ``num_candidates`` of the items that may be listed, so what a user has seen takes no one's place.
Generators may know fewer items than the whole: codes are translated on the way in and out.

B users of a block, N items, n items of a generator, C candidates of a generator, P pairs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.errors import RecipeError
from bowerbird.models import build_model, check_config
from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Arrays, Histories, Model, ModelConfig
from bowerbird.models.topk import Scores, top_k

Table = dict[str, Any]  # Any: a model's config decides the types
Drawn = tuple[NDArray[np.int64], Scores]  # item codes (-1: none) and scores of one generator, best first; each [B, C]


def checked(table: Table) -> Table:
    """Check a table ``name`` and settings, and write all settings out. Raises RecipeError like ``build_model``."""
    if not isinstance(table.get("name"), str):
        raise RecipeError(f"a generator has no name: {table}", next_step='write {name = "item_knn", ...}')
    settings = {key: value for key, value in table.items() if key != "name"}
    return {"name": table["name"]} | check_config(table["name"], settings).model_dump(mode="json")


def _all_different(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    if any(table in tables[:place] for place, table in enumerate(tables)):
        raise ValueError("two of the generators are the same, with the same settings")
    return tables


class CompositeConfig(ModelConfig):
    """Who draws candidates, and how many."""

    generators: Annotated[
        tuple[Annotated[Table, AfterValidator(checked)], ...],
        Field(min_length=1, max_length=20, validate_default=True),
        AfterValidator(_all_different),
    ] = ({"name": "cooccurrence"}, {"name": "item_knn"})
    """A table each: ``name`` of a known model, and its settings."""
    num_candidates: Annotated[int, Field(ge=1, le=10_000)] = 100
    """So many items of each generator go on."""


class Composite(Model):
    """A model over generators; a subclass writes ``_points`` and ``_score_among``."""

    config: CompositeConfig
    foretells_targets: ClassVar[bool] = True

    @abstractmethod
    def _points(self, drawn: Drawn, generator: int) -> NDArray[np.float64]:
        """Say what the places of one generator's list are worth, above or at 0; [B, C]. What is no item is not looked at."""

    @abstractmethod
    def _score_among(self, histories: Histories, at: int, bar: Barrier) -> Scores:
        """Score the candidates that ``bar`` leaves; [B, N], -inf for all that is no candidate."""

    @property
    def generators(self) -> Sequence[Model]:
        """The fitted generators, in the order of the config."""
        return self._parts

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the config with what the generators' own fits have chosen written in."""
        tables = [{"name": part.name} | part.frozen_config() for part in self._parts]
        return self.config.model_dump(mode="json") | {"generators": tables}

    def origins(
        self,
        lists: pd.DataFrame,
        *,
        exclude_seen: bool | Sequence[str] = True,
        candidates: Iterable[Any] | None = None,  # Any: see Ids
        at: pd.Timestamp | int | None = None,
    ) -> NDArray[np.int64]:
        """Tell which generator gave each listed item the most points, the first where two gave as many; -1 where none did.

        ``lists`` has ``user_id, item_id``; the other arguments are those that ``recommend`` was asked with.
        """
        origins = np.full(len(lists), -1)
        moment, allowed_N = self._moment(at), None if candidates is None else self._allowed(candidates)
        reader = self._reader(None)
        for rows, places, items, histories in self._pair_blocks(lists[[USER_ID, ITEM_ID]], None):
            excluded = reader.excluded(histories, exclude_seen)
            bar = Barrier.of(histories, excluded, allowed_N)
            most = np.zeros(len(rows))
            for place, points_BN in enumerate(self._all_points(self._draw(histories, at=moment, bar=bar))):
                points = np.maximum(points_BN[places, items], 0)
                origins[rows[(points_BN[places, items] >= 0) & ((points > most) | (origins[rows] < 0))]] = place
                most = np.maximum(most, points)
        return origins

    def _build(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> list[Model]:
        """Fit all generators."""
        parts = [build_model(**table, seed=self.seed) for table in self.config.generators]
        return self._fit_all(parts, data, items, users, stage="first")

    def _fit_all(
        self, parts: list[Model], data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None, *, stage: str
    ) -> list[Model]:
        """Fit models, whose trainings are kept by ``stage`` and place.

        Labels that tell which events are targets go to those that foretell targets, and to no other.
        """
        unlabelled = replace(data, labels=None)
        for place, part in enumerate(parts):
            part.checkpoints = self.checkpoints and self.checkpoints / f"{stage}-{place}"
        return [part.fit(data if part.foretells_targets else unlabelled, items=items, users=users) for part in parts]

    def _take(self, parts: list[Model], data: Interactions) -> None:
        """Keep fitted generators; the catalogue is all that one of them knows."""
        for part in parts:
            data = data.with_items(part.data.item_ids)
        self._accept(data)
        self._parts = parts
        self._locate()

    def _locate(self) -> None:
        """Find the places of each generator's items among all."""
        self._places = [self.data.item_index.get_indexer(part.data.item_index) for part in self._parts]

    def _draw(self, histories: Histories, *, at: int, bar: Barrier) -> list[Drawn]:
        """Ask each generator for its candidates, in the codes of the whole."""
        drawn = zip(self._parts, self._places, strict=True)
        return [self._draw_from(part, places, histories, at, bar) for part, places in drawn]

    def _draw_from(self, part: Model, places: NDArray[np.int64], histories: Histories, at: int, bar: Barrier) -> Drawn:
        known = histories
        if len(places) < self.data.num_items:
            code_N = np.full(self.data.num_items, -1, np.int32)
            code_N[places] = np.arange(len(places))
            known = histories.select(code_N[histories.items] >= 0)
            known = replace(known, items=code_N[known.items])
            bar = bar.among(places, self.data.num_items)
        codes_BC, values_BC = part._best(known, at, self.config.num_candidates, bar.silencing(np.diff(known.indptr) == 0))
        return np.where(codes_BC >= 0, places[codes_BC], -1), values_BC

    def _all_points(self, drawn: list[Drawn]) -> Iterable[NDArray[np.float64]]:
        """Spread the points of each generator over all items; [B, N], -inf for what it did not draw."""
        for place, (codes_BC, values_BC) in enumerate(drawn):
            points_BN = np.full((len(codes_BC), self.data.num_items), -np.inf)
            rows, columns = np.nonzero(codes_BC >= 0)
            points_BN[rows, codes_BC[rows, columns]] = self._points((codes_BC, values_BC), place)[rows, columns]
            yield points_BN

    def _score(self, histories: Histories, at: int) -> Scores:
        return self._score_among(histories, at, Barrier.none(len(histories.users)))

    def _best(self, histories: Histories, at: int, k: int, bar: Barrier) -> Drawn:
        return top_k(self._score_among(histories, at, bar), k)

    def _restore(self, arrays: Arrays) -> None:
        for part in self._parts:
            if part.data.num_items == self.data.num_items:
                part._data = self._data  # equal events are kept once
        self._locate()
