"""Columns that know the future, and ones that only look so: on made-up logs, and on real ones."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from bowerbird.evaluation.foreknowledge import what_is_foreknown
from bowerbird.recipe import Recipe
from bowerbird.testing.datasets import movielens_events
from bowerbird.warehouse.leak_facts import counts_across
from tests.sources.test_real_sources import DATA, real

Columns = dict[str, np.ndarray]


def made_up(seed: int, *, num_items: int = 300, share_after: float = 0.2, drift: float = 0.3, size: float = 20) -> pd.DataFrame:
    """Draw what ``counts_across.sql`` gives for items whose popularity drifts, each with a quality that ratings show."""
    rng = np.random.default_rng(seed)
    rate, quality = size * rng.lognormal(0, 1, num_items), rng.normal(3.5, 0.5, num_items)
    later_rate = rate * rng.lognormal(0, drift, num_items)
    before, after = rng.poisson(rate * (1 - share_after)), rng.poisson(later_rate * share_after)
    half = rng.binomial(after, 0.5)
    sums = {
        part: rng.normal(quality * num, np.sqrt(num))
        for part, num in (("before", before), ("half", half), ("rest", after - half))
    }
    last = [rng.beta(np.maximum(num, 1), 1) for num in (half, after - half)]
    found: dict[str, object] = {"events_recent": rng.binomial(before, 0.25), "rate": later_rate, "quality": quality}
    for name in ("events", "targets", "others", "valued"):
        found |= {f"{name}_before": before, f"{name}_after": after, f"{name}_half": half}
    found |= {"value_before": sums["before"], "value_half": sums["half"], "value_after": sums["half"] + sums["rest"]}
    found |= {"first_moment": -rng.random(num_items) / 3 - 0.6, "last_before": -0.5 * rng.beta(1, np.maximum(before, 1))}
    return pd.DataFrame(found | {"last_half": last[0], "last_other_half": last[1], "last_after": np.maximum(*last)})


def leaking(counts: pd.DataFrame) -> Columns:
    """Return columns that were computed over the whole log, or over what came later."""
    rng = np.random.default_rng(5)
    whole = (counts["events_before"] + counts["events_after"]).to_numpy(np.float64)
    rated = (counts["valued_before"] + counts["valued_after"]).to_numpy(np.float64)
    mean = (counts["value_before"] + counts["value_after"]).to_numpy() / np.maximum(rated, 1)
    found = {
        "logarithm": np.log1p(whole),
        "average a day": whole / 100,
        "rank": -pd.Series(whole).rank().to_numpy(),
        "dense rank": pd.Series(-whole).rank(method="dense").to_numpy(),
        "percentile": pd.Series(whole).rank(pct=True).round(2).to_numpy(),
        "later count": counts["events_after"].to_numpy(np.float64),
        "noisy count": whole * rng.lognormal(0, 0.03, len(whole)),
        "noisy logarithm of later": np.log1p(counts["events_after"]).to_numpy() + rng.normal(0, 0.1, len(whole)),
        "days since the last": counts["last_after"].max() - counts["last_after"].to_numpy(),
    }
    return found | ({"mean rating": mean, "noisy mean rating": mean + rng.normal(0, 0.02, len(mean))} if rated.any() else {})


def honest(counts: pd.DataFrame) -> Columns:
    """Return columns that were there before."""
    rng = np.random.default_rng(6)
    before = counts["events_before"].to_numpy(np.float64)
    found = {
        "count": before,
        "earlier count": rng.binomial(counts["events_before"], 0.7).astype(np.float64),
        "logarithm": np.log1p(before),
        "rank": -pd.Series(before).rank().to_numpy(),
        "days since the last": -counts["last_before"].to_numpy(),
        "age": -counts["first_moment"].to_numpy(),
        "turnover": before * rng.lognormal(2, 1, len(before)),
        "price": rng.lognormal(3, 1, len(before)),
        "mean rating": (counts["value_before"] / np.maximum(counts["valued_before"], 1)).to_numpy(),
    }
    if "rate" in counts:
        found["grade of what will sell"] = np.log(counts["rate"]).to_numpy() + rng.normal(0, 0.3, len(before))
        found["grade of quality"] = counts["quality"].to_numpy() + rng.normal(0, 0.3, len(before))
    return found


def told(columns: Columns, counts: pd.DataFrame) -> set[str]:
    return {name for name, column in columns.items() if what_is_foreknown(column, counts) is not None}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", [{}, {"share_after": 0.5}, {"drift": 0.0}, {"drift": 1.0}, {"size": 4}])
def test_what_was_computed_over_the_whole_log_is_found_in_every_guise_and_what_was_there_before_is_not(seed: int, case: dict):
    counts = made_up(seed, **case)
    assert told(leaking(counts), counts) == set(leaking(counts))
    assert told(honest(counts), counts) == set()


@pytest.mark.parametrize("size", [5, 20, 100])
def test_who_foretells_what_will_sell_leaks_only_where_nobody_could_know_so_much(size: float):
    """The true later rates are as much as can be known; later counts say more than those where few events come."""
    counts = made_up(1, num_items=1000, size=size)
    assert what_is_foreknown(np.log(counts["rate"]).to_numpy(), counts) is None
    assert what_is_foreknown(np.log1p(counts["events_after"]).to_numpy(), counts) == "the number of events"


def test_what_is_found_is_named():
    counts = made_up(1)
    columns = leaking(counts)
    assert what_is_foreknown(columns["mean rating"], counts) == "the mean rating"
    assert what_is_foreknown(columns["days since the last"], counts) == "the newest time"


def test_few_rows_missing_values_and_constants_tell_nothing():
    counts = made_up(1, num_items=25)
    assert told(leaking(counts), counts) == set()
    counts = made_up(1)
    assert what_is_foreknown(np.full(300, 2.5), counts) is None
    assert what_is_foreknown(np.full(300, np.nan), counts) is None
    column = np.where(np.arange(300) < 150, leaking(counts)["logarithm"], np.nan)
    assert what_is_foreknown(column, counts) == "the number of events", "over those who have a value"


def real_log(name: str) -> pd.DataFrame:
    """Read a real log as ``user_id, item_id, timestamp`` and, where there is one, ``rating``."""
    if name == "movielens":
        ratings = pd.read_csv(DATA / "ml-latest-small" / "ratings.csv")
        frame = movielens_events(DATA / "ml-latest-small").assign(rating=ratings["rating"])
        return frame.assign(timestamp=pd.to_datetime(frame["timestamp"], unit="s", utc=True))
    path, user, item, moment = {
        "beauty": ("amazon-beauty/events.parquet", "user_id", "item_id", "timestamp"),
        "online retail": (
            "online-retail/online_retail_II_2009-2010_full_columns.parquet",
            "Customer ID",
            "StockCode",
            "InvoiceDate",
        ),
        "complete journey": (
            "completejourney/transactions_sample.parquet",
            "household_id",
            "product_id",
            "transaction_timestamp",
        ),
    }[name]
    frame = pd.read_parquet(DATA / path).rename(columns={user: "user_id", item: "item_id", moment: "timestamp"})
    times = frame["timestamp"]
    times = pd.to_datetime(times, unit="s") if pd.api.types.is_numeric_dtype(times) else pd.to_datetime(times)
    times = times.dt.tz_localize("UTC") if times.dt.tz is None else times
    return frame[["user_id", "item_id"]].assign(timestamp=times).dropna()


@real
@pytest.mark.slow
@pytest.mark.parametrize("name", ["movielens", "beauty", "online retail", "complete journey"])
@pytest.mark.parametrize("quantile", [0.5, 0.8, 0.95])
def test_on_real_logs_too(name: str, quantile: float):
    log = real_log(name)
    events = log.assign(event="seen", user_id=log["user_id"].astype(str), item_id=log["item_id"].astype(str))
    con = duckdb.connect()
    con.register("events", events)
    source = {"path": "x.csv", "columns": {"user_id": "user_id"}, "weights": {"seen": 1}}
    recipe = Recipe.model_validate({"name": "log", "source": {"events": source}, "target": {"events": ["seen"]}})
    cut_off = log["timestamp"].quantile(quantile)
    counts = counts_across(con, recipe, int(cut_off.timestamp() * 1e6))
    for table in ("items", "users"):
        rows = counts[counts["described"] == table].reset_index(drop=True)
        num_both = int(((rows["events_before"] > 0) & (rows["events_after"] > 0)).sum())
        assert told(honest(rows), rows) == set(), table
        missed = set(leaking(rows)) - told(leaking(rows), rows)
        assert num_both < 100 or not missed, (table, num_both, missed)
