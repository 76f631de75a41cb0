"""A home with tables, and a disk so small that it fills up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bowerbird.store.home import Home
from bowerbird.warehouse.connection import connect


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
    place = tmp_path / "small disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small file system needs root on Linux: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
