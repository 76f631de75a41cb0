from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions, build_model, load_model
from bowerbird.errors import RecipeError
from bowerbird.models.two_stage import TwoStage
from bowerbird.testing import ModelConformance


class TestTwoStage(ModelConformance):
    name = "two_stage"
    expected_ndcg = 0.0532  # users of MovieLens rate on one day, so none teaches a ranker: reciprocal ranks


class TestTwoStageThatLearnsFromLittle(ModelConformance):
    name = "two_stage"
    config = {  # noqa: RUF012
        "min_users": 1,
        "horizon_days": 0.4,
        "exclude_seen": False,
        "ranker": {"name": "lambdamart", "min_samples_leaf": 1},
    }
    solves_checkerboard = False


class TestTwoStageWithATree(TestTwoStageThatLearnsFromLittle):
    config = TestTwoStageThatLearnsFromLittle.config | {"ranker": {"name": "decision_tree", "min_samples_leaf": 1}}


def planted_log(num_users: int = 80) -> pd.DataFrame:
    """Return a log in which each user has a dear and a cheap item by turns, and buys the cheap one of two equals at the end."""
    rng = np.random.default_rng(1)
    rows = []
    for user in range(num_users):
        group = user % 4
        shelf = [f"{group} {kind} {number}" for kind in ("cheap", "dear") for number in range(5)]
        for step, item in enumerate(rng.permutation(shelf)[:4]):
            rows.append((f"u{user:02d}", item, 86400 * step))
        seen = {item for name, item, _ in rows if name == f"u{user:02d}"}
        left = [item for item in shelf if "cheap" in item and item not in seen]
        rows.append((f"u{user:02d}", left[0], 86400 * 30))
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def planted_items(frame: pd.DataFrame) -> pd.DataFrame:
    items = pd.DataFrame({"item_id": sorted(frame["item_id"].unique())})
    return items.assign(price=[1.0 if "cheap" in item else 100.0 for item in items["item_id"]])


def planted(**config: object) -> TwoStage:
    frame = planted_log()
    model = build_model("two_stage", **{"horizon_days": 10.0, **config})
    model.fit(Interactions.from_frame(frame), items=planted_items(frame))
    assert isinstance(model, TwoStage)
    return model


@pytest.mark.parametrize(("ranker", "share"), [("lambdamart", 0.95), ("decision_tree", 0.95), ("naive_bayes", 0.85)])
def test_the_ranker_learns_what_generators_cannot_see(ranker: str, share: float) -> None:
    firsts = planted(ranker={"name": ranker}).recommend(sorted(planted_log()["user_id"].unique()), k=1)
    assert firsts["item_id"].str.contains("cheap").mean() > share
    fused = planted(min_users=1000).recommend(sorted(planted_log()["user_id"].unique()), k=1)
    assert fused["item_id"].str.contains("cheap").mean() < 0.8


def test_where_events_have_labels_the_ranker_learns_what_they_call_success() -> None:
    frame = planted_log()
    last = frame["timestamp"] == frame["timestamp"].max()
    dear = frame[last].assign(item_id=[item.replace("cheap", "dear") for item in frame[last]["item_id"]])
    both = pd.concat([frame, dear], ignore_index=True)  # in the end everybody has a cheap item and its dear twin
    shares = []
    for wanted in ("cheap", "dear"):
        labels = both["item_id"].str.contains(wanted).astype(float)
        model = build_model("two_stage", horizon_days=10.0, min_users=20, ranker={"name": "lambdamart", "min_samples_leaf": 5})
        model.fit(Interactions.from_frame(both.assign(label=labels)), items=planted_items(both))
        lists = model.recommend(frame["user_id"].unique(), k=1)
        shares.append(lists["item_id"].str.contains(wanted).mean())
    assert min(shares) > 0.8, shares


def test_a_linear_ranker_ranks_too() -> None:
    model = planted(ranker={"name": "linear_svm"})
    assert model._ranker._learned
    assert set(model.recommend(["u00", "u01"], k=3)["source"]) == {"two_stage"}


def test_too_few_users_leave_the_order_to_reciprocal_ranks(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        model = planted(min_users=1000)
    assert "under 1000 users to learn a ranker from" in caplog.text
    blend = build_model("blend").fit(Interactions.from_frame(planted_log()), items=planted_items(planted_log()))
    pd.testing.assert_frame_equal(
        model.recommend(["u00", "u01"]).drop(columns="source"), blend.recommend(["u00", "u01"]).drop(columns="source")
    )


def test_generators_know_all_events_in_the_end_and_only_the_early_ones_when_the_ranker_learns() -> None:
    seen: list[int] = []
    original = TwoStage._learn

    def spied(self: TwoStage, cut: int, *given: object) -> None:
        seen.extend(part.data.last_timestamp for part in self.generators)
        assert max(seen) < cut
        original(self, cut, *given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwoStage, "_learn", spied)
        model = planted()
    assert len(seen) == 2
    assert all(part.data.last_timestamp == 86400 * 30 * 10**6 for part in model.generators)


def test_a_saved_ranker_ranks_as_before_and_nothing_is_pickled(tmp_path: Path) -> None:
    model = planted()
    users = sorted(planted_log()["user_id"].unique())
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").recommend(users, k=5).equals(model.recommend(users, k=5))
    assert {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_two_fits_are_one() -> None:
    users = sorted(planted_log()["user_id"].unique())
    assert planted().recommend(users, k=5).equals(planted().recommend(users, k=5))


@pytest.mark.parametrize(
    ("ranker", "message"),
    [
        ({"name": "lambda_mart"}, "did you mean 'lambdamart'"),
        ({"name": "item_knn"}, "no ranker 'item_knn'"),
        ({"name": "lambdamart", "num_tree": 5}, "did you mean 'num_trees'"),
        ({"name": "naive_bayes", "horizon": 5}, "has no key 'horizon'"),
    ],
)
def test_a_mistake_in_the_ranker_is_told(ranker: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_model("two_stage", ranker=ranker)
