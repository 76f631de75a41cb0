"""Connections are in UTC, quiet, and bounded where told."""

from __future__ import annotations

from pathlib import Path

from bowerbird.warehouse.connection import connect


def test_times_are_in_utc_whatever_the_machine_says(monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    with connect() as con:
        assert con.execute("select '2026-01-01 00:00:00'::timestamptz::varchar").fetchone() == ("2026-01-01 00:00:00+00",)


def test_limits_are_set_and_the_spill_folder_is_made(tmp_path: Path) -> None:
    temp = tmp_path / "deep" / "it's 中文"
    with connect(memory_limit="100MiB", threads=1, temp=temp) as con:
        settings = con.execute(
            "select current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
        ).fetchone()
    assert settings == ("100.0 MiB", 1, str(temp))
    assert temp.is_dir()


def test_two_connections_do_not_see_each_other() -> None:
    with connect() as one, connect() as other:
        one.execute("create table seen as select 1")
        assert other.execute("select count(*) from information_schema.tables").fetchone() == (0,)
