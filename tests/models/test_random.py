import numpy as np
import pandas as pd

from bowerbird import Interactions, build_model
from bowerbird.testing import ModelConformance, small_log


class TestRandom(ModelConformance):
    name = "random"
    expected_ndcg = 0.0
    solves_checkerboard = False
    can_update = True


def test_another_seed_gives_other_scores() -> None:
    data = Interactions.from_frame(small_log())
    pairs = small_log()[["user_id", "item_id"]].drop_duplicates()
    first, second = (build_model("random", seed=seed).fit(data).score(pairs) for seed in (1, 2))
    assert not np.isclose(first, second).any()


def test_a_score_depends_on_seed_user_and_item_alone() -> None:
    few = Interactions.from_frame(small_log().query("user_id == 'ann'"))
    many = Interactions.from_frame(small_log())
    pairs = pd.DataFrame({"user_id": ["ann"] * 4, "item_id": ["apple", "pear", "plum", "fig"]})
    assert (build_model("random").fit(few).score(pairs) == build_model("random").fit(many).score(pairs)).all()


def test_scores_are_spread_evenly() -> None:
    frame = pd.DataFrame({"user_id": range(300), "item_id": range(300), "timestamp": 0})
    lists = build_model("random").fit(Interactions.from_frame(frame)).recommend(range(300), k=300, exclude_seen=False)
    counts, _ = np.histogram(lists["score"], bins=10, range=(0, 1))
    np.testing.assert_allclose(counts, 9000, rtol=0.05)
    assert abs(lists.groupby("item_id")["score"].mean() - 0.5).max() < 0.1
