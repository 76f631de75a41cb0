"""Homes, connections and folders for the tests of the sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bowerbird.store.home import Home
from bowerbird.warehouse.connection import connect


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.open(tmp_path / "home é 中文")
    made.create_tables(retention_days=30)
    return made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "what came in"
    folder.mkdir()
    return folder
