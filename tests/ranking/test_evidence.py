"""Why an item is in a list: the generator, the past item, and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bowerbird import Interactions, build_model
from bowerbird.models.base import Arrays, Histories, Model
from bowerbird.models.deletion import explain_by_deletion
from bowerbird.ranking.evidence import evidence
from bowerbird.testing import small_log

DATA = Interactions.from_frame(small_log())


class Echo(Model):
    """Scores apple by how often the user had a plum, pear by the number of figs, where there are any, and glue always 1."""

    name = "echo"

    def _fit(self, data: Interactions, items: Any, users: Any) -> None:
        pass

    def _score(self, histories: Histories, at: int) -> np.ndarray:
        scores_BN = np.full((len(histories.users), self.data.num_items), -np.inf, np.float32)
        code = {item: place for place, item in enumerate(self.data.item_ids)}
        for scored, counted in (("apple", "plum"), ("pear", "fig")):
            had = histories.items == code[counted]
            counts_B = np.bincount(histories.rows[had], minlength=len(scores_BN))
            scores_BN[:, code[scored]] = np.where(counts_B > 0, counts_B, -np.inf)
        scores_BN[:, code["glue"]] = 1.0
        return scores_BN

    def _arrays(self) -> Arrays:
        return {}

    def _restore(self, arrays: Arrays) -> None:
        pass


def echo() -> Model:
    return Echo(Echo.Config()).fit(DATA)


def test_deletion_names_the_past_item_without_which_the_score_falls() -> None:
    why = explain_by_deletion(echo(), pd.DataFrame({"user_id": ["bob", "ann"], "item_id": ["apple", "pear"]}))
    assert why["because"].tolist() == ["plum", "fig"]
    assert why["share"].isna().all(), "no share is exact"


def test_deletion_names_nothing_where_no_removal_lowers_the_score() -> None:
    why = explain_by_deletion(echo(), pd.DataFrame({"user_id": ["bob", "cem", "nobody"], "item_id": ["glue", "apple", "apple"]}))
    assert why["because"].isna().all()


def test_deletion_looks_at_the_last_distinct_items_only() -> None:
    pairs = pd.DataFrame({"user_id": ["ann"], "item_id": ["apple"]})  # ann: apple pear plum apple fig
    assert explain_by_deletion(echo(), pairs, num_past=2)["because"].isna().all()
    assert explain_by_deletion(echo(), pairs, num_past=3)["because"].tolist() == ["plum"]


def test_a_model_with_contributions_names_item_and_share() -> None:
    model = build_model("item_knn").fit(DATA)
    told = evidence(model, model.recommend(["bob"], k=1), titles={"apple": "A red apple"})
    why = model.explain(told[["user_id", "item_id"]])
    assert told["because"].tolist() == why["because"].tolist() and told["share"].tolist() == why["share"].tolist()
    words = {"apple": "A red apple"}.get(told["because"][0], told["because"][0])
    assert told["reason"][0] == f"because of {words}"
    assert told["generator"].tolist() == ["item_knn"]


def test_a_model_of_descriptions_names_the_attribute_that_speaks_most_for_an_item() -> None:
    items = pd.DataFrame({"item_id": ["apple", "pear", "saw", "plum"], "categories": [["fruit"], ["fruit"], ["tool"], ["fruit"]]})
    blend = build_model("blend", generators=[{"name": "content"}, {"name": "popularity"}], weights=[9.0, 1.0])
    model = blend.fit(DATA, items=items)
    told = evidence(model, model.recommend(["eva"], k=8), titles={"apple": "A red apple"}).set_index("item_id")  # eva: apple fig
    assert told.loc["pear", ["generator", "attribute", "attribute_share"]].tolist() == ["content", "categories: fruit", 1.0]
    assert told.loc["pear", "reason"] == "because of A red apple (categories: fruit)"
    assert told.loc["saw", "attribute"] is None and np.isnan(told.loc["saw", "attribute_share"])


def test_a_fallback_says_popular() -> None:
    model = build_model("item_knn").fit(DATA)
    told = evidence(model, model.recommend(["nobody"], k=2))
    assert told["reason"].tolist() == ["popular"] * 2 and told["generator"].tolist() == ["fallback"] * 2
    assert told["because"].isna().all() and told["share"].isna().all()


def test_what_was_had_before_says_so() -> None:
    model = build_model("personal_frequency").fit(DATA)
    told = evidence(model, model.recommend(["gus"], k=1, exclude_seen=False), exclude_seen=False)
    assert told["reason"].tolist() == ["had before"]


def test_a_composite_names_the_generator_and_what_that_says() -> None:
    model = build_model("blend", generators=[{"name": "item_knn"}, {"name": "popularity"}], weights=[100.0, 1.0]).fit(DATA)
    told = evidence(model, model.recommend(["bob"], k=8))
    by_generator = told.groupby("generator")
    assert set(by_generator.groups) == {"item_knn", "popularity"}
    assert by_generator.get_group("item_knn")["because"].notna().all()
    assert by_generator.get_group("popularity")["reason"].eq("popular").all()


def test_a_model_without_contributions_is_tested_by_deletion() -> None:
    model = echo()
    told = evidence(model, model.recommend(["bob"], k=3, exclude_seen=False), exclude_seen=False).set_index("item_id")
    assert told.loc["apple", "reason"] == "because of plum"
    assert told.loc["glue", "reason"] == "fits the history, says echo"


def test_no_lists_have_no_evidence() -> None:
    model = build_model("item_knn").fit(DATA)
    assert evidence(model, model.recommend([], k=3)).columns.tolist()[5:] == [
        *("generator", "because", "share", "attribute", "attribute_share", "reason"),
    ]
