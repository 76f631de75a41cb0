"""Bowerbird turns an event log into recommendations that have earned their place."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bowerbird.data.interactions import Interactions
    from bowerbird.models import build_model, known_models, load_model
    from bowerbird.recipe import Recipe, load_recipe
    from bowerbird.recipe_text import ItemTexts
    from bowerbird.text.encode import encode_items

__version__ = "0.1.0"
__all__ = [
    "Interactions",
    "ItemTexts",
    "Recipe",
    "__version__",
    "build_model",
    "encode_items",
    "known_models",
    "load_model",
    "load_recipe",
]

_HOMES = {
    "Interactions": "bowerbird.data.interactions",
    "ItemTexts": "bowerbird.recipe_text",
    "Recipe": "bowerbird.recipe",
    "build_model": "bowerbird.models",
    "encode_items": "bowerbird.text.encode",
    "known_models": "bowerbird.models",
    "load_model": "bowerbird.models",
    "load_recipe": "bowerbird.recipe",
}


def __getattr__(name: str) -> Any:  # Any: whatever the name stands for, imported when first used
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bowerbird' has no attribute {name!r}")
