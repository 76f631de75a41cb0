"""Logs that no model can do much with end in a clear error, with nothing published and nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bowerbird.errors import BowerbirdError
from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.published import history
from tests.conftest import shop_recipe

START = datetime(2026, 1, 1, tzinfo=UTC)


def write(folder: Path, rows: list[tuple[str, str, int]]) -> Path:
    """Write purchases of user, item, day."""
    lines = [f'"{user}","{item}",purchase,{(START + timedelta(days=day)).isoformat()},2' for user, item, day in rows]
    (folder / "events.csv").write_text("\n".join(["user,item,kind,time,price", *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("ann", "tea", 0)], "too short"),
        ([("ann", "tea", day) for day in range(2)], "too short"),
        ([], "no"),
    ],
    ids=["one event", "two days", "no rows"],
)
def test_a_log_without_enough_in_it_is_told_and_nothing_is_published(
    home: Home, source: Path, rows: list[tuple[str, str, int]], words: str
) -> None:
    with pytest.raises(BowerbirdError, match=words):
        run_all(home, shop_recipe(), write(source, rows))
    assert history(home) == []


@pytest.mark.parametrize(
    "rows",
    [
        [("ann", f"item {day % 7}", day) for day in range(30)],
        [(f"user {day % 9}", "tea", day) for day in range(30)],
        [(f"user {day}", f"item {day % 5}", day) for day in range(40)],
    ],
    ids=["one user", "one item", "one event a user"],
)
def test_a_log_that_proves_nothing_ends_in_a_decision(home: Home, source: Path, rows: list[tuple[str, str, int]]) -> None:
    outcome = run_all(home, shop_recipe(), write(source, rows))

    assert outcome["outcome"] in ("published", "rejected")
    assert outcome["decision"]["sentence"] == outcome["sentence"]
    assert (outcome["version"] is None) == (history(home) == [])


def test_ids_that_look_like_code_are_data(home: Home, source: Path) -> None:
    strange = ["'; drop table events; --", "a;b", "two\nlines", "茶 é"]
    rows = [(f"{strange[day % 4]} {day % 11}", strange[(day * 7) % 4], day // 4) for day in range(160)]

    outcome = run_all(home, shop_recipe(), write(source, rows))

    assert outcome["rows"]["accepted"] == outcome["rows"]["read"] == 160
