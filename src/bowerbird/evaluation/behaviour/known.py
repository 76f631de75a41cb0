"""The checks that a recipe asks for: those that come with Bowerbird, and those of the recipe's own folder."""

from __future__ import annotations

import sys
from types import ModuleType

from bowerbird.errors import RecipeError
from bowerbird.evaluation.behaviour import histories, lists, misses, reach, response
from bowerbird.evaluation.behaviour.check import Check, checks_of, place_of, require_names
from bowerbird.recipe_gate import Behaviour

BUILT_IN: tuple[Check, ...] = tuple(checks_of(lists, histories, reach, misses, response))


def checks_for(policy: Behaviour) -> list[Check]:
    """Return all checks. Raises RecipeError for a file that does not load, and for a bound or a check that there is none of."""
    if policy.folder is not None and not policy.files:
        said = f"gate.behaviour.folder is {policy.folder!r}, and its files have not been read"
        raise RecipeError(said, next_step="read the recipe from its file, with load_recipe")
    checks = [*BUILT_IN, *(one for name, text in policy.files.items() for one in _own(name, text))]
    require_names(checks, bounds=policy.bounds, severity=policy.severity)
    return checks


def _own(name: str, text: str) -> list[Check]:
    """Run one file of the recipe's folder as a module, and return the checks that it defines."""
    module = ModuleType(f"bowerbird_checks.{name.removesuffix('.py')}")
    sys.modules[module.__name__] = module  # dataclasses look for the module of their class
    try:
        exec(compile(text, name, "exec"), vars(module))  # noqa: S102 - the recipe's owner wrote it, to be run
    except Exception as error:
        said = f"the checks in {name} cannot be loaded: {type(error).__name__}: {error} ({place_of(error, name)})"
        raise RecipeError(said, next_step="mend the file") from error
    found = checks_of(module)
    if not found:
        raise RecipeError(
            f"{name} defines no behavioural check", next_step="put @check() above a function; see docs/how-to/behaviour.md"
        )
    return found
