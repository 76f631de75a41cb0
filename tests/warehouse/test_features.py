"""Features keep to their cut-off, come out the same each time, and load as the models want them."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.errors import DataError, RecipeError
from bowerbird.models.cooccurrence import count_pairs
from bowerbird.recipe import Recipe
from bowerbird.warehouse import features
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.features import (
    FEATURES,
    as_moment,
    build_features,
    load_interactions,
    load_targets,
    statement,
    write_feature,
)
from tests.docs.pages import sections
from tests.warehouse.log import columns, day, log, recipe, run

TYPES = ["view", "view", "view", "purchase", "purchase", "refund"]


def random_log(seed: int, *, num_rows: int, first: float, last: float, name: str = "e") -> pd.DataFrame:
    """Draw events between two days; many share a moment, a user, an item."""
    draw = random.Random(seed)
    return pd.DataFrame(
        {
            "event_id": [f"{name}{place:05}" for place in range(num_rows)],
            "user_id": [draw.choice(["ann", "bob", "Ödön", "中文", "it's;"]) for _ in range(num_rows)],
            "item_id": [draw.choice("abcdefg") for _ in range(num_rows)],
            "event": [draw.choice(TYPES) for _ in range(num_rows)],
            "timestamp": [day(draw.choice(np.arange(first, last, 0.5))) for _ in range(num_rows)],
            "session_id": [draw.choice([None, "s1", "s2", "s3"]) for _ in range(num_rows)],
            "quantity": [draw.choice([None, 1, 2, 3]) for _ in range(num_rows)],
            "price": [draw.choice([None, 0.1, 0.7, 19.99]) for _ in range(num_rows)],
            "source_row": [draw.randrange(50) for _ in range(num_rows)],
            "rating": [draw.choice([None, 1, 4, 5]) for _ in range(num_rows)],
        }
    ).astype({"quantity": float, "price": float, "rating": float})


def connected(*frames: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    con = log("", connect(threads=2))
    con.register("drawn", pd.concat(frames))
    con.execute("insert into events by name select * from drawn")
    return con


def built(con: duckdb.DuckDBPyConnection, asked: Recipe, *, cut_off: float, folder: Path) -> dict[str, pa.Table]:
    tables = build_features(con, asked, cut_off=day(cut_off), folder=folder)
    read = {table.name: pq.read_table(table.path) for table in tables}
    assert [table.num_rows for table in tables] == [len(rows) for rows in read.values()]
    return read


@pytest.mark.parametrize("seed", range(4))
def test_events_and_cancellations_at_and_after_the_cut_off_change_no_feature(seed: int, tmp_path: Path) -> None:
    asked = recipe(target_when="rating >= 3")
    past = random_log(seed, num_rows=120, first=0, last=30)
    planted = random_log(seed + 100, num_rows=120, first=30, last=60, name="planted")
    assert (planted["timestamp"] == day(30)).any() and (planted["event"] == "refund").any()
    before = built(connected(past), asked, cut_off=30, folder=tmp_path / "before")
    after = built(connected(past, planted), asked, cut_off=30, folder=tmp_path / "after")
    assert list(before) == list(FEATURES)
    for name in FEATURES:
        assert len(before[name]) and before[name].equals(after[name]), name
    for con in (connected(past), connected(past, planted)):
        loaded = load_interactions(con, asked, cut_off=day(30))
        same(loaded.interactions, Interactions.from_frame(before["interactions"].to_pandas()))
        assert loaded.is_target.tolist() == before["interactions"]["is_target"].to_pylist()


def test_events_after_the_end_change_no_target() -> None:
    past = random_log(7, num_rows=150, first=0, last=30)
    planted = random_log(8, num_rows=150, first=30, last=60, name="planted")
    asked = {"start": day(20), "end": day(30)}
    before = load_targets(connected(past), recipe(), **asked)
    assert len(before) > 5
    pd.testing.assert_frame_equal(before, load_targets(connected(past, planted), recipe(), **asked))


MANY = """
insert into events by name
select
    md5(i::varchar) as event_id, 'u' || hash(i) % 900 as user_id, 'p' || hash(i, 1) % 50 as item_id,
    case when hash(i, 2) % 9 = 0 then 'purchase' else 'view' end as event,
    timestamptz '2026-01-01 00:00:00+00' + to_seconds(hash(i, 3) % 2500000) as timestamp,
    0.1 + hash(i, 4) % 1000 / 7 as price, i % 1000 as source_row
from range(260000) as numbers (i)
order by hash(i, $shuffle)
"""


def test_runs_on_two_threads_are_equal_to_the_last_bit_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    asked = recipe(weights={"view": 0.1, "purchase": 0.7, "refund": 0})
    runs = []
    for shuffle in (1, 2):
        con = log("", connect(threads=2))
        con.execute(MANY, {"shuffle": shuffle})
        runs.append(built(con, asked, cut_off=40, folder=tmp_path / str(shuffle)))
    for name in FEATURES:
        assert runs[0][name].equals(runs[1][name]), name
    for name in ("item_popularity", "item_profiles") * 8:  # sums over several row groups: doubles give about 3 results in 20 runs
        table = write_feature(con, name, cut_off=day(40), folder=tmp_path)
        assert pq.read_table(table.path).equals(runs[0][name]), name


def test_loaded_interactions_equal_those_of_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BATCH", 2048)
    con = connected(random_log(3, num_rows=7000, first=0, last=400))
    loaded = load_interactions(con, recipe(), cut_off=day(390))
    rows = pd.DataFrame(run(con, "interactions", cut_off=390, recipe=recipe()))
    assert len(rows) > 5000
    same(loaded.interactions, Interactions.from_frame(rows))
    assert loaded.is_target.tolist() == rows["is_target"].tolist()


def test_catalogue_can_be_wider_than_the_items_that_occur() -> None:
    con = log("1 ann tea view\n2 bob cup view")
    wider = np.array(["aaa", "tea", "zzz"], object)
    loaded = load_interactions(con, recipe(), cut_off=day(9), item_ids=wider)
    rows = pd.DataFrame(run(con, "interactions", cut_off=9, recipe=recipe())).drop(columns="session_id")
    same(loaded.interactions, Interactions.from_frame(rows, item_ids=wider))
    assert loaded.interactions.item_ids.tolist() == ["aaa", "cup", "tea", "zzz"]


def same(left: Interactions, right: Interactions) -> None:
    for name in vars(right):
        ours, theirs = getattr(left, name), getattr(right, name)
        if theirs is None or isinstance(theirs, tuple):
            assert ours == theirs, name
        else:
            assert ours.dtype == theirs.dtype, name
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_log_without_sessions_loads_without_them() -> None:
    assert load_interactions(log("1 ann tea view"), recipe(), cut_off=day(9)).interactions.sessions is None


def test_sequences_written_range_by_range_are_those_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    con = connected(random_log(9, num_rows=200, first=0, last=60))
    whole = built(con, recipe(), cut_off=50, folder=tmp_path / "whole")["user_sequences"]
    monkeypatch.setattr(features, "RANGE", 40)
    parts = built(con, recipe(), cut_off=50, folder=tmp_path / "parts")["user_sequences"]
    assert pq.ParquetFile(tmp_path / "parts" / "user_sequences.parquet").num_row_groups > 2
    assert whole.num_rows == 5 and parts.equals(whole)


def test_no_events_before_the_cut_off_is_an_error_for_models_but_not_for_features(tmp_path: Path) -> None:
    con = log("5 ann tea view")
    with pytest.raises(DataError, match="no interactions before 2026-01-03 00:00"):
        load_interactions(con, recipe(), cut_off=day(2))
    assert {table.num_rows for table in build_features(con, recipe(), cut_off=day(2), folder=tmp_path)} == {0}


def test_features_are_written_whole_into_folders_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "it's é 中文"
    con = log("1 ann tea view\n2 ann cup purchase")
    for _ in range(2):  # the second replaces the first
        tables = build_features(con, recipe(), cut_off=day(9), folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.parquet" for name in FEATURES)
    assert {column["compression"] for column in compressions(tables[0].path)} == {"ZSTD"}


def compressions(path: Path) -> list[dict[str, str]]:
    group = pq.ParquetFile(path).metadata.row_group(0)
    return [group.column(place).to_dict() for place in range(group.num_columns)]


def test_one_connection_serves_one_recipe_after_another(tmp_path: Path) -> None:
    con = log("1 ann tea purchase rating=3\n2 ann tea refund\n3 ann cup purchase rating=5")
    weights = [
        load_interactions(con, asked, cut_off=day(9)).interactions.weights.tolist()
        for asked in (recipe(), recipe(target_when="rating >= 4"), recipe(target_when="rating >= 6"), recipe(cancels={}))
    ]
    assert weights == [[0, 4], [0, 4], [0, 0], [4, 0, 4]]


def test_cut_off_is_a_datetime_or_microseconds() -> None:
    moment = day(1.25) + timedelta(microseconds=7)
    micros = 1_767_225_600_000_000 + 108_000_000_000 + 7
    zone = pd.Timestamp(moment).tz_convert("Asia/Shanghai")
    assert {as_moment(value) for value in (moment, moment.replace(tzinfo=None), micros, np.int64(micros), zone)} == {moment}


def test_recipe_without_events_has_no_features(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="recipe bare has no events"):
        build_features(log(""), Recipe.model_validate({"name": "bare", "source": {}}), cut_off=day(1), folder=tmp_path)


def test_each_file_says_its_grain_first_and_selects_from_final_last() -> None:
    for name in (*FEATURES, "cancelled_events", "targets", "user_item_histories", "user_ranges", "user_tastes"):
        text = statement(name)
        assert text.startswith("-- one row per ") and "from final\n" in text and text == text.strip() + "\n", name


def test_pairs_are_those_that_the_counting_model_counts() -> None:
    con = connected(random_log(5, num_rows=300, first=0, last=90))
    data = load_interactions(con, recipe(), cut_off=day(90)).interactions
    counted = count_pairs(data, 3).tocoo()
    pairs = sorted(zip(data.item_ids[counted.row], data.item_ids[counted.col], counted.data / 6, strict=True))
    assert pairs == columns(run(con, "cooccurrence", cut_off=90, recipe=recipe()), "item_id", "next_item_id", "weight")


def test_reference_names_each_column_of_each_feature(tmp_path: Path) -> None:
    told = sections("features.md")
    for table in build_features(log("1 ann tea view"), recipe(), cut_off=day(9), folder=tmp_path):
        names = {re.sub(r"_(1|7|28)d$", "", name) for name in pq.read_schema(table.path).names}
        assert names <= set(re.findall(r"`(\w+)`", told[table.name])), table.name
