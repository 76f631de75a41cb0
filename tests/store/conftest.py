"""A home with tables, and a disk so small that it fills up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bowerbird.store.home import Home
from bowerbird.warehouse.connection import connect
from tests.conftest import mounted


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with empty tables, in a folder whose name has a space and letters outside ASCII."""
    made = Home.open(tmp_path / "a home é 中文")
    made.create_tables(retention_days=30)
    return made


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, in memory."""
    with mounted(tmp_path / "small disk", megabytes=1) as place:
        yield place
