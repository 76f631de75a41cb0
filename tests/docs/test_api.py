"""Each exported name stands in the reference, and nothing else does."""

from __future__ import annotations

import re

import pandas as pd

import bowerbird
from tests.docs.pages import rows, sections


def test_exported_names_stand_in_the_reference() -> None:
    assert sorted(rows(sections("api.md")[""])) == sorted(name for name in bowerbird.__all__ if not name.startswith("__"))


def test_exported_names_are_there() -> None:
    assert [name for name in bowerbird.__all__ if not hasattr(bowerbird, name)] == []


def test_example_of_the_reference_runs() -> None:
    code = re.findall(r"```python\n(.+?)```", sections("api.md")[""], re.DOTALL)
    frame = pd.DataFrame(
        {
            "user_id": ["ann", "ann", "cid"],
            "item_id": ["tea", "pot", "tea"],
            "timestamp": pd.to_datetime(["2026-01-01"] * 3, utc=True),
        }
    )
    names: dict[str, object] = {"frame": frame}
    for block in code:
        exec(block, names)
    assert isinstance(names["lists"], pd.DataFrame)
    assert list(names["lists"].columns) == ["user_id", "item_id", "score", "rank", "source"]
