"""The conformance suite for two_tower, its formula by hand, items without events, and search in lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from bowerbird import Interactions, build_model, load_model
from bowerbird.models.base import Model
from bowerbird.testing import ModelConformance

pytestmark = pytest.mark.usefixtures("one_thread")


class TestTwoTower(ModelConformance):
    name = "two_tower"
    expected_ndcg = 0.0519

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)


class TestTwoTowerInLists(ModelConformance):
    name = "two_tower"
    config: ClassVar[dict[str, Any]] = {"num_epochs": 3, "retrieval": "ivf", "num_lists": 3, "reach": 2.0}
    solves_checkerboard = False  # one list of three is not searched


def tastes(num_users: int = 60, num_items: int = 24, length: int = 8) -> pd.DataFrame:
    """Even users like even items, odd users odd ones; the last four items are liked by nobody yet."""
    rng = np.random.default_rng(1)
    rows = [
        (user, 2 * item + user % 2, place)
        for user in range(num_users)
        for place, item in enumerate(rng.permutation((num_items - 4) // 2)[:length])
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def items(num_items: int = 24) -> pd.DataFrame:
    return pd.DataFrame({"item_id": range(num_items), "categories": [[("even", "odd")[item % 2]] for item in range(num_items)]})


def fit(
    frame: pd.DataFrame, *, seed: int = 1, users: pd.DataFrame | None = None, described: bool = False, **config: Any
) -> Model:
    model = build_model("two_tower", seed=seed, **{"batch_size": 32} | config)
    return model.fit(Interactions.from_frame(frame), items=items() if described else None, users=users)


def test_the_score_is_the_formula_of_the_file() -> None:
    frame = pd.DataFrame({"user_id": ["a", "a", "a", "b", "b"], "item_id": [1, 2, 3, 1, 3], "timestamp": range(5)})
    frame["weight"] = [1.0, 2.0, 0.5, 1.0, 1.0]
    model = fit(frame, num_epochs=2, embedding_size=4, hidden_sizes=[6], half_life_events=2, max_history=2)
    kept = {name: array.astype(np.float64) for name, array in model._arrays().items()}
    q_ND, b_N = kept["items"][:, :4], kept["items"][:, 4]
    w = np.asarray([2.0 * 2**-0.5, 0.5])  # the first event is beyond max_history, the second has one after it
    h = 4**0.5 * (w @ q_ND[1:]) / w.sum()
    p = h + kept["layers.1.weight"] @ np.maximum(kept["layers.0.weight"] @ h + kept["layers.0.bias"], 0) + kept["layers.1.bias"]
    pairs = pd.DataFrame({"user_id": "a", "item_id": [1, 2, 3]})
    np.testing.assert_allclose(model.score(pairs), q_ND @ p + b_N, rtol=1e-5)
    history = frame[frame["user_id"] == "a"].assign(user_id="new")
    np.testing.assert_allclose(model.score(pairs.assign(user_id="new"), history=history), q_ND @ p + b_N, rtol=1e-5)


@pytest.mark.parametrize("described", [False, True])
def test_tastes_are_learned_and_a_stranger_is_read_from_the_history(described: bool) -> None:
    model = fit(tastes(), described=described, num_epochs=20)
    lists = model.recommend(range(60), k=2, candidates=range(20))
    assert (lists["item_id"] % 2 == lists["user_id"] % 2).mean() > 0.95
    strange = pd.DataFrame({"user_id": [700, 700, 701, 701], "item_id": [1, 5, 2, 8]})
    lists = model.recommend([700, 701], k=3, history=strange, candidates=range(20))
    assert (lists["item_id"] % 2 == (lists["user_id"] + 1) % 2).all()


def test_an_item_without_events_finds_its_place_by_its_description() -> None:
    model = fit(tastes(), described=True, num_epochs=20)
    lists = model.recommend(range(60), k=1, candidates=range(20, 24))
    assert lists["source"].tolist() == ["two_tower"] * 60
    assert (lists["item_id"] % 2 == lists["user_id"] % 2).mean() > 0.95
    strange = pd.DataFrame({"user_id": ["new"], "item_id": [21]})
    found = model.recommend(["new"], k=3, history=strange)
    assert (found["item_id"] % 2 == 1).all(), "an item without events may be in a history too"


@pytest.mark.parametrize("columns", [["text_vector"], ["text_vector", "categories"]])
def test_an_item_without_events_finds_its_place_by_its_text(columns: list[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kinds = np.arange(24) % 2
    vectors = np.column_stack([1 - kinds, kinds]) + rng.normal(0, 0.3, (24, 2))
    table = items().assign(text_vector=list(vectors.astype(np.float32)))
    table.at[3, "text_vector"] = None
    model = build_model("two_tower", batch_size=32, num_epochs=20)
    model.fit(Interactions.from_frame(tastes()), items=table[["item_id", *columns]])
    lists = model.recommend(range(60), k=1, candidates=range(20, 24))
    assert lists["source"].tolist() == ["two_tower"] * 60
    assert (lists["item_id"] % 2 == lists["user_id"] % 2).mean() > 0.95
    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model").recommend(range(60), k=1, candidates=range(20, 24))
    pd.testing.assert_frame_equal(lists, loaded, check_exact=True)


def test_an_item_with_neither_events_nor_description_is_left_to_popularity() -> None:
    data = Interactions.from_frame(tastes(), item_ids=np.arange(24))
    model = build_model("two_tower", num_epochs=1).fit(data)
    assert np.isnan(model.score(pd.DataFrame({"user_id": [0], "item_id": [22]}))).all()
    assert set(model.recommend([0], k=4, candidates=range(20, 24))["source"]) == {"fallback"}


def test_an_item_created_after_the_newest_event_is_not_known() -> None:
    late = items().assign(created_at=[0] * 20 + [1_700_000_000] * 4)
    model = build_model("two_tower", num_epochs=1).fit(Interactions.from_frame(tastes()), items=late)
    assert model.data.item_ids.tolist() == list(range(20))


def test_what_users_are_tells_them_apart_where_what_they_did_does_not() -> None:
    rows = [(user, item, place) for user in range(80) for place, item in enumerate([0, 1 + user % 2])]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    country = pd.DataFrame({"user_id": range(80), "country": ["FR" if user % 2 else "DE" for user in range(80)]})
    model = fit(frame, users=country, num_epochs=40)
    only_first = frame[frame["item_id"] == 0]
    lists = model.recommend(range(80), k=1, history=only_first)
    assert (lists["item_id"] == 1 + lists["user_id"] % 2).all()


def test_in_batch_negatives_do_not_punish_popular_items() -> None:
    """Everybody has 0 half of the time and one of 1 to 8 else, at random: log shares are what the softmax should learn."""
    rng = np.random.default_rng(1)
    drawn = np.where(rng.random(6000) < 0.5, 0, rng.integers(1, 9, 6000))
    frame = pd.DataFrame({"user_id": np.arange(6000) // 30, "item_id": drawn, "timestamp": range(6000)})
    model = fit(frame, num_epochs=6, batch_size=256, embedding_size=2, hidden_sizes=[], learning_rate=0.03)
    scores_UN = np.stack([model.score(pd.DataFrame({"user_id": user, "item_id": range(9)})) for user in range(20)])
    gaps = scores_UN[:, 0] - scores_UN[:, 1:].mean(axis=1)
    assert gaps.mean() == pytest.approx(np.log(8), abs=0.1)


def test_the_search_measures_each_epoch_and_freezes_the_best_and_its_recipe_gives_the_same_lists() -> None:
    model = fit(tastes(), described=True, max_epochs=5)
    measured = {point.epoch: point.validation for point in model.curve}
    frozen = model.frozen_config()
    assert list(measured) == list(range(1, len(measured) + 1)) and None not in measured.values()
    assert frozen["num_epochs"] == max(measured, key=lambda epoch: measured[epoch])
    again = fit(tastes(), described=True, **frozen)
    pd.testing.assert_frame_equal(model.recommend(range(60), k=9), again.recommend(range(60), k=9), check_exact=True)


def test_the_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (fit(tastes(), seed=seed, described=True, num_epochs=2) for seed in (1, 1, 2))
    assert first.curve == second.curve != other.curve
    pd.testing.assert_frame_equal(first.recommend(range(60)), second.recommend(range(60)), check_exact=True)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator is left alone"


def test_events_without_evidence_are_neither_read_nor_foretold() -> None:
    frame = tastes().assign(weight=1.0)
    noise = frame.assign(item_id=(frame["item_id"] + 1) % 20, weight=0.0, timestamp=frame["timestamp"] + 0.5)
    first, second = fit(frame, num_epochs=2), fit(pd.concat([frame, noise]), num_epochs=2)
    assert first.curve == second.curve
    pairs = pd.DataFrame({"user_id": 3, "item_id": range(20)})
    np.testing.assert_array_equal(first.score(pairs), second.score(pairs))


def test_lists_that_are_all_searched_give_what_exact_search_gives(tmp_path: Path) -> None:
    exact = fit(tastes(), described=True, num_epochs=5)
    in_lists = fit(tastes(), described=True, num_epochs=5, retrieval="ivf", reach=1000)
    for excluded in (True, False):
        first, second = (model.recommend(range(60), k=7, exclude_seen=excluded) for model in (exact, in_lists))
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    in_lists.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model").recommend(range(60), k=7)
    pd.testing.assert_frame_equal(loaded, in_lists.recommend(range(60), k=7), check_exact=True)


def test_where_the_lists_hold_too_little_that_may_be_listed_all_are_searched() -> None:
    exact = fit(tastes(), num_epochs=5)
    in_lists = fit(tastes(), num_epochs=5, retrieval="ivf", num_lists=10, reach=0)
    asked = {"k": 3, "candidates": [0, 7, 9, 12], "exclude_seen": False}
    pd.testing.assert_frame_equal(exact.recommend(range(60), **asked), in_lists.recommend(range(60), **asked), check_exact=True)
