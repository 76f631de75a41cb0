"""What several tests share: a small log whose order can be learned, and a recipe for it."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bowerbird.recipe import Recipe, read_recipe
from bowerbird.store.home import Home

START = datetime(2026, 1, 1, tzinfo=UTC)
NUM_ITEMS = 30


@contextmanager
def mounted(place: Path, *, megabytes: int) -> Iterator[Path]:
    """Mount a file system of a size, in memory, until the end of the block; skip the test where that is not allowed."""
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small file system needs root on Linux: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    """Write a file until the disk is full; return it."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def write_log(path: Path, *, num_users: int = 120, days: range = range(40), seed: int = 3) -> Path:
    """Write the purchases of some days; an item is mostly followed by the next one, so that counting finds what comes."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(num_users):
        item = int(rng.integers(NUM_ITEMS))
        for day in range(50):
            if rng.random() < 0.35:
                moment = START + timedelta(days=day, seconds=int(rng.integers(86_000)))
                rows += [(f"u{user}", f"i{item}", "purchase", moment.isoformat(), 9.5)] if day in days else []
                item = (item + 1) % NUM_ITEMS if rng.random() < 0.85 else int(rng.integers(NUM_ITEMS))
    rows.sort(key=lambda row: row[3])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "kind", "time", "price"])
        writer.writerows(rows)
    return path


def write_items(path: Path) -> Path:
    """Write the catalogue of that log."""
    lines = ["item,title", *(f"i{item},Title {item}" for item in range(NUM_ITEMS))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shop_recipe(**changes: Any) -> Recipe:  # Any: sections
    """Return a recipe for that log; ``changes`` replace whole sections."""
    content: dict[str, Any] = {  # Any: sections
        "name": "small",
        "source": {
            "events": {
                "path": "events*.csv",
                "columns": {"user_id": "user", "item_id": "item", "event": "kind", "timestamp": "time", "price": "price"},
                "weights": {"purchase": 1.0},
            },
            "items": {"path": "items.csv", "columns": {"item_id": "item", "title": "title"}},
        },
        "target": {"events": ["purchase"], "exclude_events": []},
        "split": {"kind": "global_time", "horizon": "5d"},
        "models": [{"name": "popularity"}, {"name": "item_knn"}],
        "recommend": {"k": 5},
    }
    return read_recipe(content | changes, where="small")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home, in a folder whose name has a space and letters outside ASCII."""
    return Home.open(tmp_path / "a home é 中文")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with the small log and its catalogue."""
    folder = tmp_path / "source"
    folder.mkdir()
    write_log(folder / "events.csv")
    write_items(folder / "items.csv")
    return folder
