"""A conformance suite for recommenders, to be used with pytest; it needs the extra ``dev``."""

from __future__ import annotations

from bowerbird.errors import MissingExtraError

try:
    import pytest
except ImportError as error:
    raise MissingExtraError("pytest", extra="dev") from error

for _part in ("lists", "states", "edges", "tables", "accuracy"):
    pytest.register_assert_rewrite(f"bowerbird.testing.{_part}")

from bowerbird.testing.conformance import ModelConformance  # noqa: E402  asserts are rewritten before they are imported
from bowerbird.testing.datasets import checkerboard, movielens_events, small_log  # noqa: E402  as above

__all__ = ["ModelConformance", "checkerboard", "movielens_events", "small_log"]
