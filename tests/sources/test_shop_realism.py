"""The simulated shop against a real one: repeat rate, popularity slope and baskets, both over 60 days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.evaluation.metrics import per_user_metrics
from bowerbird.models import build_model
from bowerbird.sources.shop import Shop, ShopConfig

YEAR_1 = Path(__file__).parents[3] / "shared" / "data" / "online-retail" / "online_retail_II_2009-2010_full_columns.parquet"
needs_data = pytest.mark.skipif(not YEAR_1.exists(), reason="Online Retail is not at ../shared/data/online-retail")
BAND = 0.1
"""A figure of the sample may lie this share outside of what the real shop's windows of 60 days span."""


def shape(lines: pd.DataFrame) -> dict[str, float]:
    """Measure purchase lines ``user, item, order, at``; each figure is defined in docs/reference/sample.md."""
    lines = lines.drop_duplicates(["order", "item"]).sort_values("at", kind="stable")
    counts = np.sort(lines.groupby("item").size().to_numpy())[::-1]
    half, ranks = len(counts) // 2, np.arange(1, len(counts) + 1)
    baskets = lines.groupby("order").size()
    is_last_week = lines["at"] >= lines["at"].max() - pd.Timedelta(days=7)
    last_week = lines[is_last_week].drop_duplicates(["user", "item"])
    before = pd.MultiIndex.from_frame(lines.loc[~is_last_week, ["user", "item"]])
    return {
        "repeat_lines": float(lines.duplicated(["user", "item"]).mean()),
        "repeat_last_week": float(pd.MultiIndex.from_frame(last_week[["user", "item"]]).isin(before).mean()),
        "popularity_slope": -float(np.polyfit(np.log(ranks[:half]), np.log(counts[:half]), 1)[0]),
        "top_fifth": float(counts[: len(counts) // 5].sum() / counts.sum()),
        "basket_variation": float(baskets.std() / baskets.mean()),
        "basket_mean": float(baskets.mean()),
        "single_item_baskets": float((baskets == 1).mean()),
        "orders_a_user": float(lines.groupby("user")["order"].nunique().mean()),
    }


def simulated(seed: int) -> dict[str, float]:
    events = Shop(ShopConfig(seed=seed)).events()
    names = {"user_id": "user", "item_id": "item", "session_id": "order", "timestamp": "at"}
    return shape(events[events["event"] == "purchase"].rename(columns=names))


def real() -> list[dict[str, float]]:
    """One entry a window of 60 days, a window each 30 days."""
    year = pd.read_parquet(YEAR_1)
    year = year[year["Customer ID"].notna() & (year["Quantity"] > 0) & (year["Price"] > 0)]
    year = year[year["StockCode"].str.fullmatch(r"\d{5}[A-Za-z]*")]
    year = year.rename(columns={"Customer ID": "user", "StockCode": "item", "Invoice": "order"})
    year["at"] = pd.to_datetime(year["InvoiceDate"])
    starts = pd.date_range(year["at"].min().normalize(), periods=11, freq="30D")
    windows = [year[(year["at"] >= start) & (year["at"] < start + pd.Timedelta(days=60))] for start in starts]
    return [shape(window) for window in windows]


@needs_data
@pytest.mark.parametrize("seed", [1, 2])
def test_sample_repeats_and_concentrates_like_online_retail(seed: int) -> None:
    windows, sample = real(), simulated(seed)
    for name in ("repeat_lines", "repeat_last_week", "popularity_slope", "top_fifth", "basket_variation"):
        low = min(window[name] for window in windows) * (1 - BAND)
        high = max(window[name] for window in windows) * (1 + BAND)
        assert low <= sample[name] <= high, f"{name}: {sample[name]:.3f} is not in [{low:.3f}, {high:.3f}]"


def test_sample_has_the_baskets_of_people_not_of_shops() -> None:
    sample = simulated(1)
    assert 1.5 <= sample["basket_mean"] <= 3
    assert 0.4 <= sample["single_item_baskets"] <= 0.7


def test_no_family_of_models_is_favoured() -> None:
    events = Shop().events()
    events = events[events["event"] != "return"]
    events["weight"] = events["event"].map({"view": 0.2, "cart": 0.5, "purchase": 1.0})
    is_past = events["timestamp"] < pd.Timestamp("2026-06-24", tz="UTC")
    past = events[is_past]
    targets = events.loc[~is_past & (events["event"] == "purchase"), ["user_id", "item_id"]].drop_duplicates()
    known = pd.MultiIndex.from_frame(past[["user_id", "item_id"]])
    never_seen = targets[~pd.MultiIndex.from_frame(targets).isin(known)]
    data = Interactions.from_frame(past)
    all_of_them: dict[str, float] = {}
    of_new_items: dict[str, float] = {}
    for name in ("random", "popularity", "item_knn", "cooccurrence", "personal_frequency"):
        model = build_model(name).fit(data)
        for result, pairs, exclude_seen in ((all_of_them, targets, False), (of_new_items, never_seen, True)):
            lists = model.recommend(pairs["user_id"].unique(), exclude_seen=exclude_seen)
            result[name] = float(per_user_metrics(lists, pairs, k=10, metrics=["ndcg"])["ndcg"].mean())
    for name in ("popularity", "item_knn", "cooccurrence", "personal_frequency"):
        assert 5 * all_of_them["random"] < all_of_them[name] < 0.3, all_of_them
    assert max(all_of_them, key=all_of_them.__getitem__) != max(of_new_items, key=of_new_items.__getitem__)
