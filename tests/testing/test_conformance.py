from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, load_model
from bowerbird.models.base import Arrays, Histories, Model, Scores
from bowerbird.models.topk import top_k
from bowerbird.testing import ModelConformance, checkerboard, small_log


class Newest(Model):
    """A model of a user's own: what was first seen last comes first."""

    name = "newest"

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._first_seen_N = np.full(data.num_items, np.inf)
        np.minimum.at(self._first_seen_N, data.items, data.timestamps / 1e6)

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_N = np.where(np.isfinite(self._first_seen_N), self._first_seen_N, -np.inf)
        return np.broadcast_to(scores_N, (len(histories.users), len(scores_N)))

    def _arrays(self) -> Arrays:
        return {"first_seen": self._first_seen_N}

    def _restore(self, arrays: Arrays) -> None:
        self._first_seen_N = arrays["first_seen"]


class TestAModelOfAUsersOwn(ModelConformance):
    name = "newest"
    solves_checkerboard = False

    def build(self, *, seed: int = 1) -> Model:
        return Newest(Newest.Config(), seed=seed)

    def load(self, folder: Path) -> Model:
        return load_model(folder, kind=Newest)


class LooksAtTheBatch(Newest):
    def _score(self, histories: Histories, at: int) -> Scores:
        return np.array(super()._score(histories, at)) * (-1) ** len(histories.users)


class Forgetful(Newest):
    def _lists(self, histories: Histories, excluded: Any, k: int, allowed_N: Any, at: int) -> Any:
        codes, values = top_k(np.array(self._score(histories, at)), k)
        return codes, values, np.zeros(codes.shape, bool)


def test_a_model_that_depends_on_the_batch_is_caught() -> None:
    model = LooksAtTheBatch(Newest.Config()).fit(Interactions.from_frame(small_log()))
    with pytest.raises(AssertionError):
        TestAModelOfAUsersOwn().test_a_batch_gives_what_single_requests_give(model)


def test_a_model_that_forgets_what_was_seen_is_caught() -> None:
    model = Forgetful(Newest.Config()).fit(Interactions.from_frame(small_log()))
    with pytest.raises(AssertionError):
        TestAModelOfAUsersOwn().test_seen_items_are_left_out(model)


def test_the_checkerboard_withholds_each_users_own_item() -> None:
    log = checkerboard(6)
    walks = log.groupby("user_id")["item_id"].apply(list)
    assert walks.tolist() == [[2, 4], [3, 5], [4, 0], [5, 1], [0, 2], [1, 3]]
