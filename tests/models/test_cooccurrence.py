from math import sqrt

import pandas as pd
import pytest

from bowerbird import Interactions, build_model
from bowerbird.models.cooccurrence import count_pairs, unit
from bowerbird.testing import ModelConformance


class TestCooccurrence(ModelConformance):
    name = "cooccurrence"
    expected_ndcg = 0.0627
    can_update = True
    can_explain = True


class TestCountsAlone(ModelConformance):
    name = "cooccurrence"
    expected_ndcg = 0.0547
    config = {"window": 2, "knn_weight": 0, "max_history": 3}  # noqa: RUF012  read only
    can_update = True
    can_explain = True


def log(*walks: str, weights: list[float] | None = None) -> Interactions:
    """Return one user a walk, u0, u1, ...; each letter is an item."""
    rows = [(f"u{user}", item) for user, walk in enumerate(walks) for item in walk]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"]).assign(timestamp=range(len(rows)))
    return Interactions.from_frame(frame if weights is None else frame.assign(weight=weights))


def counted(data: Interactions, window: int = 3) -> dict[str, float]:
    entries = (count_pairs(data, window) / unit(window)).tocoo()
    return {f"{data.item_ids[j]}{data.item_ids[i]}": n for j, i, n in zip(entries.row, entries.col, entries.data, strict=True)}


def test_pairs_are_directed_and_count_by_distance() -> None:
    expected = {"xy": 1, "xz": 1 / 2, "xw": 1 / 3, "yz": 1 + 1, "yw": 1 / 2, "zw": 1}
    assert counted(log("xyzw", "yz")) == pytest.approx(expected)


def test_pairs_beyond_the_window_and_across_users_do_not_count() -> None:
    assert counted(log("xyz", "w"), window=1) == {"xy": 1, "yz": 1}


def test_an_item_may_follow_itself() -> None:
    assert counted(log("xyx")) == pytest.approx({"xy": 1, "xx": 1 / 2, "yx": 1})


def test_events_of_weight_0_have_no_place_and_other_weights_do_not_matter() -> None:
    assert counted(log("xqy", weights=[1.0, 0.0, 7.0])) == {"xy": 1}


def test_the_score_is_decayed_evidence_with_a_trace_of_cosine() -> None:
    model = build_model("cooccurrence").fit(log("xyz", "yz", "xy"))
    cos_xz, cos_yz = 1 / sqrt(2 * 2), 2 / sqrt(3 * 2)
    expected = (2 + 0.001 * cos_yz) + 0.7 * (1 / 2 + 0.001 * cos_xz)
    assert model.score(pd.DataFrame({"user_id": ["u2"], "item_id": ["z"]}))[0] == pytest.approx(expected)


def test_the_reason_is_the_past_item_that_contributes_most() -> None:
    model = build_model("cooccurrence", knn_weight=0).fit(log("xyz", "yz", "xy"))
    why = model.explain(pd.DataFrame({"user_id": ["u2", "u2"], "item_id": ["z", "x"]}))
    assert why["because"].fillna("nothing").tolist() == ["y", "nothing"]
    assert why["share"][0] == pytest.approx(2 / (2 + 0.7 / 2))


def test_explanations_follow_the_history_that_is_given() -> None:
    model = build_model("cooccurrence", knn_weight=0).fit(log("xyz", "yz", "xy"))
    why = model.explain(
        pd.DataFrame({"user_id": ["u2"], "item_id": ["z"]}), history=pd.DataFrame({"user_id": ["u2"], "item_id": ["x"]})
    )
    assert why[["because", "share"]].to_numpy().tolist() == [["x", 1.0]]


def test_old_events_are_left_out_beyond_max_history() -> None:
    model = build_model("cooccurrence", knn_weight=0, max_history=1).fit(log("xyz", "xq"))
    lists = model.recommend(["new"], history=pd.DataFrame({"user_id": ["new"] * 2, "item_id": ["x", "y"]}))
    assert lists[lists["source"] == "cooccurrence"]["item_id"].tolist() == ["z"], "q follows x, which is too far back"


def test_an_update_counts_only_the_users_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model("cooccurrence").fit(log("xyz", "yz", "xy"))
    seen: list[list[str]] = []

    def spy(data: Interactions, window: int) -> object:
        seen.append(sorted({str(data.user_ids[code]) for code in data.users}))
        return count_pairs(data, window)

    monkeypatch.setattr("bowerbird.models.cooccurrence.count_pairs", spy)
    model.update(Interactions.from_frame(pd.DataFrame({"user_id": ["u1", "new"], "item_id": ["q", "z"], "timestamp": [99, 99]})))
    assert seen == [["u1"], ["new", "u1"]]
