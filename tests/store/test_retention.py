"""What the rollback horizon keeps, and what goes beyond it. Ages are written into logs and files; nobody waits."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest

from bowerbird.errors import UserError
from bowerbird.store import published
from bowerbird.store.home import ITEMS, Home
from bowerbird.store.retention import Tidied, tidy
from bowerbird.store.runs import write_json
from bowerbird.store.tables import Table
from tests.store.sets import publish, shown

KEPT = 30
NOTHING = Tidied(0, 0, 0)
OLD_RUN, YOUNG_RUN = "20200101-000000-aaaaaa", f"{datetime.now(UTC) - timedelta(days=KEPT - 1):%Y%m%d-%H%M%S}-bbbbbb"


def age_file(path: Path, days: float) -> None:
    moment = time.time() - days * 86_400
    os.utime(path, (moment, moment))


def age_commit(table: Table, version: int, days: float) -> None:
    """Make a commit as if it had been made days ago; the files that it removed look older still."""
    path = table.path / "_delta_log" / f"{version:020d}.json"
    moment = int((time.time() - days * 86_400) * 1000)
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        if "remove" in entry:
            entry["remove"]["deletionTimestamp"] = moment
            age_file(table.path / unquote(entry["remove"]["path"]), days + 100)
        if "commitInfo" in entry:
            entry["commitInfo"]["timestamp"] = moment
    path.write_text("\n".join(map(json.dumps, entries)) + "\n")
    age_file(path, days)


def exists(table: Table, version: int) -> bool:
    return all(Path(file).exists() for file in table.files(version))


def write_run(home: Home, run_id: str, outcome: str) -> Path:
    folder = home.runs / run_id
    write_json(folder / "outcome.json", {"outcome": outcome})
    (folder / "model").mkdir()
    for name in ("model/weights", "recommendations.parquet", "report.html"):
        (folder / name).write_text("x")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_sets_go_a_horizon_after_they_were_replaced_however_old_their_files_are(home: Home, tmp_path: Path) -> None:
    table, versions = home.recommendations, [publish(home, tmp_path, tag) for tag in "abcd"]
    age_commit(table, versions[1], KEPT + 1)  # a was replaced then
    age_commit(table, versions[2], KEPT - 1)  # b was replaced then, and its file is 129 days old

    assert tidy(home, retention_days=KEPT) == Tidied(1, 0, 0)

    assert [exists(table, version) for version in versions] == [False, True, True, True]
    assert table.version() == versions[-1]  # no commit: a version is a publish
    assert tidy(home, retention_days=KEPT) == NOTHING
    with pytest.raises(UserError, match="beyond the rollback horizon of 30 days"):
        published.rollback(home, versions[0], retention_days=KEPT)
    published.rollback(home, versions[1], retention_days=KEPT)
    assert shown(home) == {"b"}


def test_set_that_was_brought_back_stays_while_it_is_shown(home: Home, tmp_path: Path) -> None:
    first, second = publish(home, tmp_path, "a"), publish(home, tmp_path, "b")
    back = published.rollback(home, retention_days=KEPT)
    age_commit(home.recommendations, second, KEPT + 9)
    age_commit(home.recommendations, back.version, KEPT + 8)

    assert tidy(home, retention_days=KEPT) == Tidied(1, 0, 0)

    assert exists(home.recommendations, first) and not exists(home.recommendations, second)
    assert shown(home) == {"a"}


def test_shorter_setting_than_the_tables_were_made_with_counts(home: Home, tmp_path: Path) -> None:
    versions = [publish(home, tmp_path, tag) for tag in "ab"]
    age_commit(home.recommendations, versions[1], 8)
    assert tidy(home, retention_days=7) == Tidied(1, 0, 0)
    assert not exists(home.recommendations, versions[0])


def test_files_that_a_failed_commit_has_left_go_with_age(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    left, fresh = (home.recommendations.path / f"{name}.parquet" for name in ("left", "fresh"))
    left.write_bytes(b"x")
    fresh.write_bytes(b"x")
    age_file(left, KEPT + 1)
    assert tidy(home, retention_days=KEPT) == Tidied(1, 0, 0)
    assert fresh.exists() and not left.exists() and shown(home) == {"a"}


def test_what_a_published_run_has_read_stays_however_long_ago_it_was_replaced(home: Home, tmp_path: Path) -> None:
    def write_items(title: str) -> int:
        return home.items.overwrite(pa.Table.from_pylist([{"item_id": "i", "title": title}], schema=ITEMS), metadata={})

    unread, read, newest = (write_items(title) for title in ("first", "second", "third"))
    publish(home, tmp_path, "a")
    (publish_,) = published.history(home)
    write_json(home.runs / publish_.run_id / "manifest.json", {"versions": {"events": 0, "items": read}})
    age_commit(home.items, read, KEPT + 9)
    age_commit(home.items, newest, KEPT + 8)

    assert tidy(home, retention_days=KEPT) == Tidied(1, 0, 0)
    assert [exists(home.items, version) for version in (unread, read, newest)] == [False, True, True]


def test_old_runs_keep_their_words_and_held_young_and_published_ones_keep_all(home: Home, tmp_path: Path) -> None:
    old, young = write_run(home, OLD_RUN, "rejected"), write_run(home, YOUNG_RUN, "rejected")
    held = write_run(home, "20200101-000000-cccccc", "held")
    shown_run = write_run(home, "20200101-000000-dddddd", "published")
    lists = publish(home, tmp_path, "a") and tmp_path / "a.parquet"
    published.publish(home, lists, run_id=shown_run.name, handle=home.recommendations.open())

    assert tidy(home, retention_days=KEPT) == Tidied(0, 1, 0)

    assert names(old) == {"outcome.json", "report.html"}
    assert all(len(names(folder)) == 4 for folder in (young, held, shown_run))


def test_old_fits_scores_and_results_go(home: Home) -> None:
    for kind in ("models", "scores", "results"):
        for age in (KEPT - 1, KEPT + 1):
            entry = home.cache / kind / str(age)
            entry.parent.mkdir(parents=True, exist_ok=True)
            if kind != "results":
                entry.mkdir()
            (entry if kind == "results" else entry / "weights").write_text("x")
            age_file(entry, age)
    assert tidy(home, retention_days=KEPT) == Tidied(0, 0, 3)
    assert all(names(home.cache / kind) == {str(KEPT - 1)} for kind in ("models", "scores", "results"))


def test_the_page_of_an_old_backtest_stays(home: Home) -> None:
    folder = write_run(home, OLD_RUN, "backtested")
    (folder / "report.html").rename(folder / "backtest.html")
    tidy(home, retention_days=KEPT)
    assert names(folder) == {"outcome.json", "backtest.html"}


def test_empty_home_has_nothing_to_delete(tmp_path: Path) -> None:
    assert tidy(Home.open(tmp_path / "new"), retention_days=KEPT) == NOTHING
