"""Lists of factor models, which leave out what cannot be among the best, against those of all scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bowerbird.data.interactions import Interactions
from bowerbird.models import factors
from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Histories, ModelConfig
from bowerbird.models.factors import FactorModel
from bowerbird.models.histories import HistoryReader
from bowerbird.models.topk import top_k

WIDTH = 12


class Given(FactorModel):
    """A model whose vectors the test gives; a folded-in user is the mean of the past items."""

    name = "given"
    Config = ModelConfig

    def __init__(self, users_UD: NDArray[Any], items_ND: NDArray[Any]) -> None:
        super().__init__(ModelConfig())
        self._vectors_given = users_UD.astype(np.float32), items_ND.astype(np.float32)

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._keep(*self._vectors_given)

    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        sums_BD = np.zeros((len(histories.users), self._items_ND.shape[1]))
        np.add.at(sums_BD, histories.rows, self._items_ND[histories.items].astype(np.float64))
        return sums_BD / np.maximum(np.diff(histories.indptr), 1)[:, None]


def a_log(rng: np.random.Generator, num_users: int, num_items: int) -> Interactions:
    """Make five events a user; each item occurs."""
    users = np.concatenate([np.repeat(np.arange(num_users), 5), np.arange(num_items) % num_users])
    items = np.concatenate([rng.integers(0, num_items, 5 * num_users), np.arange(num_items)])
    return Interactions.from_frame(pd.DataFrame({"user_id": users, "item_id": items, "timestamp": np.arange(len(users))}))


def all_at_once(model: FactorModel, histories: Histories, k: int, bar: Barrier) -> tuple[NDArray[Any], NDArray[Any]]:
    scores_BN = np.array(model._score(histories, 0))
    bar(scores_BN)
    return top_k(scores_BN, k)


@pytest.mark.parametrize("strip", [1, 300, 2**20])
@pytest.mark.parametrize("k", [1, 10, 200])
@pytest.mark.parametrize("kind", ["normal", "long tail", "few levels", "all equal", "some silent", "tiny"])
def test_lists_are_those_of_all_scores(kind: str, k: int, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(k)
    users_UD, items_ND = rng.normal(size=(40, WIDTH)), rng.normal(size=(157, WIDTH))
    if kind == "long tail":
        items_ND *= 2.0 ** -np.arange(157)[:, None]
    if kind == "few levels":  # whole numbers: many ties, exact in single precision
        users_UD, items_ND = rng.integers(-1, 2, (40, WIDTH)), rng.integers(-1, 2, (157, WIDTH))
    if kind == "all equal":
        items_ND[:] = items_ND[0]
    if kind == "some silent":
        users_UD[::3], items_ND[::4] = 0, 0
    if kind == "tiny":
        users_UD *= 1e-20
    monkeypatch.setattr(factors, "STRIP_SCORES", strip)
    model = Given(users_UD, items_ND).fit(a_log(rng, 40, 157))
    histories = HistoryReader(model.data, None).read(pd.Index(range(40)))
    allowed_N = rng.random(157) < 0.7 if k == 10 else None
    bar = Barrier.of(histories, np.full(len(histories.items), True), allowed_N)
    codes, values = model._best(histories, 0, k, bar)
    expected_codes, expected_values = all_at_once(model, histories, k, bar)
    assert (codes == expected_codes).all()
    assert (values == expected_values).all()


def test_items_that_nobody_can_want_are_not_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    items_ND = np.abs(rng.normal(size=(100, WIDTH)))
    items_ND[50:] *= 1e-3
    model = Given(np.abs(rng.normal(size=(10, WIDTH))), items_ND).fit(a_log(rng, 10, 100))
    barred: list[int] = []
    monkeypatch.setattr(factors, "STRIP_SCORES", 100)  # ten items for ten users
    monkeypatch.setattr(Barrier, "__call__", lambda self, scores, start=0: barred.append(start))
    histories = HistoryReader(model.data, None).read(pd.Index(range(10)))
    model._best(histories, 0, 10, Barrier.none(10))
    assert barred == [0, 10, 20, 30, 40]


def test_a_barrier_of_another_order_bars_the_same_items() -> None:
    bar = Barrier(np.asarray([False, True]), np.asarray([0, 0]), np.asarray([1, 3]), np.asarray([True, True, True, True, False]))
    whole = np.zeros((2, 5))
    bar(whole)
    assert np.isneginf(whole).tolist() == [[False, True, False, True, True], [True] * 5]
    order = np.asarray([3, 0, 4, 1])
    moved = bar.among(order, 5)
    for start in range(4):
        strip = np.zeros((2, 4 - start))
        moved(strip, start)
        assert (strip == whole[:, order[start:]]).all()


def test_a_barrier_bars_a_block_that_is_not_contiguous() -> None:
    block = np.zeros((3, 2)).T
    Barrier(np.zeros(2, bool), np.asarray([1]), np.asarray([2]))(block)
    assert np.isneginf(block).tolist() == [[False] * 3, [False, False, True]]


def test_a_history_stands_in_for_the_vector_of_fit_and_leaves_other_users_alone() -> None:
    rng = np.random.default_rng(0)
    items_ND = rng.normal(size=(100, WIDTH)).astype(np.float32)
    model = Given(rng.normal(size=(10, WIDTH)), items_ND).fit(a_log(rng, 10, 100))
    history = pd.DataFrame({"user_id": [3, 3, 99], "item_id": [50, 60, 50]})
    lists = model.recommend([2, 3, 99], k=5, history=history)
    for user, past in ((3, [50, 60]), (99, [50])):
        scores_N = items_ND.astype(np.float64) @ items_ND[past].astype(np.float64).mean(axis=0)
        scores_N[past] = -np.inf
        assert lists[lists["user_id"] == user]["item_id"].tolist() == np.argsort(-scores_N)[:5].tolist()
    own = model.recommend([2], k=5)
    assert lists[lists["user_id"] == 2]["item_id"].tolist() == own["item_id"].tolist()
