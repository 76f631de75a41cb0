"""The published set: one commit a publish, readers see the old set or the new one, and there is a way back."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bowerbird.errors import DiskFullError, HomeError, PublishConflictError, UserError
from bowerbird.store import published
from bowerbird.store.home import RECOMMENDATIONS, Home
from bowerbird.store.retention import tidy
from tests.store.sets import lists_of, publish, shown, write_lists, write_similar

KEPT = 30


def rollback(home: Home, version: int | None = None, **given: Any) -> published.Publish:  # Any: by, reason, retention_days
    return published.rollback(home, version, **{"retention_days": KEPT, **given})


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let the clock of the store be so many days ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(days=days)

    monkeypatch.setattr(published, "datetime", Ahead)


# ---- publishing


def test_nothing_is_published_at_first(home: Home, tmp_path: Path) -> None:
    assert published.current(home) is None and published.history(home) == []
    assert published.current(Home.open(tmp_path / "without tables")) is None
    assert len(published.read_lists(home, "u000000")) == 0


def test_publish_is_one_commit_that_says_all_about_itself(home: Home, tmp_path: Path) -> None:
    lists = write_lists(tmp_path, "a")
    before = home.recommendations.version()
    version = published.publish(
        home, lists, run_id="run a", handle=home.recommendations.open(), kind="approve", by="Zoë", reason="looks\ngood"
    )
    assert version == home.recommendations.version() == before + 1
    present = published.current(home)
    assert present == published.Publish(
        version,
        "run a",
        "approve",
        present.at if present else datetime.min,
        published.checksum(lists),
        None,
        "Zoë",
        "looks\ngood",
    )
    assert shown(home) == {"a"}


def test_reader_sees_one_users_list_best_first(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    publish(home, tmp_path, "b")
    assert published.read_lists(home, "u000001")["item_id"].tolist() == ["b 1 1", "b 1 2"]
    assert published.read_lists(home, "u000001", version=1)["item_id"].tolist() == ["a 1 1", "a 1 2"]
    assert len(published.read_lists(home, "nobody' or 1=1 --")) == 0


def test_history_is_newest_first_beyond_ten_commits(home: Home, tmp_path: Path) -> None:
    tags = [f"t{number}" for number in range(12)]
    versions = [publish(home, tmp_path, tag) for tag in tags]
    found = published.history(home)
    assert [one.version for one in found] == versions[::-1]
    assert [one.run_id for one in found] == [f"run {tag}" for tag in reversed(tags)]
    assert all(newer.at >= older.at for newer, older in pairwise(found))


def test_commit_that_is_no_publish_is_not_in_the_history(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    home.recommendations.append(lists_of("stray"), metadata={"by": "another engine"})
    assert [one.run_id for one in published.history(home)] == ["run a"]


def test_stale_handle_is_refused_and_readers_see_the_other_set(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    handle = home.recommendations.open()
    publish(home, tmp_path, "b")
    with pytest.raises(PublishConflictError, match="since version 1"):
        published.publish(home, write_lists(tmp_path, "c"), run_id="run c", handle=handle)
    assert shown(home) == {"b"} and [one.run_id for one in published.history(home)] == ["run b", "run a"]


def test_two_first_publishes_do_not_both_win(home: Home, tmp_path: Path) -> None:
    handles = [home.recommendations.open() for _ in range(2)]
    published.publish(home, write_lists(tmp_path, "a"), run_id="run a", handle=handles[0])
    with pytest.raises(PublishConflictError):
        published.publish(home, write_lists(tmp_path, "b"), run_id="run b", handle=handles[1])
    assert shown(home) == {"a"}


def test_retried_publish_makes_no_second_commit(home: Home, tmp_path: Path) -> None:
    handle = home.recommendations.open()
    lists = write_lists(tmp_path, "a")
    first = published.publish(home, lists, run_id="run a", handle=handle)
    assert published.publish(home, lists, run_id="run a", handle=handle) == first
    publish(home, tmp_path, "b")
    assert published.publish(home, lists, run_id="run a", handle=home.recommendations.open()) == first
    assert shown(home) == {"b"} and len(published.history(home)) == 2


def test_set_replaces_the_whole_of_the_one_before(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a", users=5)
    publish(home, tmp_path, "b", users=2)
    assert shown(home) == {"b"} and len(published.read_lists(home, "u000004")) == 0


def test_file_with_kindred_types_and_another_order_of_columns_is_published(home: Home, tmp_path: Path) -> None:
    lists = lists_of("a").select(["source", "rank", "item_id", "user_id", "score", "reason"])
    lists = lists.set_column(1, "rank", lists["rank"].cast(pa.int64())).append_column("note", pa.array(["x"] * 4))
    pq.write_table(lists.set_column(3, "user_id", lists["user_id"].cast(pa.large_string())), tmp_path / "odd.parquet")
    published.publish(home, tmp_path / "odd.parquet", run_id="run a", handle=home.recommendations.open())
    assert published.read_lists(home, "u000000").columns.tolist() == RECOMMENDATIONS.names
    assert published.checksum(tmp_path / "odd.parquet") == published.checksum(write_lists(tmp_path, "a"))


def test_damaged_lists_are_not_published(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    path = write_lists(tmp_path, "b", users=3000)
    damaged = bytearray(path.read_bytes())
    damaged[1000:3000] = b"\xff" * 2000
    path.write_bytes(bytes(damaged))
    with pytest.raises(OSError):  # Arrow words it
        published.publish(home, path, run_id="run b", handle=home.recommendations.open())
    assert shown(home) == {"a"} and len(published.history(home)) == 1


def test_full_disk_leaves_the_published_set_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    home = Home.open(small_disk / "home")
    home.create_tables(retention_days=KEPT)
    publish(home, tmp_path, "a")
    with pytest.raises(DiskFullError, match="No space left"):
        publish(home, tmp_path, "big", users=100_000)
    assert shown(home) == {"a"} and len(published.history(home)) == 1
    publish(home, tmp_path, "b")
    assert shown(home) == {"b"}


def test_disk_that_fills_up_anywhere_in_a_publish_leaves_the_old_set_or_the_new(small_disk: Path, tmp_path: Path) -> None:
    home = Home.open(small_disk / "home")
    home.create_tables(retention_days=KEPT)
    publish(home, tmp_path, "a")
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    for pages in range(3):  # first the rows do not fit, then the log does not, then all of it does
        with filler.open("rb+") as file:
            file.truncate(filler.stat().st_size - pages * 4096)
        if pages < 2:
            with pytest.raises(DiskFullError, match=r"which is as it was: .*No space left"):
                publish(home, tmp_path, "b")
            assert shown(home) == {"a"} and [one.run_id for one in published.history(home)] == ["run a"]
    publish(home, tmp_path, "b")
    assert shown(home) == {"b"}


def test_home_of_before_the_evidence_is_read_and_published_to_and_rolled_back(home: Home, tmp_path: Path) -> None:
    old = lists_of("old").select(["user_id", "item_id", "score", "rank", "source"])
    home.recommendations.overwrite(old, metadata={published.RUN: "run old", published.KIND: "publish", published.CHECKSUM: "x"})
    assert "reason" not in published.read_lists(home, "u000000") and shown(home) == {"old"}
    publish(home, tmp_path, "new")
    assert published.read_lists(home, "u000000").columns.tolist() == RECOMMENDATIONS.names
    rollback(home)
    assert shown(home) == {"old"}


def test_held_lists_of_before_the_evidence_are_published_without_it(home: Home, tmp_path: Path) -> None:
    pq.write_table(lists_of("a").select(["user_id", "item_id", "score", "rank", "source"]), tmp_path / "old.parquet")
    published.publish(home, tmp_path / "old.parquet", run_id="run a", handle=home.recommendations.open())
    assert published.read_lists(home, "u000000")[["reason", "propensity"]].isna().all(axis=None)


# ---- the way back


def test_rollback_shows_the_set_before_as_a_new_version(home: Home, tmp_path: Path) -> None:
    first, second = (publish(home, tmp_path, tag) for tag in "ab")
    made = rollback(home, by="Zoë", reason="complaints")
    assert (made.version, made.kind, made.run_id, made.rolled_back_to) == (second + 1, "rollback", "run a", first)
    assert (made.by, made.reason) == ("Zoë", "complaints") and made == published.current(home)
    assert made.checksum == published.history(home)[-1].checksum
    assert shown(home) == {"a"} and shown(home, version=second) == {"b"}


def test_second_rollback_goes_further_back_until_there_is_nothing(home: Home, tmp_path: Path) -> None:
    for tag in "abc":
        publish(home, tmp_path, tag)
    rollback(home)
    assert shown(home) == {"b"}
    rollback(home)
    assert shown(home) == {"a"}
    with pytest.raises(UserError, match="no publish before version 1"):
        rollback(home)


def test_what_was_rolled_back_from_does_not_return(home: Home, tmp_path: Path) -> None:
    for tag in ("good", "bad"):
        publish(home, tmp_path, tag)
    rollback(home)
    publish(home, tmp_path, "next")
    rollback(home)
    assert shown(home) == {"good"}
    with pytest.raises(UserError, match="no publish before"):
        rollback(home)


def test_rollback_passes_sets_that_are_equal_to_the_present_one(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    lists = write_lists(tmp_path, "b")
    for run_id in ("run b", "run b again"):
        published.publish(home, lists, run_id=run_id, handle=home.recommendations.open())
    assert rollback(home).rolled_back_to == 1
    assert shown(home) == {"a"}


def test_rollback_to_a_version_forward_too(home: Home, tmp_path: Path) -> None:
    versions = {tag: publish(home, tmp_path, tag) for tag in "abc"}
    rollback(home, versions["a"])
    assert shown(home) == {"a"}
    made = rollback(home, versions["c"])
    assert shown(home) == {"c"} and made.rolled_back_to == versions["c"]


def test_rollback_to_a_rollback_means_the_publish_that_it_shows(home: Home, tmp_path: Path) -> None:
    for tag in "ab":
        publish(home, tmp_path, tag)
    back = rollback(home)
    publish(home, tmp_path, "c")
    made = rollback(home, back.version)
    assert (made.rolled_back_to, shown(home)) == (1, {"a"})


def test_rollback_to_what_is_shown_makes_no_commit(home: Home, tmp_path: Path) -> None:
    for tag in "ab":
        publish(home, tmp_path, tag)
    made = rollback(home)
    for version in (1, made.version):
        with pytest.raises(UserError, match="are shown already"):
            rollback(home, version)
    assert home.recommendations.version() == made.version


def test_rollback_to_what_was_never_published_names_what_was(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing has been published yet"):
        rollback(home)
    publish(home, tmp_path, "a")
    for version in (0, 7, -1):
        with pytest.raises(UserError, match=rf"version {version} is no publish; there are \[1\]"):
            rollback(home, version)


def test_publish_after_a_rollback_needs_a_handle_from_after_it(home: Home, tmp_path: Path) -> None:
    for tag in "ab":
        publish(home, tmp_path, tag)
    handle = home.recommendations.open()
    rollback(home)
    with pytest.raises(PublishConflictError):
        published.publish(home, write_lists(tmp_path, "c"), run_id="run c", handle=handle)
    assert shown(home) == {"a"}


def test_set_is_within_reach_for_so_long_after_it_was_last_shown(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {tag: publish(home, tmp_path, tag) for tag in "abc"}
    later(monkeypatch, KEPT - 1)
    rollback(home, versions["a"])  # brought back today, as far as the clock of the store tells
    later(monkeypatch, KEPT + 1)
    with pytest.raises(UserError, match="beyond the rollback horizon of 30 days") as caught:
        rollback(home, versions["b"])
    assert f"version {versions['b']} was last shown on" in caught.value.message
    assert shown(home) == {"a"}


def test_set_that_was_replaced_today_is_within_reach_however_old_it_is(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, tmp_path, "old")
    history = published.history

    def aged(of: Home) -> list[published.Publish]:
        """The first publish as if it had been made three months ago."""
        *newer, first = history(of)
        return [*newer, published.Publish(**{**vars(first), "at": first.at - timedelta(days=90)})]

    monkeypatch.setattr(published, "history", aged)
    publish(home, tmp_path, "new")
    rollback(home)
    assert shown(home) == {"old"}


def test_set_whose_files_are_gone_is_told(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a")
    for file in home.recommendations.files():
        Path(file).unlink()
    publish(home, tmp_path, "b")
    with pytest.raises(HomeError, match="files of version 1 of 'recommendations' are gone"):
        rollback(home)
    assert shown(home) == {"b"}


def test_no_file_of_an_earlier_set_is_deleted(home: Home, tmp_path: Path) -> None:
    seen: set[str] = set()
    for tag in "abc":
        publish(home, tmp_path, tag)
        seen |= set(home.recommendations.files())
    rollback(home)
    assert len(seen) == 3 and all(Path(file).exists() for file in seen)
    assert {commit["operation"] for commit in home.recommendations.commits()} == {"CREATE TABLE", "WRITE", "RESTORE"}


# ---- checksum


def test_checksum_of_equal_lists_is_equal_however_the_file_is_cut(tmp_path: Path) -> None:
    sums = {published.checksum(write_lists(tmp_path, "a", users=500, row_group_size=size)) for size in (1, 7, 128, 10_000)}
    assert len(sums) == 1


def test_checksum_does_not_hang_on_arrow_types_compression_or_the_sign_of_zero(tmp_path: Path) -> None:
    lists = lists_of("a").set_column(2, "score", pa.array([0.0, 0.5, 0.25, 0.0]))
    other = lists.set_column(2, "score", pa.array([-0.0, 0.5, 0.25, 0.0], pa.float32()))
    other = other.set_column(0, "user_id", other["user_id"].dictionary_encode())
    other = other.set_column(1, "item_id", other["item_id"].cast(pa.large_string()))
    other = other.set_column(3, "rank", other["rank"].cast(pa.int64()))
    pq.write_table(lists, tmp_path / "one.parquet")
    pq.write_table(other, tmp_path / "two.parquet", compression="zstd")
    assert published.checksum(tmp_path / "one.parquet") == published.checksum(tmp_path / "two.parquet")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("user_id", ["u1", "u1", "u2", "u3"]),
        ("item_id", ["ab", "c", "a", "c"]),
        ("item_id", ["a", "bc", "a", "b"]),
        ("score", [1.0, 0.5, 1.0, 0.5 + 2**-53]),
        ("rank", [1, 2, 1, 3]),
    ],
)
def test_checksum_tells_any_difference(tmp_path: Path, column: str, values: list[object]) -> None:
    base: dict[str, Any] = {
        "user_id": ["u1", "u1", "u2", "u2"],
        "item_id": ["a", "bc", "a", "c"],
        "score": [1.0, 0.5, 1.0, 0.5],
        "rank": [1, 2, 1, 2],
    }
    for name, content in (("one", base), ("two", base | {column: values})):
        pq.write_table(pa.table(content), tmp_path / f"{name}.parquet")
    assert published.checksum(tmp_path / "one.parquet") != published.checksum(tmp_path / "two.parquet")


def test_checksum_of_no_rows_is_one(tmp_path: Path) -> None:
    assert len(published.checksum(write_lists(tmp_path, "none", users=0))) == 64


# ---- similar items


def similar_to_x(home: Home) -> list[str]:
    return [item.split(" ")[0] for item in published.read_similar_items(home, "x")["similar_item_id"]]


def test_similar_items_are_those_of_the_published_run(home: Home, tmp_path: Path) -> None:
    assert similar_to_x(home) == []
    publish(home, tmp_path, "a", similar=write_similar(tmp_path, "a"))
    publish(home, tmp_path, "b", similar=write_similar(tmp_path, "b"))
    assert similar_to_x(home) == ["b"]
    rows = published.read_similar_items(home, "x")
    assert rows.to_dict("records") == [{"run_id": "run b", "item_id": "x", "similar_item_id": "b y", "score": 0.5, "rank": 1}]
    rollback(home)
    assert similar_to_x(home) == ["a"]


def test_a_run_that_compared_no_items_shows_none_of_another_run(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a", similar=write_similar(tmp_path, "a"))
    publish(home, tmp_path, "b", similar=tmp_path / "never written")
    assert similar_to_x(home) == []
    rollback(home)
    assert similar_to_x(home) == ["a"]


def test_similar_items_of_a_run_whose_publish_was_refused_are_not_shown(home: Home, tmp_path: Path) -> None:
    stale = home.recommendations.open()
    publish(home, tmp_path, "a", similar=write_similar(tmp_path, "a"))
    with pytest.raises(PublishConflictError):
        lists, similar = write_lists(tmp_path, "b"), write_similar(tmp_path, "b")
        published.publish(home, lists, run_id="run b", handle=stale, similar=similar)
    assert similar_to_x(home) == ["a"]


def test_similar_items_stay_while_their_set_is_shown(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "a", similar=write_similar(tmp_path, "a"))
    publish(home, tmp_path, "b", similar=write_similar(tmp_path, "b"))
    rollback(home)
    tidy(home, retention_days=0)
    assert similar_to_x(home) == ["a"]
