"""Features of pairs, by hand."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.models.histories import Histories, HistoryReader
from bowerbird.models.pair_features import PairFeatures
from bowerbird.testing.datasets import small_log

ROWS = [  # user, item, day, weight
    ("ann", "tea", 1, 1.0),
    ("ann", "tea", 3, 4.0),
    ("ann", "cup", 4, 1.0),
    ("bob", "tea", 2, 1.0),
    ("bob", "pot", 8, 0.0),
]
ITEMS = pd.DataFrame(
    {
        "item_id": ["cup", "tea", "pot", "new", "late", "alien"],
        "categories": [["ware"], ["drink", "hot"], ["ware", "hot"], None, ["ware"], ["ware"]],
        "price": [8.0, 2.0, None, 4.0, 1.0, 1.0],
        "created_at": pd.to_datetime([None, None, None, "1970-01-05", "1970-01-12", None], utc=True),
        "grams": [300, 50, 900, 1, 2, 3],
    }
)
USERS = pd.DataFrame({"user_id": ["bob", "zoe"], "age": [40, 41], "town": ["Bern", "Rome"]})
END = 10 * MICROSECONDS_A_DAY


def events(rows: list[tuple[str, str, int, float]] = ROWS) -> Interactions:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day", "weight"])
    data = Interactions.from_frame(frame.assign(timestamp=frame["day"] * 86400))
    return data.with_items(np.array(["new", "late"], object))


def values(features: PairFeatures, data: Interactions, user: str, item: str, at: int = END) -> dict[str, float]:
    histories = HistoryReader(data, None).read(pd.Index(["nobody", user]))
    row = features.of(histories, np.array([1]), data.item_index.get_indexer([item]), at)
    assert row.dtype == np.float32 and row.shape == (1, len(features.names))
    return dict(zip(features.names, row[0].tolist(), strict=True))


def test_each_feature_by_hand() -> None:
    data = events()
    features = PairFeatures.fit(data, ITEMS, USERS, at=END)
    cosine = 1 / (sqrt(2) * 1 + 5)  # tea: ann, bob; cup: ann
    expected = {
        "user_num_events": 3, "user_num_evidence": 3, "user_num_items": 2, "user_weight": 6, "user_days_since_last": 6,
        "user_mean_gap_days": 1.5, "user_mean_price": 4, "users.age": np.nan,
        "item_num_events": 1, "item_num_evidence": 1, "item_num_users": 1, "item_weight": 1, "item_age_days": 6, "item_price": 8,
        "item_num_events_7d": 1, "item_num_events_28d": 1, "item_weight_7d": 1, "item_weight_28d": 1, "item_num_users_28d": 1,
        "item_days_since_last": 6, "items.grams": 300,
        "pair_num_events": 1, "pair_weight": 1, "pair_days_since_last": 6,
        "category_share": 1 / 6, "price_ratio": log(8 / 4),
        # cup follows tea at the distances 2 and 1, so the pair weighs 1.5; her tea is 2 and 1 events back
        "cooccurrence": 0.49 * 1.5 + 0.7 * 1.5,
        "similarity": cosine,
    }  # fmt: skip
    assert values(features, data, "ann", "cup") == pytest.approx(expected, nan_ok=True)
    assert values(features, data, "bob", "cup")["users.age"] == 40


def test_an_item_of_the_catalogue_without_events_has_counts_of_0_and_no_recency() -> None:
    data = events()
    features = PairFeatures.fit(data, ITEMS, USERS, at=END)
    new = values(features, data, "ann", "new")
    assert (new["item_num_events"], new["item_num_users_28d"], new["item_age_days"], new["item_price"]) == (0, 0, 6, 4)
    assert np.isnan(new["item_days_since_last"]) and np.isnan(new["pair_days_since_last"]) and np.isnan(new["category_share"])
    assert (new["pair_num_events"], new["similarity"], new["cooccurrence"]) == (0, 0, 0)
    assert dict(zip(data.item_ids, features.is_known, strict=True)) == {
        "cup": True, "late": False, "new": True, "pot": True, "tea": True,
    }  # fmt: skip


def test_nothing_at_or_after_the_moment_enters() -> None:
    planted = [("ann", "pot", 10, 9.0), ("bob", "cup", 11, 9.0), ("zoe", "tea", 12, 9.0), ("ann", "tea", 10, 1.0)]
    before, after = events(), events([*ROWS, *planted])
    first = PairFeatures.fit(before, ITEMS, USERS, at=END)
    second = PairFeatures.fit(after, ITEMS, USERS, at=END)
    assert first.names == second.names
    for user in ("ann", "bob", "zoe"):
        for item in before.item_ids:
            one, two = (values(*of, user, item) for of in ((first, before), (second, after)))
            if user == "zoe":  # known by her first event alone, and to the frame of users
                one["users.age"] = two["users.age"]
            assert one == pytest.approx(two, nan_ok=True), (user, item)


def test_a_history_that_is_given_counts_for_a_user_never_seen() -> None:
    data = events()
    features = PairFeatures.fit(data, ITEMS, None, at=END)
    given = pd.DataFrame({"user_id": ["eve"] * 2, "item_id": ["tea", "tea"], "timestamp": [5 * 86400, 9 * 86400]})
    histories = HistoryReader(data, given).read(pd.Index(["eve"]))
    row = features.of(histories, np.array([0]), data.item_index.get_indexer(["tea"]), END)[0]
    found = dict(zip(features.names, row.tolist(), strict=True))
    assert (found["user_num_events"], found["pair_num_events"], found["pair_days_since_last"]) == (2, 2, 1)
    assert found["category_share"] == 1


def test_times_of_users_are_capped_at_the_span_of_the_data() -> None:
    data = events()
    features = PairFeatures.fit(data, None, None, at=END)
    later = values(features, data, "ann", "cup", at=END + 1000 * MICROSECONDS_A_DAY)
    assert later["user_days_since_last"] == later["pair_days_since_last"] == 9


def test_users_without_events_have_no_features_of_their_own() -> None:
    data = events()
    nobody = values(PairFeatures.fit(data, ITEMS, USERS), data, "nobody at all", "tea")
    assert all(np.isnan(value) for name, value in nobody.items() if name.startswith("user"))
    assert nobody["item_num_users"] == 2


def test_features_come_back_from_arrays() -> None:
    data = events()
    features = PairFeatures.fit(data, ITEMS, USERS)
    restored = PairFeatures.restore(features.arrays())
    histories = Histories.of_all(data)
    pairs = np.repeat(np.arange(2), data.num_items), np.tile(np.arange(data.num_items), 2)
    assert restored.names == features.names and restored.is_known.tolist() == features.is_known.tolist()
    np.testing.assert_array_equal(restored.of(histories, *pairs, END), features.of(histories, *pairs, END))


def test_weights_too_small_or_too_large_for_decimals_count_as_the_nearest() -> None:
    data = Interactions.from_frame(small_log().assign(weight=[1e-12, 1e300] * 11))
    features = PairFeatures.fit(data, None, None)
    row = features.of(Histories.of_all(data), np.array([0]), np.array([0]), data.last_timestamp + 1)
    assert np.isfinite(row[0, list(features.names).index("pair_weight")])


def test_no_item_and_no_event_before_the_moment_is_no_error() -> None:
    data = events()
    features = PairFeatures.fit(data, None, None, at=0)
    row = features.of(Histories.of_all(data), np.array([0, 1]), np.array([0, 1]), 0)
    assert row.shape == (2, len(features.names)) and not features.is_known.any()
