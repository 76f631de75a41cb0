from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model, load_model
from bowerbird.errors import RecipeError
from bowerbird.models.base import Model
from bowerbird.models.blend import Blend
from bowerbird.models.item_knn import ItemKnn
from bowerbird.models.naive_bayes import NaiveBayes
from bowerbird.testing import ModelConformance, small_log


class TestBlend(ModelConformance):
    name = "blend"
    expected_ndcg = 0.0532


PAIR = ({"name": "cooccurrence"}, {"name": "popularity"})


def blend_of(*generators: dict[str, object], **config: object) -> Blend:
    model = build_model("blend", generators=list(generators), **config)
    model.fit(Interactions.from_frame(small_log()))
    assert isinstance(model, Blend)
    return model


def ranks_of(name: str, user: str) -> dict[str, int]:
    lists = build_model(name).fit(Interactions.from_frame(small_log())).recommend([user], k=8)
    own = lists[lists["source"] == name]
    return dict(zip(own["item_id"], own["rank"], strict=True))


def test_the_score_is_the_sum_of_reciprocal_ranks_among_what_is_not_seen() -> None:
    first, second = ranks_of("cooccurrence", "bob"), ranks_of("popularity", "bob")
    lists = blend_of(*PAIR).recommend(["bob"], k=8)
    expected = {item: sum(1 / (60 + ranks[item]) for ranks in (first, second) if item in ranks) for item in {**first, **second}}
    assert dict(zip(lists["item_id"], lists["score"], strict=True)) == pytest.approx(expected)


def test_weights_say_how_much_a_generator_counts() -> None:
    ranks = ranks_of("popularity", "bob")
    lists = blend_of(*PAIR, weights=[1e-12, 3.0]).recommend(["bob"], k=8)
    assert lists["item_id"].tolist() == sorted(ranks, key=lambda item: ranks[item])
    assert lists["score"][0] == pytest.approx(3 / 61)


def test_scores_are_brought_between_nothing_and_one() -> None:
    lists = blend_of({"name": "popularity"}, method="score").recommend(["bob"], k=8)
    raw = build_model("popularity").fit(Interactions.from_frame(small_log())).recommend(["bob"], k=8)["score"].to_numpy()
    np.testing.assert_allclose(lists["score"], (raw - raw[-1]) / (raw[0] - raw[-1]))


def test_ranks_stand_in_for_scores() -> None:
    lists = blend_of({"name": "popularity"}, method="score", normalization="rank", num_candidates=4).recommend(["bob"], k=4)
    assert lists["score"].tolist() == [1.0, 0.75, 0.5, 0.25]


def test_seen_items_take_no_candidates_place() -> None:
    lists = blend_of({"name": "popularity"}, num_candidates=1).recommend(["ann"], k=2)
    assert lists["source"].tolist() == ["blend", "fallback"]


def test_a_generator_that_knows_more_items_widens_the_catalogue() -> None:
    items = pd.DataFrame({"item_id": ["apple", "pear", "zebra"], "title": ["red fruit", "green fruit", "striped fruit"]})
    model = build_model("blend", generators=[{"name": "content"}, {"name": "item_knn"}])
    model.fit(Interactions.from_frame(small_log()), items=items)
    assert "zebra" in model.recommend(["eva"], k=8).query("source == 'blend'")["item_id"].tolist()
    history = pd.DataFrame({"user_id": ["new", "new"], "item_id": ["zebra", "fig"]})
    assert model.recommend(["new"], k=8, history=history)["source"].tolist()[0] == "blend"


def test_what_generators_chose_is_frozen_and_saved(tmp_path: Path) -> None:
    model = blend_of({"name": "item_knn", "num_neighbors": 3}, {"name": "popularity"})
    frozen = model.frozen_config()["generators"]
    assert frozen[0]["num_neighbors"] == 3 and frozen[1]["name"] == "popularity"
    model.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").glob("part-*")} == {"part-00", "part-01"}
    loaded = load_model(tmp_path / "model")
    assert loaded.recommend(["ann"], k=8).equals(model.recommend(["ann"], k=8))


def test_the_origin_is_the_generator_that_gives_most_points() -> None:
    model = blend_of(*PAIR, weights=[100.0, 1.0])
    lists = model.recommend(["bob"], k=8)
    named = ranks_of("cooccurrence", "bob")
    assert model.origins(lists).tolist() == [0 if item in named else 1 for item in lists["item_id"]]


def test_equal_settings_are_equal_configs() -> None:
    spelled = build_model("blend", generators=[{"name": "popularity", "min_events": 1000}, {"name": "item_knn"}])
    assert spelled.config == build_model("blend", generators=[{"name": "popularity"}, {"name": "item_knn"}]).config


@pytest.mark.parametrize(
    ("generators", "message"),
    [
        ([{"name": "item_kn"}], "did you mean 'item_knn'"),
        ([{"name": "item_knn", "num_neighbours": 5}], "did you mean 'num_neighbors'"),
        ([{"num_neighbors": 5}], "has no name"),
        ([{"name": "popularity"}, {"name": "popularity", "min_events": 1000}], "are the same"),
        ([], "at least 1"),
    ],
)
def test_a_mistake_in_a_generator_is_told(generators: list[dict[str, object]], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_model("blend", generators=generators)


def test_too_few_weights_are_told() -> None:
    with pytest.raises(RecipeError, match="1 weights for 2 generators"):
        build_model("blend", weights=[1.0])


def test_labels_reach_only_generators_that_foretell_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    has_labels: dict[str, bool] = {}
    for kind in (NaiveBayes, ItemKnn):
        fit = kind._fit

        def spy(self: Model, data: Interactions, items: object, users: object, fit: Any = fit) -> None:
            has_labels[self.name] = data.labels is not None
            fit(self, data, items, users)

        monkeypatch.setattr(kind, "_fit", spy)
    labelled = Interactions.from_frame(small_log().assign(label=1.0))
    build_model("blend", generators=[{"name": "naive_bayes"}, {"name": "item_knn"}]).fit(labelled)
    assert has_labels == {"naive_bayes": True, "item_knn": False}
