"""A small recipe and a look into tables, for the tests of the sources."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bowerbird.recipe import Recipe, read_recipe
from bowerbird.store.home import Home
from bowerbird.store.tables import relation
from bowerbird.warehouse.connection import connect

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DATA = Path(__file__).parents[3] / "shared" / "data"
RECIPES = Path(__file__).parents[2] / "deployments" / "recipes"


def events_recipe(*, contracts: dict[str, Any] | None = None, items: dict[str, Any] | None = None, **events: Any) -> Recipe:
    """A recipe whose log is ``events.csv`` with the columns user, item, at, and what is given besides."""
    spec = {
        "path": "events.csv",
        "columns": {"user_id": "user", "item_id": "item", "timestamp": "at"},
        "event": "view",
        "weights": {"view": 1.0},
        **events,
    }
    content: dict[str, Any] = {"name": "small", "source": {"events": spec}, "contracts": contracts or {"max_rejected_share": 1.0}}
    if items is not None:
        content["source"]["items"] = items
    return read_recipe(content, where="small.toml")


def rows_of(home: Home, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """All rows of a home's table, sorted."""
    with connect() as opened:
        relation(opened, getattr(home, table), "rows_of_table")
        return sorted(opened.execute(f"select {columns} from rows_of_table").fetchall(), key=repr)
