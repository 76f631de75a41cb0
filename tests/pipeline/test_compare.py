"""Two runs side by side: who is compared, what is refused, and what is told to have changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.errors import UserError
from bowerbird.evaluation.statistics import paired_difference
from bowerbird.pipeline.compare import compare
from bowerbird.pipeline.session import ingest_only
from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.runs import list_runs, read_json, write_json
from tests.conftest import shop_recipe, write_items, write_log

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str, str]:
    """A run that publishes ``cooccurrence``, and one that a person has put up: ``popularity``, fewer places, rejected."""
    folder = tmp_path_factory.mktemp("runs")
    write_log(folder / "events.csv")
    write_items(folder / "items.csv")
    home = Home.open(folder / "home é")
    first = run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), folder)
    second = run_all(home, shop_recipe(candidate="popularity", seed=2, recommend={"k": 4}), folder)
    assert (first["outcome"], second["outcome"]) == ("published", "rejected")
    return home, first["run_id"], second["run_id"]


@pytest.fixture
def copied(runs: tuple[Home, str, str], tmp_path: Path) -> tuple[Home, str, str]:
    """Those runs in a home that a test may change."""
    shutil.copytree(runs[0].path, tmp_path / "copied")
    return Home.open(tmp_path / "copied"), *runs[1:]


def change(home: Home, run_id: str, name: str, **changes: Any) -> None:
    path = home.runs / run_id / name
    write_json(path, read_json(path) | changes)


def test_the_same_users_are_compared_with_intervals_on_every_metric(runs: tuple[Home, str, str]) -> None:
    home, first, second = runs
    found = compare(home, first, second)

    folders = [home.runs / run_id / "evaluation" / "test-1" for run_id in (first, second)]
    ours = pd.read_parquet(folders[0] / "cooccurrence.users.parquet")
    theirs = pd.read_parquet(folders[1] / "popularity.users.parquet")
    row = next(one for one in found["metrics"] if one["metric"] == "ndcg")
    expected = paired_difference(theirs["ndcg"], ours["ndcg"], seed=2)
    assert (row["mean"], row["low"], row["high"], row["p_value"]) == (
        expected.mean, expected.low, expected.high, expected.p_value,
    )  # fmt: skip
    assert {"ndcg", "recall", "mrr", "map", "hit_rate"} <= {one["metric"] for one in found["metrics"]}
    assert all(one["adjusted_p"] >= one["p_value"] for one in found["metrics"])
    assert found["num_users"] == len(ours) and found["same_windows"] and found["notes"] == []
    assert found["sentence"].endswith(f"cooccurrence of {first} is better.")


def test_it_is_told_how_lists_differ_and_what_changed(runs: tuple[Home, str, str]) -> None:
    found = compare(*runs)

    assert 0 < found["lists"]["tested"]["overlap"] < 0.7
    assert found["lists"]["made"]["num_users"] == 120
    changed = {one["key"]: (one["a"], one["b"]) for one in found["changes"]["recipe"]}
    assert changed == {
        "seed": (1, 2),
        "candidate": ("not there", "popularity"),
        "models.cooccurrence.name": ("cooccurrence", "not there"),
        "models.item_knn.name": ("not there", "item_knn"),
        "models.popularity.name": ("not there", "popularity"),
        "recommend.k": (5, 4),
    }
    assert found["changes"]["data"] == [] and found["changes"]["code"] == []
    assert "recipe recommend.k: 5 → 4" in found["told"]["changes"]


def test_intervals_are_as_sure_as_the_second_run_s_gate(copied: tuple[Home, str, str]) -> None:
    home, first, second = copied
    usual = compare(home, first, second)
    change(home, second, "evaluation.json", confidence=0.8)

    found = compare(home, first, second)

    (wide, narrow) = (next(row for row in one["metrics"] if row["metric"] == "ndcg") for one in (usual, found))
    assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]
    assert "(80 % interval" in found["sentence"] and "(95 % interval" in usual["sentence"]
    assert "confidence, 0.8; the first run's is 0.95" in found["notes"][0]


def test_a_run_and_itself_are_the_same(runs: tuple[Home, str, str]) -> None:
    home, first, second = runs
    found = compare(home, first, "v1")

    assert (found["a"]["run_id"], found["b"]["run_id"], found["b"]["asked"]) == (first, first, "v1")
    assert found["sentence"].endswith("they are the same.") and found["notes"] == ["Both are the same run."]
    assert found["lists"]["tested"]["overlap"] == 1.0
    assert compare(home, first, "latest")["b"]["run_id"] == second


def test_other_data_and_code_are_told(copied: tuple[Home, str, str]) -> None:
    home, first, second = copied
    manifest = read_json(home.runs / second / "manifest.json")
    environment = manifest["environment"] | {"threads": 64}
    change(home, second, "manifest.json", versions=manifest["versions"] | {"events": 7}, environment=environment, commit="abc")

    changes = compare(home, first, second)["changes"]

    assert changes["data"] == [{"key": "events", "a": 1, "b": 7}]
    assert [one["key"] for one in changes["code"]] == ["commit", "threads"]


def test_where_windows_overlap_the_common_users_are_compared_and_it_is_said(copied: tuple[Home, str, str]) -> None:
    home, first, second = copied
    path = home.runs / second / "evaluation.json"
    windows = read_json(path)["test_windows"]
    later = [one | {"start": one["start"] + DAY, "end": one["end"] + DAY} for one in windows]
    change(home, second, "evaluation.json", test_windows=later)
    users = home.runs / second / "evaluation" / "test-1" / "popularity.users.parquet"
    pd.read_parquet(users).iloc[10:].to_parquet(users)

    found = compare(home, first, second)

    assert not found["same_windows"] and "overlap and are not the same" in found["notes"][0]
    assert found["only_a"] == 10 and found["only_b"] == 0


def test_targets_that_came_late_are_told(copied: tuple[Home, str, str]) -> None:
    home, first, second = copied
    path = home.runs / second / "evaluation" / "test-1" / "targets.parquet"
    targets = pd.read_parquet(path)
    targets.iloc[: len(targets) // 2].to_parquet(path, index=False)

    assert "of the targets: rows have come in late" in compare(home, first, second)["notes"][0]


def test_what_cannot_be_compared_is_refused_with_the_reason(copied: tuple[Home, str, str], tmp_path: Path) -> None:
    home, first, second = copied
    path = home.runs / second / "evaluation.json"
    windows = read_json(path)["test_windows"]
    far = [one | {"start": one["start"] + 900 * DAY, "end": one["end"] + 900 * DAY} for one in windows]

    for changes, why in (
        ({"test_windows": far}, "their test windows do not overlap: 2026-02-"),
        ({"test_windows": windows, "metric": "ndcg@5"}, "count places up to 10 and 5"),
        ({"metric": "ndcg@10", "protocol": "leave_last_out"}, "split by global_time and leave_last_out"),
    ):
        change(home, second, "evaluation.json", **changes)
        with pytest.raises(UserError, match=why) as refused:
            compare(home, first, second)
        assert "bowerbird backtest" in refused.value.next_step
    change(home, second, "evaluation.json", protocol="global_time")
    change(home, second, "recipe.json", target={"events": ["purchase"], "exclude_events": []})
    compare(home, first, second)  # as a version wrote it that did not know gains: the same question
    change(home, second, "recipe.json", target={"events": ["view"], "exclude_events": []})
    with pytest.raises(UserError, match="have the target events purchase; exclude_events ; gains equal and events view"):
        compare(home, first, second)
    for file in (home.runs / first / "evaluation").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(UserError, match="beyond the rollback horizon"):
        compare(home, first, first)


def test_a_run_without_an_evaluation_and_unknown_names_are_refused(home: Home, source: Path) -> None:
    with pytest.raises(UserError, match="no run has been evaluated yet"):
        compare(home, "latest", "latest")
    ingest_only(home, shop_recipe(), source, wait_seconds=0)
    (run_id,) = list_runs(home.runs)
    with pytest.raises(UserError, match=f"run {run_id} has no evaluation, .* its outcome is 'ingested'"):
        compare(home, run_id, run_id)
    with pytest.raises(UserError, match="there is no published version v3; known: none"):
        compare(home, "v3", run_id)
    with pytest.raises(UserError, match="there is no run 'yesterday'"):
        compare(home, "yesterday", run_id)
