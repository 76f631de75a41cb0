"""Run folders, and JSON that is there whole or not at all."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bowerbird.errors import UserError
from bowerbird.store.runs import RUN_ID, list_runs, new_run_id, read_json, run_folder, write_json

NOW = datetime(2024, 6, 1, 12, 30, 5, tzinfo=UTC)


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    ids = [new_run_id(NOW) for _ in range(50)]
    assert len(set(ids)) == 50 and all(RUN_ID.fullmatch(one) and one.startswith("20240601-123005-") for one in ids)
    assert new_run_id(NOW.replace(second=6)) > max(ids)


def test_runs_are_listed_oldest_first_without_what_is_no_run(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    for name in ("20240602-000000-abcdef", "20240601-000000-abcdef", "notes", "20240601-000000-ABCDEF", ".DS_Store"):
        (tmp_path / name).mkdir()
    assert list_runs(tmp_path) == ["20240601-000000-abcdef", "20240602-000000-abcdef"]


@pytest.mark.parametrize(
    "run_id", ["20240601-000000-abcdef", "..", "../runs", "", "20240601-000000-abcdef/..", "٢0240601-000000-abcdef"]
)
def test_unknown_or_malformed_run_is_refused_with_the_newest(tmp_path: Path, run_id: str) -> None:
    (tmp_path / "20240602-000000-abcdef").mkdir()
    with pytest.raises(UserError, match="20240602-000000-abcdef"):
        run_folder(tmp_path, run_id)
    assert run_folder(tmp_path, "20240602-000000-abcdef") == tmp_path / "20240602-000000-abcdef"


def test_json_comes_back_and_can_be_read_by_people(tmp_path: Path) -> None:
    content = {"name": "é 中文", "values": [1, 0.1, None, True]}
    path = tmp_path / "new folder" / "a.json"
    write_json(path, content)
    assert read_json(path) == content and "é 中文" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("broken", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}], ids=["nan", "object", "surrogate"])
def test_content_that_is_no_json_leaves_the_old_file_and_nothing_else(tmp_path: Path, broken: object) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises((TypeError, ValueError)):
        write_json(path, broken)
    assert read_json(path) == {"old": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl_c"])
def test_write_that_fails_midway_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with monkeypatch.context() as patched:
        patched.setattr(os if step == "fsync" else Path, step, fail)
        with pytest.raises(type(error)):
            write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1} and list(tmp_path.iterdir()) == [path]
    write_json(path, {"new": 2})
    assert read_json(path) == {"new": 2}


def test_full_disk_leaves_the_old_file_and_nothing_else(small_disk: Path) -> None:
    path = small_disk / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": "x" * 2_000_000})
    assert read_json(path) == {"old": 1} and list(small_disk.iterdir()) == [path]


def test_what_a_killed_process_leaves_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    (tmp_path / "a.json.0123abcd.tmp").write_text('{"torn', encoding="utf-8")
    write_json(path, {"new": 2})
    assert read_json(path) == {"new": 2} and list(tmp_path.glob("*.json")) == [path]
