"""Imports what an extra brings, when it is first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bowerbird.errors import MissingExtraError


def import_extra(module: str, package: str, *, extra: str) -> Any:  # Any: a module of a package that may be absent
    """Return a module. Raises MissingExtraError, which names package and extra, where it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(package, extra=extra) from error
