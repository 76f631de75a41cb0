"""A new home begins with the database that ``make setup`` has made; one that has its own keeps it."""

from __future__ import annotations

import sys
from pathlib import Path

from bowerbird.server import DATABASE, lay_database
from bowerbird.store.home import Home

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def test_new_home_gets_a_copy_and_nothing_beside_it(home: Home, tmp_path: Path) -> None:
    made = tmp_path / "made.db"
    made.write_bytes(b"empty")
    lay_database(home, made)
    assert [(path.name, path.read_bytes()) for path in (home.path / "prefect").iterdir()] == [("prefect.db", b"empty")]


def test_home_that_has_a_database_keeps_it(home: Home, tmp_path: Path) -> None:
    made, own = tmp_path / "made.db", home.path / "prefect" / "prefect.db"
    made.write_bytes(b"empty")
    own.parent.mkdir()
    own.write_bytes(b"full of runs")
    lay_database(home, made)
    assert own.read_bytes() == b"full of runs"


def test_without_one_prefect_makes_its_own(home: Home, tmp_path: Path) -> None:
    lay_database(home, tmp_path / "none.db")
    assert not (home.path / "prefect").exists()


def test_makefile_puts_it_where_it_is_looked_for() -> None:
    assert f"DATABASE := .venv/{DATABASE.relative_to(sys.prefix).as_posix()}\n" in MAKEFILE.read_text()
