"""A home folder is checked before anything is written into it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from bowerbird.errors import DiskFullError, HomeError
from bowerbird.store.home import FORBIDDEN, FORMAT, Home

TABLES = ["events", "items", "users", "feedback", "quarantine", "recommendations", "similar_items"]


def test_home_is_made_where_it_is_missing_and_opening_leaves_nothing_behind(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "deep" / "home")
    assert home.path.is_dir() and list(home.path.iterdir()) == []


def test_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home.open(Path("home"))
    monkeypatch.chdir("/")
    assert home.path == tmp_path / "home"


def test_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.open(Path("~/home")).path == tmp_path / "home"
    with pytest.raises(HomeError, match="nobody-of-that-name"):
        Home.open(Path("~nobody-of-that-name/home"))


def test_tables_are_created_once(home: Home) -> None:
    tables = [getattr(home, name) for name in TABLES]
    before = [table.identity() for table in tables]
    assert all(table.version() == 0 for table in tables)
    assert json.loads((home.path / "home.json").read_text(encoding="utf-8")) == {"format": FORMAT}
    home.create_tables(retention_days=30)
    assert [table.identity() for table in tables] == before
    assert sorted(found.name for found in home.path.iterdir()) == sorted([*TABLES, "home.json"])


def test_table_that_a_killed_creator_left_out_is_made_up_for(home: Home) -> None:
    for name in ("000.json.tmp", "00000000000000000000.json"):
        (home.path / "users" / "_delta_log" / name).unlink(missing_ok=True)
    assert not home.users.exists()
    Home.open(home.path).create_tables(retention_days=30)
    assert home.users.version() == 0


@pytest.mark.parametrize("letter", [*FORBIDDEN, "\n", "\t", "\x7f"])
def test_path_that_delta_or_duckdb_would_misread_is_refused(tmp_path: Path, letter: str) -> None:
    with pytest.raises(HomeError, match="in its path") as caught:
        Home.open(tmp_path / f"a{letter}b")
    assert repr(letter) in caught.value.message and list(tmp_path.iterdir()) == []


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine", encoding="utf-8")
    with pytest.raises(HomeError, match="is a file"):
        Home.open(tmp_path / "home")
    with pytest.raises(HomeError, match=r"cannot write to the home folder .*Not a directory"):
        Home.open(tmp_path / "home" / "below")
    assert (tmp_path / "home").read_text(encoding="utf-8") == "mine"


def test_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="File name too long"):
        Home.open(tmp_path / ("x" * 300))


def test_read_only_file_system_is_refused(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(HomeError, match=r"cannot write to the home folder .*Read-only file system") as caught:
        Home.open(small_disk)
    assert caught.value.next_step.startswith("give write permission") and caught.value.exit_code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes whatever the permission bits say")
def test_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HomeError, match="Permission denied"):
        Home.open(tmp_path)


def test_refusal_of_the_operating_system_is_told_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(HomeError, match="Permission denied"):
        Home.open(tmp_path)


def test_home_of_a_newer_version_is_refused_and_left_alone(home: Home) -> None:
    marker = home.path / "home.json"
    marker.write_text(json.dumps({"format": FORMAT + 1}), encoding="utf-8")
    with pytest.raises(HomeError, match="made by a newer version") as caught:
        Home.open(home.path)
    assert "update bowerbird" in caught.value.next_step
    assert json.loads(marker.read_text(encoding="utf-8")) == {"format": FORMAT + 1}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"format": null}', '{"format": "x"}', '{"format": 1e999}', "\xff"]
)
def test_damaged_marker_is_refused(home: Home, content: str) -> None:
    (home.path / "home.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(HomeError, match=r"home\.json' cannot be read"):
        Home.open(home.path)


def test_full_disk_at_the_first_run_is_told(small_disk: Path) -> None:
    home = Home.open(small_disk / "home")
    with pytest.raises(OSError, match="No space left"), (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises((DiskFullError, OSError), match="No space left"):  # the marker is no table
        home.create_tables(retention_days=30)
    (small_disk / "filler").unlink()
    home.create_tables(retention_days=30)
    assert [getattr(home, name).version() for name in TABLES] == [0] * len(TABLES)
