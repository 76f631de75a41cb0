"""Each exported name stands in the reference, and nothing else does."""

from __future__ import annotations

import bowerbird
from tests.docs.pages import rows, sections


def test_exported_names_stand_in_the_reference() -> None:
    assert sorted(rows(sections("api.md")[""])) == sorted(name for name in bowerbird.__all__ if not name.startswith("__"))


def test_exported_names_are_there() -> None:
    assert [name for name in bowerbird.__all__ if not hasattr(bowerbird, name)] == []
