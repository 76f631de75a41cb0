"""Sequence models that are told what items are: items without events, features, text, and what stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model, load_model
from bowerbird.models.base import Model

NUM_ITEMS = 24


pytestmark = pytest.mark.usefixtures("one_thread")


def tastes(num_users: int = 60) -> pd.DataFrame:
    """Even users like even items, odd users odd ones; the last four items are liked by nobody yet."""
    rng = np.random.default_rng(1)
    rows = [
        (user, 2 * item + user % 2, place)
        for user in range(num_users)
        for place, item in enumerate(rng.permutation((NUM_ITEMS - 4) // 2)[:8])
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def items() -> pd.DataFrame:
    kinds = np.arange(NUM_ITEMS) % 2
    vectors = np.column_stack([1 - kinds, kinds]) + np.random.default_rng(2).normal(0, 0.3, (NUM_ITEMS, 2))
    table = pd.DataFrame({"item_id": range(NUM_ITEMS), "categories": [[("even", "odd")[kind]] for kind in kinds]})
    return table.assign(text_vector=list(vectors))


def fit(table: pd.DataFrame | None, name: str = "sasrec", **config: Any) -> Model:
    settings = {"num_epochs": 25, "embedding_size": 16, "dropout": 0.1, "num_negatives": 16, "batch_tokens": 128}
    return build_model(name, **(settings | config)).fit(Interactions.from_frame(tastes()), items=table)


def share_of_own_kind(model: Model) -> float:
    lists = model.recommend(range(60), k=1, candidates=range(20, 24))
    assert set(lists["source"]) == {model.name}
    return float((lists["item_id"] % 2 == lists["user_id"] % 2).mean())


@pytest.mark.parametrize("columns", [["categories"], ["text_vector"], ["categories", "text_vector"]])
@pytest.mark.parametrize("num_negatives", [0, 16], ids=["all_items", "sampled"])
def test_an_item_without_events_finds_its_place_by_what_it_is(columns: list[str], num_negatives: int) -> None:
    model = fit(items()[["item_id", *columns]], num_negatives=num_negatives)
    assert share_of_own_kind(model) > 0.9
    strange = pd.DataFrame({"user_id": ["new"], "item_id": [21]})
    assert set(model.recommend(["new"], k=3, history=strange)["source"]) == {"sasrec"}, "it may be in a history too"


@pytest.mark.parametrize("name", ["esasrec", "gru4rec"])
def test_other_sequence_models_read_items_too(name: str) -> None:
    assert share_of_own_kind(fit(items(), name)) > 0.9


def test_a_saved_model_gives_the_same_lists_and_the_same_seed_the_same_model(tmp_path: Path) -> None:
    model = fit(items(), num_epochs=3)
    model.save(tmp_path / "model")
    lists = model.recommend(range(60), k=9)
    pd.testing.assert_frame_equal(lists, load_model(tmp_path / "model").recommend(range(60), k=9), check_exact=True)
    pd.testing.assert_frame_equal(lists, fit(items(), num_epochs=3).recommend(range(60), k=9), check_exact=True)


def test_a_table_that_says_nothing_changes_nothing() -> None:
    plain, told = fit(None, num_epochs=2), fit(items()[["item_id"]], num_epochs=2)
    assert plain.curve == told.curve
    pairs = pd.DataFrame({"user_id": 3, "item_id": range(NUM_ITEMS)})
    np.testing.assert_array_equal(plain.score(pairs), told.score(pairs))


def test_new_items_are_lifted_and_undated_ones_are_not() -> None:
    """The newest tenth goes to young items alone; a new one of that kind is asked for as they were."""
    frame = tastes()
    late = pd.DataFrame({"user_id": range(60), "item_id": np.arange(60) % 2 + 2 * (np.arange(60) % 14) + 100, "timestamp": 1000})
    data = Interactions.from_frame(pd.concat([frame, late]))
    table = pd.DataFrame({"item_id": [*range(20), *range(100, 128), 200, 201]})
    table["categories"] = [[("even", "odd")[item % 2]] for item in table["item_id"]]
    table["available_from"] = [0.0] * 48 + [1000.0, None]
    model = build_model("sasrec", num_epochs=5, embedding_size=16, num_negatives=0).fit(data, items=table)
    scores = model.score(pd.DataFrame({"user_id": 0, "item_id": [200, 201]}))
    assert scores[0] > scores[1]


def test_an_update_keeps_the_items_without_events() -> None:
    model = fit(items())
    model.update(Interactions.from_frame(pd.DataFrame({"user_id": [0, 1], "item_id": [22, 300], "timestamp": [50, 50]})))
    lists = model.recommend(range(60), k=1, candidates=[20, 21, 23])
    assert set(lists["source"]) == {"sasrec"}
    assert (lists["item_id"] % 2 == lists["user_id"] % 2).mean() > 0.9
