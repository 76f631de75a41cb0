"""Models that are broken in known ways, and how a test makes one known by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.models import MODELS
from bowerbird.models.base import Model, ModelConfig
from bowerbird.models.cooccurrence import Cooccurrence, CooccurrenceConfig
from bowerbird.models.histories import Histories
from bowerbird.models.personal_frequency import PersonalFrequency
from bowerbird.models.tifu_knn import TifuKnn
from bowerbird.models.topk import Scores


class Shuffled(Cooccurrence):
    """Counting whose scores stand at other items than their own."""

    name: ClassVar[str] = "shuffled"
    _best = Model._best

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_BN = np.asarray(super()._score(histories, at))
        return scores_BN[:, np.random.default_rng(self.seed).permutation(scores_BN.shape[1])]


class OnlyPopular(Cooccurrence):
    """Counting that has collapsed: everybody gets the popular items."""

    name: ClassVar[str] = "only_popular"
    _best = Model._best

    def _score(self, histories: Histories, at: int) -> Scores:
        return np.tile(self.data.item_weights() + 1.0, (len(histories.users), 1))


class Tenth(Cooccurrence):
    """Counting on a tenth of the events; of the others it knows that they were seen, no more."""

    name: ClassVar[str] = "tenth"

    def _fit(self, data: Interactions, items: Any, users: Any) -> None:  # Any: frames, handed through
        self._accept(replace(data, weights=np.where(np.arange(len(data)) % 10 == 0, data.weights, 0.0)))
        super()._fit(self.data, items, users)


class HiddenTenth(Cooccurrence):
    """Counting that holds all events and reads a tenth of them."""

    name: ClassVar[str] = "hidden_tenth"

    def _fit(self, data: Interactions, items: Any, users: Any) -> None:  # Any: frames, handed through
        super()._fit(data.select(np.arange(len(data)) % 10 == 0), items, users)


class Forgetful(Cooccurrence):
    """Counting that drops nine of ten events of every history, and so shows again what should not be."""

    name: ClassVar[str] = "forgetful"

    def _fit(self, data: Interactions, items: Any, users: Any) -> None:  # Any: frames, handed through
        self._accept(data.select(np.arange(len(data)) % 10 == 0))
        super()._fit(self.data, items, users)


class Leaking(Cooccurrence):
    """Counting on all events there are, those after the cut-off too."""

    name: ClassVar[str] = "leaking"
    everything: ClassVar[Interactions]

    def fit(self, data: Interactions, *, items: Any = None, users: Any = None) -> Leaking:  # Any: frames, handed through
        return super().fit(type(self).everything, items=items, users=users)


class Unkind(Model):
    """Gives users with few events or none what nobody wants: somebody has sorted by popularity the wrong way round."""

    few: ClassVar[int] = 0
    _best = Model._best

    def _accept(self, data: Interactions) -> None:
        super()._accept(data)
        self._popularity = self._popularity.max() - self._popularity

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_BN = np.array(super()._score(histories, at))
        scores_BN[np.diff(histories.indptr) <= self.few] = -self.data.item_weights()
        return scores_BN


class UnkindCounting(Unkind, Cooccurrence):
    """Counting for all but users with few events."""

    name: ClassVar[str] = "unkind_counting"


class UnkindHabits(Unkind, PersonalFrequency):
    """A user's own habits for all but users with few events."""

    name: ClassVar[str] = "unkind_habits"


class UnkindBaskets(Unkind, TifuKnn):
    """Habits of a user and of his neighbours for all but users with few events."""

    name: ClassVar[str] = "unkind_baskets"


class Crashing(Cooccurrence):
    """Counting that cannot answer a very long history."""

    name: ClassVar[str] = "crashing"

    def _score(self, histories: Histories, at: int) -> Scores:
        if np.diff(histories.indptr).max(initial=0) > 5_000:
            raise MemoryError("5,000 events are too many")
        return super()._score(histories, at)


class Wavering(Cooccurrence):
    """Counting that answers differently each time."""

    name: ClassVar[str] = "wavering"
    _best = Model._best
    _rng = np.random.default_rng(1)

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_BN = np.asarray(super()._score(histories, at))
        return scores_BN + self._rng.random(scores_BN.shape) * np.abs(scores_BN[np.isfinite(scores_BN)]).max(initial=0.0)


BROKEN: tuple[type[Model], ...] = (
    *(Shuffled, OnlyPopular, Tenth, HiddenTenth, Forgetful, Leaking),
    *(UnkindCounting, UnkindHabits, UnkindBaskets, Crashing, Wavering),
)


def make_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let recipes name the broken models."""
    for kind in BROKEN:
        module = ModuleType(f"bowerbird.models.{kind.name}")
        setattr(module, kind.__name__, kind)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(MODELS, kind.name, kind.__name__)


def fitted(kind: type[Model], data: Interactions, config: ModelConfig | None = None) -> Model:
    """Fit one of these models, with its defaults."""
    return kind(config or CooccurrenceConfig(), seed=1).fit(data)
