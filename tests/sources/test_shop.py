"""The simulated shop: same seed, same files; planted dirt is counted to the row; nothing happens before its time."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bowerbird.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    CATEGORIES,
    CREATED_AT,
    EVENT,
    ITEM_ID,
    PRICE,
    QUANTITY,
    SESSION_ID,
    TIMESTAMP,
    TITLE,
    USER_ID,
)
from bowerbird.errors import DataError
from bowerbird.recipe import load_recipe
from bowerbird.sources import samples
from bowerbird.sources.ingest import ingest
from bowerbird.sources.shop import ODD_ITEMS, ODD_USERS, Shop, ShopConfig
from bowerbird.sources.shop_dirt import SHARES
from bowerbird.store.home import Home

SMALL = ShopConfig(users=200, items=150, days=20)
RECIPE = Path(__file__).parents[2] / "deployments" / "recipes" / "sample.toml"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def events(shop: Shop) -> pd.DataFrame:
    return shop.events()


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    Shop(SMALL).write(tmp_path / "one")
    Shop(SMALL).write(tmp_path / "two")
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")
    assert list(checksums(tmp_path / "one")) == ["README.md", "events.csv", "items.jsonl", "users.csv"]


def test_another_seed_gives_another_shop(tmp_path: Path) -> None:
    one, two = Shop(SMALL), Shop(ShopConfig(users=200, items=150, days=20, seed=2))
    assert not one.events().equals(two.events())
    assert one.items()[TITLE].tolist() != two.items()[TITLE].tolist()


def test_default_shop_has_the_promised_size(shop: Shop, events: pd.DataFrame) -> None:
    assert len(shop.items()) == 1500
    assert len(shop.users()) == 2000
    assert 135_000 <= len(events) <= 170_000
    assert abs(len(events) / shop.expected_events - 1) < 0.1
    shares = events[EVENT].value_counts(normalize=True)
    assert shares["view"] > shares["cart"] > shares["purchase"] > shares["return"] > 0
    assert (events[TIMESTAMP].min().date().isoformat(), events[TIMESTAMP].max().date().isoformat()) == (
        "2026-05-02",
        "2026-06-30",
    )


def test_events_grow_with_users_and_days() -> None:
    counts = [
        len(Shop(ShopConfig(users=users, items=300, days=days)).events()) for users, days in ((500, 30), (1000, 30), (500, 60))
    ]
    assert counts[1] / counts[0] == pytest.approx(2, rel=0.15)
    assert counts[2] / counts[0] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize(("users", "items", "days"), [(1, 1, 1), (1, 40, 3), (40, 1, 3), (60, 5, 10)])
def test_tiny_shops_work(users: int, items: int, days: int, tmp_path: Path) -> None:
    files = Shop(ShopConfig(users=users, items=items, days=days)).write(tmp_path)
    assert len(files.items.read_text(encoding="utf-8").splitlines()) == items


def test_size_that_is_no_size_is_refused() -> None:
    with pytest.raises(DataError, match="items is 0"):
        ShopConfig(items=0)


def test_nothing_happens_to_an_item_outside_its_time(shop: Shop, events: pd.DataFrame) -> None:
    items = shop.items().set_index(ITEM_ID)
    wanted = events[events[EVENT] != "return"]
    moments = wanted[TIMESTAMP].dt.tz_localize(None).to_numpy()
    its = items.loc[wanted[ITEM_ID]]
    assert (its[CREATED_AT].to_numpy() < moments).all()
    assert (its[AVAILABLE_FROM].to_numpy() <= moments).all()
    ends = its[AVAILABLE_UNTIL].to_numpy()
    assert (np.isnat(ends) | (moments < ends)).all()
    assert (items[CREATED_AT] > shop.start).sum() > 100
    assert items[AVAILABLE_UNTIL].notna().sum() > 20


def test_users_come_after_they_joined_and_some_join_late(shop: Shop, events: pd.DataFrame) -> None:
    users = shop.users().set_index(USER_ID)
    assert (users.loc[events[USER_ID], "joined_at"].to_numpy() < events[TIMESTAMP].dt.tz_localize(None).to_numpy()).all()
    assert 0.2 < (users["joined_at"] >= shop.start).mean() < 0.3


def test_titles_differ_and_read_like_a_shop(shop: Shop) -> None:
    items = shop.items()
    assert items[TITLE].is_unique
    assert items[TITLE].str.fullmatch(r"[A-Z][^,]+, [^,]+(, series \d+)?").all()
    assert items[CATEGORIES].map(len).eq(3).all()
    assert np.log(items[PRICE]).std() == pytest.approx(0.9, abs=0.2)


def test_returns_follow_a_purchase_of_the_same_order(events: pd.DataFrame) -> None:
    key = [USER_ID, ITEM_ID, SESSION_ID]
    returns = events[events[EVENT] == "return"]
    bought = returns.merge(events[events[EVENT] == "purchase"], on=key, suffixes=("", "_bought"))
    assert len(bought) == len(returns) > 100
    assert (bought[TIMESTAMP] > bought[f"{TIMESTAMP}_bought"]).all()
    assert (bought[QUANTITY] <= bought[f"{QUANTITY}_bought"]).all()


def test_events_are_distinct_and_in_order(events: pd.DataFrame) -> None:
    assert events[TIMESTAMP].is_monotonic_increasing
    assert not events.duplicated([USER_ID, ITEM_ID, EVENT, TIMESTAMP]).any()


def test_dirt_is_counted_and_about_two_percent(tmp_path: Path, shop: Shop, events: pd.DataFrame) -> None:
    files = shop.write(tmp_path)
    with files.events.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["customer", "product", "event", "time", "session", "quantity", "price"]
    assert (len(rows), files.num_clean) == (files.num_rows, len(events))
    assert set(files.dirt) == set(SHARES)
    assert sum(files.dirt.values()) / files.num_rows == pytest.approx(0.02, abs=0.002)
    assert sum(len(row) == 3 for row in rows) == files.dirt["malformed"]
    whole = [row for row in rows if len(row) == 7]
    assert sum(row[0] == "" for row in whole) == files.dirt["missing_user"]
    assert sum(float(row[6]) <= 0 for row in whole) == files.dirt["bad_price"]
    assert len(whole) - len(set(map(tuple, whole))) >= files.dirt["duplicate"]
    assert set(ODD_USERS) & {row[0] for row in whole}
    assert set(ODD_ITEMS) <= {json.loads(line)["product"] for line in files.items.read_text(encoding="utf-8").splitlines()}
    readme = files.readme.read_text(encoding="utf-8")
    assert "All of this is simulated" in readme
    assert f"| missing user | {files.dirt['missing_user']:,} |" in readme


def test_without_dirt_the_file_is_the_events(tmp_path: Path) -> None:
    shop = Shop(SMALL)
    files = shop.write(tmp_path, dirty=False)
    read = pd.read_csv(files.events, dtype={"customer": str, "product": str})
    events = shop.events()
    assert files.dirt == {}
    assert (read["customer"].to_numpy() == events[USER_ID].to_numpy()).all()
    assert (pd.to_datetime(read["time"], utc=True) == events[TIMESTAMP]).all()


def test_large_shops_go_to_parquet_with_the_same_dirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_csv = Shop(SMALL).write(tmp_path)
    monkeypatch.setattr(samples, "CSV_LIMIT", 100)
    as_parquet = Shop(SMALL).write(tmp_path)
    assert not as_csv.events.exists()
    assert pq.read_metadata(as_parquet.events).num_rows == as_parquet.num_rows
    assert pq.read_schema(as_parquet.events).metadata[b"simulated"] == b"true"
    assert as_parquet.dirt == {kind: count for kind, count in as_csv.dirt.items() if kind != "malformed"}


def test_ingest_accepts_the_clean_events_and_counts_each_fault(tmp_path: Path) -> None:
    files = Shop(SMALL).write(tmp_path / "shop")
    home = Home.open(tmp_path / "home")
    home.create_tables(retention_days=30)
    events = ingest(home, load_recipe(RECIPE), files.folder, "r1", now=datetime(2026, 11, 1, tzinfo=UTC)).tables["events"]
    assert (events.read, events.accepted, events.duplicates) == (files.num_rows, files.num_clean, files.dirt["duplicate"])
    assert {reason: count for reason, count in events.quarantined.items() if count} == {
        "malformed_row": files.dirt["malformed"],
        "missing_user": files.dirt["missing_user"],
        "missing_item": files.dirt["missing_item"],
        "missing_timestamp": files.dirt["missing_time"],
        "unreadable_timestamp": files.dirt["bad_time"],
        "timestamp_in_future": files.dirt["future_time"],
        "unknown_event": files.dirt["unknown_event"],
        "not_a_product": files.dirt["no_product"],
        "price_not_positive": files.dirt["bad_price"],
    }
