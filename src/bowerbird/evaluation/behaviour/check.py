"""A behavioural check: a function from what was recommended to what was found, and how many of them are run."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Literal

from bowerbird.errors import RecipeError, did_you_mean
from bowerbird.evaluation.behaviour.context import Context
from bowerbird.evaluation.decision import CheckResult

Severity = Literal["block", "show"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    asked
        What it asks, with the bound.
    found
        What it found, in words that follow "the nominee is rejected:".
    passed
        None where it cannot be judged on this data.
    value
        The figure that is held against the bound, where there is one; what is not finite is left out.
    """

    asked: str
    found: str
    passed: bool | None
    value: float | None = None


@dataclass(frozen=True)
class Check:
    """A function made a check; its keyword arguments are its bounds, which a recipe sets by name."""

    function: Callable[..., Finding]
    severity: Severity

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def says(self) -> str:
        """The first sentence of its docstring."""
        return (inspect.getdoc(self.function) or self.name).partition("\n")[0].rstrip(".")

    @property
    def bounds(self) -> dict[str, float | None]:
        """Its bounds and their defaults, by name."""
        own = list(inspect.signature(self.function).parameters.values())[1:]
        return {bound.name: bound.default for bound in own}

    def run(self, context: Context, bounds: Mapping[str, float], severity: Severity) -> CheckResult:
        """Judge the nominee; a check that raises has failed, with the message as what was found."""
        file = self.function.__code__.co_filename
        try:
            found = self.function(context, **{name: bounds[name] for name in self.bounds if name in bounds})
            if not isinstance(found, Finding):
                raise TypeError(f"the check returned {type(found).__name__}, not a Finding")
        except Exception as error:  # noqa: BLE001 - whatever a model or a user's check raises is the finding
            said = f"the check {self.name} ended with {type(error).__name__}: {error} ({place_of(error, file)})"
            found = Finding(self.says, said, False)
        value = None if found.value is None or not isfinite(found.value) else float(found.value)
        passed = None if found.passed is None else bool(found.passed)
        return CheckResult(name=self.name, asked=found.asked, found=found.found, value=value, passed=passed, severity=severity)


def check(*, severity: Severity = "block") -> Callable[[Callable[..., Finding]], Check]:
    """Make a function a behavioural check; ``block`` rejects the nominee where it fails, ``show`` only tells."""
    return lambda function: Check(function, severity)


def checks_of(*modules: ModuleType) -> list[Check]:
    """Return the checks that modules define, in the order of their lines."""
    return [one for module in modules for one in vars(module).values() if isinstance(one, Check) and _is_of(one, module)]


def run_checks(
    context: Context, checks: Sequence[Check], *, bounds: Mapping[str, float], severity: Mapping[str, str]
) -> tuple[CheckResult, ...]:
    """Run the checks that are not off; what fails and blocks comes first, then what fails, then the rest."""
    found = []
    for one in checks:
        level = severity.get(one.name, one.severity)
        if level != "off":
            found.append(one.run(context, bounds, "block" if level == "block" else "show"))
    return tuple(sorted(found, key=lambda result: (result.passed is not False, result.severity != "block")))


def require_names(checks: Sequence[Check], *, bounds: Mapping[str, float], severity: Mapping[str, str]) -> None:
    """Raise RecipeError for a bound or a check that there is none of, and for two checks of one name."""
    names = [one.name for one in checks]
    known = {"severity": names, "bounds": [name for one in checks for name in one.bounds]}
    for section, given in (("bounds", bounds), ("severity", severity)):
        for name in given:
            if name not in known[section]:
                said = f"gate.behaviour.{section} names {name!r}; known: {', '.join(known[section])}"
                raise RecipeError(said + did_you_mean(name, known[section]), next_step="name one of these")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RecipeError(f"two behavioural checks are called {twice!r}", next_step="give yours another name")


def _is_of(one: Check, module: ModuleType) -> bool:
    """A check that a module imports is not its own."""
    return one.function.__module__ == module.__name__


def place_of(error: Exception, file: str) -> str:
    """Name the line of ``file`` that raised an error or, where none of its lines did, the last line of all."""
    if isinstance(error, SyntaxError):
        return f"{file}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    last = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1])
    return f"{Path(last.filename).name}, line {last.lineno}"
