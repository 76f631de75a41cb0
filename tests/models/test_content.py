"""The conformance suite for content, and what only it must do."""

from __future__ import annotations

import json
import sys
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from bowerbird import Interactions, build_model, load_model
from bowerbird.errors import MissingExtraError
from bowerbird.models.base import Model
from bowerbird.models.content import Content
from bowerbird.testing import ModelConformance


class TestContent(ModelConformance):
    name = "content"
    expected_ndcg = 0.0236
    can_explain = True
    movies: pd.DataFrame | None = None

    def fit(self, frame: pd.DataFrame, *, seed: int = 1) -> Model:
        """Give every other item of a log the same category, and every fourth the same word."""
        data = Interactions.from_frame(frame)
        ids = data.item_ids
        described = pd.DataFrame({"item_id": ids, "categories": [[f"kind {place % 2}"] for place in range(len(ids))]})
        described["title"] = [f"word{place % 4}" for place in range(len(ids))]
        items = described if self.movies is None else self.movies
        return self.build(seed=seed).fit(data, items=items)

    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        path = self.movielens_folder(request.config.rootpath) / "movies.csv"
        if path.is_file():
            self.movies = pd.read_csv(path).rename(columns={"movieId": "item_id", "genres": "categories"})
        super().test_the_metric_is_the_expected_one(request)

    def test_what_the_suite_recommends_comes_from_the_model(self, fitted: Model) -> None:
        assert "content" in set(fitted.recommend(["ann", "bob"], k=3)["source"])


ITEMS = pd.DataFrame(
    {
        "item_id": ["bolt", "cup", "pot", "tea", "void"],
        "title": ["steel bolt", "tea cup", "tea pot", "green tea", None],
        "categories": [["tools"], ["kitchen"], ["kitchen"], ["food"], None],
    }
)
DAY = 86_400


def log_of(*rows: tuple[str, str, float], weight: list[float] | None = None) -> Interactions:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return Interactions.from_frame(frame if weight is None else frame.assign(weight=weight))


def pairs(user: str, *items: str) -> pd.DataFrame:
    return pd.DataFrame({"user_id": user, "item_id": items})


def test_without_neighbours_the_score_is_the_decayed_and_weighted_mean_of_cosines() -> None:
    items = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "title": ["x y", "x", "y", "z"]})  # the pair x y counts too
    data = log_of(("u", "b", 0), ("u", "c", 10 * DAY), weight=[3.0, 1.0])
    model = build_model("content", half_life_days=10, num_neighbors=0).fit(data, items=items)
    one, two = log(5 / 3) ** 1.5, log(5 / 2) ** 1.5  # x and y occur in two titles each, the pair "x y" in one
    cos_ab = cos_ac = one / sqrt(2 * one**2 + two**2)
    past_b, past_c = 3.0 * 0.5, 1.0
    expected = (past_b * cos_ab + past_c * cos_ac) / (past_b + past_c)
    scores = model.score(pairs("u", "a", "b", "c", "d"))
    assert scores[:3].tolist() == pytest.approx([expected, past_b / 2.5, past_c / 2.5])
    assert np.isnan(scores[3]), "nothing in the past speaks for z"


def test_the_score_is_what_goes_with_the_past_weighed_by_how_alike_items_read() -> None:
    """Ann and bob had x, bob y beside it; new are v, which reads like both, and w, like y alone; z is like nothing of these."""
    items = pd.DataFrame({"item_id": ["x", "y", "z", "v", "w"]})
    items["tags"] = [["p"], ["q"], ["r"], ["p", "q"], ["q"]]
    data = log_of(("ann", "x", 0), ("bob", "x", 0), ("bob", "y", 1), ("carl", "z", 0))
    model = build_model("content", shrinkage=0.5).fit(data, items=items)
    goes_xx, goes_xy = (1 + 1 / 2) / 2, (1 / 2) / sqrt(2)  # ann had one item, bob two; x had two users, y one
    p, q = log(6 / 3) ** 1.5, log(6 / 4) ** 1.5
    cos_vx, cos_vy = p / sqrt(p**2 + q**2), q / sqrt(p**2 + q**2)
    resembled = {"x": 1, "y": 1, "z": 1, "v": cos_vx + cos_vy, "w": 1}
    held_back = 0.5 * sum(resembled.values()) / 5
    expected = [
        goes_xx / (1 + held_back),
        goes_xy / (1 + held_back),
        (goes_xx * cos_vx + goes_xy * cos_vy) / (resembled["v"] + held_back),
    ]
    scores = model.score(pairs("ann", "x", "w", "v", "z"))
    assert scores[:3].tolist() == pytest.approx(expected)
    assert np.isnan(scores[3])


def test_contributions_and_attributes_add_up_to_the_score_with_what_goes_with_the_past() -> None:
    events = [("ann", "cup", 0), ("ann", "bolt", 9), ("bob", "cup", 0), ("bob", "tea", 1), ("eve", "bolt", 0), ("eve", "tea", 1)]
    model = build_model("content").fit(log_of(*events), items=ITEMS)
    why, told = model.explain(pairs("ann", "pot")), model.explain_attributes(pairs("ann", "pot"))
    alone = {
        item: model.score(pairs("n", "pot"), history=pd.DataFrame({"user_id": ["n"], "item_id": [item]}))[0]
        for item in ("cup", "bolt")
    }
    assert alone["bolt"] > 0, "nobody reads bolts like pots, but who had one had tea"
    assert model.score(pairs("ann", "pot"))[0] == pytest.approx(sum(alone.values()) / 2)
    assert why["because"].tolist() == ["cup"]
    assert why["share"][0] == pytest.approx(alone["cup"] / sum(alone.values()))
    assert told["attribute"].tolist() == ["categories: kitchen"] and 0.5 < told["share"][0] < 1


def test_dense_profiles_of_groups_of_users_give_the_sparse_products(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [("ann", "cup", 0), ("ann", "bolt", 9), ("bob", "cup", 0), ("bob", "tea", 1), ("eve", "bolt", 0), ("eve", "tea", 1)]
    model = build_model("content").fit(log_of(*events), items=ITEMS)
    assert isinstance(model, Content)
    related = csr_array(np.asarray([[0.5, 0, 0.25, 0, 0], [0, 1, 0, 0, 0.5], [0, 0, 0, 0, 0]]))
    expected = (related @ model._sparse @ model._sparse.T).toarray()
    for numbers in (1, 2**24):
        monkeypatch.setattr("bowerbird.models.content.PROFILES", numbers)
        np.testing.assert_allclose(model._products_of_many(related), expected, rtol=1e-12)


def test_a_model_saved_before_neighbours_counted_compares_the_past_alone(tmp_path: Path) -> None:
    model = build_model("content", num_neighbors=0).fit(
        log_of(("ann", "tea", 0), ("bob", "tea", 0), ("bob", "bolt", 1)), items=ITEMS
    )
    kept = model._arrays()
    old = {name: array for name, array in kept.items() if name != "divisors" and not name.startswith("related")}
    expected = model.score(pairs("ann", *ITEMS["item_id"]))
    model._restore(old)
    np.testing.assert_array_equal(model.score(pairs("ann", *ITEMS["item_id"])), expected)


def test_items_that_nobody_has_touched_are_recommended_from_their_description() -> None:
    model = build_model("content").fit(log_of(("ann", "tea", 0), ("bob", "bolt", 0)), items=ITEMS)
    lists = model.recommend(["ann"], k=2)
    assert set(lists["item_id"]) == {"cup", "pot"}
    assert lists["source"].tolist() == ["content"] * 2
    asked = model.recommend(["new"], k=1, history=pd.DataFrame({"user_id": ["new"], "item_id": ["cup"]}))
    assert asked["item_id"].tolist() == ["pot"], "items without events count in a history too"


def test_a_chinese_title_finds_its_like() -> None:
    items = pd.DataFrame({"item_id": [1, 2, 3], "title": ["绿茶茶叶", "红茶茶叶礼盒", "不锈钢螺丝"]})
    data = Interactions.from_frame(pd.DataFrame({"user_id": ["u"], "item_id": [1], "timestamp": [0]}))
    assert build_model("content").fit(data, items=items).recommend(["u"], k=1)["item_id"].tolist() == [2]


def test_a_user_whose_items_have_no_description_gets_popular_items() -> None:
    model = build_model("content").fit(log_of(("ann", "void", 0), ("bob", "odd", 0)), items=ITEMS)
    assert set(model.recommend(["ann", "bob"], k=3)["source"]) == {"fallback"}


def test_items_with_the_same_description_say_nothing() -> None:
    items = ITEMS.assign(title="thing", categories=[["x"]] * 5, price=3.0)
    model = build_model("content").fit(log_of(("ann", "tea", 0)), items=items)
    assert set(model.recommend(["ann"], k=3)["source"]) == {"fallback"}


def test_a_category_that_only_new_items_have_changes_nothing_for_others() -> None:
    items = pd.concat([ITEMS, pd.DataFrame({"item_id": ["kite"], "categories": [["never seen"]]})])
    model = build_model("content").fit(log_of(("ann", "tea", 0)), items=items)
    assert np.isnan(model.score(pairs("ann", "kite"))).all()
    assert set(model.recommend(["ann"], k=2)["item_id"]) == {"cup", "pot"}


def test_without_a_catalogue_popular_items_stand_in() -> None:
    model = build_model("content").fit(log_of(("ann", "tea", 0), ("bob", "cup", 0)))
    assert set(model.recommend(["ann"], k=1)["source"]) == {"fallback"}


def test_events_without_evidence_are_no_taste() -> None:
    model = build_model("content").fit(log_of(("ann", "tea", 0), ("ann", "bolt", 1), weight=[0.0, 1.0]), items=ITEMS)
    assert np.isnan(model.score(pairs("ann", "cup"))).all()


def test_contributions_add_up_and_the_named_item_is_the_one_whose_removal_costs_most() -> None:
    events = [("ann", "cup", 0), ("ann", "tea", 5), ("ann", "bolt", 9)]
    model = build_model("content", num_neighbors=0).fit(log_of(*events), items=ITEMS)
    why = model.explain(pairs("ann", "pot", "void"))
    assert why["because"].tolist()[0] == "cup"
    assert why["because"].isna().tolist() == [False, True]
    frame = pd.DataFrame(events, columns=["user_id", "item_id", "timestamp"])
    whole = model.score(pairs("ann", "pot"))[0] * len(events)
    left = {
        item: whole - model.score(pairs("ann", "pot"), history=frame[frame["item_id"] != item])[0] * 2 for item in ("cup", "tea")
    }
    assert why["share"][0] == pytest.approx(left["cup"] / (left["cup"] + left["tea"]), rel=1e-5)


def test_the_named_attribute_is_the_one_that_adds_most_and_its_share_is_exact() -> None:
    items = pd.DataFrame(
        {"item_id": ["a", "b", "c", "d"], "title": ["x y", "x", "y", "z"], "categories": [["k"], ["k"], ["l"], ["m"]]}
    )
    data = log_of(("u", "b", 0), ("u", "c", 0), weight=[3.0, 1.0])
    model = build_model("content", category_weight=1.0, num_neighbors=0).fit(data, items=items)
    told = model.explain_attributes(pairs("u", "a", "d", "comet"))
    # titles and categories weigh the same; a has x and y, 1 / sqrt(2) each, and k; three quarters of the past are b, with x and k
    x, y, k = 0.75 / sqrt(2), 0.25 / sqrt(2), 0.75
    assert told["attribute"].fillna("none").tolist() == ["categories: k", "none", "none"]
    assert told["share"].tolist()[0] == pytest.approx(k / (x + y + k))
    assert told["share"].isna().tolist() == [False, True, True]
    assert model.score(pairs("u", "a"))[0] == pytest.approx((x + y + k) / 2)


def test_attributes_are_named_again_after_loading(tmp_path: Path) -> None:
    model = build_model("content").fit(log_of(("ann", "tea", 0)), items=ITEMS)
    model.save(tmp_path / "model")
    told = load_model(tmp_path / "model").explain_attributes(pairs("ann", "cup"))
    assert told["attribute"].tolist() == ["title: tea"] and told["share"].tolist() == [1.0]


def test_similar_items_read_alike() -> None:
    model = build_model("content").fit(log_of(("ann", "tea", 0)), items=ITEMS)
    similar = model.similar_items(["cup", "void", "comet", "cup"], k=3)
    assert list(similar.columns) == ["item_id", "similar_item_id", "score", "rank"]
    assert similar["item_id"].tolist() == ["cup", "cup"]
    assert similar["similar_item_id"].tolist() == ["pot", "tea"], "nothing is like itself, or like what it shares nothing with"
    assert similar["rank"].tolist() == [1, 2]
    assert similar["score"].is_monotonic_decreasing
    assert model.similar_items([]).empty


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a sentence-transformers model of six words: the mean of their vectors, and two of them mean nearly the same."""
    pytest.importorskip("sentence_transformers")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["unknown", "couch", "sofa", "hammer", "velvet", "nail"]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="unknown"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = torch.tensor([[0, 0, 1], [1, 0.1, 0], [1, 0.2, 0], [-1, 1, 0], [0.5, 0, 0.1], [-1, 0.8, 0.0]])
    folder = tmp_path_factory.mktemp("encoder") / "words"
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu").save(str(folder))
    return folder


def furnished(encoder: Path | str, **config: Any) -> Model:
    items = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "title": ["couch", "sofa", "hammer", None]})
    return build_model("content", encoder=str(encoder), **config).fit(log_of(("ann", "a", 0)), items=items)


@pytest.mark.slow
def test_a_sentence_encoder_finds_what_means_the_same_in_other_words(encoder: Path, tmp_path: Path) -> None:
    model = furnished(encoder, num_neighbors=0)
    first, second = np.asarray([1, 0.1]), np.asarray([1, 0.2])
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    scores = model.score(pairs("ann", "b", "c", "d"))
    assert scores[0] == pytest.approx(cosine, rel=1e-6)
    assert np.isnan(scores[1:]).all(), "the opposite, and what has no text, say nothing"
    assert model.explain(pairs("ann", "b"))["because"].tolist() == ["a"]
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").score(pairs("ann", "b")).tolist() == scores[:1].tolist()


@pytest.mark.slow
def test_sentences_and_categories_share_a_vector_of_length_1(encoder: Path) -> None:
    items = pd.DataFrame({"item_id": ["a", "b"], "title": ["couch", "couch"], "categories": [["x"], ["y"]]})
    model = build_model("content", encoder=str(encoder), text_weight=2.0, num_neighbors=0).fit(
        log_of(("ann", "a", 0)), items=items
    )
    assert model.score(pairs("ann", "a", "b")).tolist() == pytest.approx([1.0, 4 / 5], rel=1e-6)


def test_an_encoder_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match="sentence-transformers") as error:
        furnished("any")
    assert "bowerbird[text]" in str(error.value)


def test_settings_stand_in_the_saved_model(tmp_path: Path) -> None:
    model = build_model("content", category_weight=0.7).fit(log_of(("ann", "tea", 0)), items=ITEMS)
    model.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text())["config"]["category_weight"] == 0.7
