"""What can go wrong by the caller's hand; every message names the thing, the value and the next step.

BowerbirdError
├── UserError                 the caller's mistake                           exit code 2
│   ├── RecipeError           a recipe that does not read
│   ├── SourceError           input that is missing or cannot be read
│   ├── DataError             data that no model can be fitted on
│   ├── HomeError             a home folder that cannot be used
│   ├── CapabilityError       a model that cannot do what was asked
│   └── MissingExtraError     an optional package that is not installed
├── StoppedError              too many rows were rejected                    exit code 5
├── LockedError               another run holds the home folder              exit code 6
├── DiskFullError             the disk that holds the home folder is full    exit code 1
├── LeakError                 something at or after the cut-off was read     exit code 1
├── CheckError                recommendations that break their contract      exit code 1
├── EncoderError             texts that could not be turned into vectors     exit code 1
├── TrainingError             a loss that is not finite any more             exit code 1
└── PublishConflictError      somebody else published in between             exit code 1
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, ClassVar


class BowerbirdError(Exception):
    """Base of all errors; ``message`` says what is wrong, ``next_step`` what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.outcome: dict[str, Any] | None = None  # Any: JSON
        """What is known of the run that the error has ended."""

    def __str__(self) -> str:
        return f"{self.message}. Next: {self.next_step}" if self.next_step else self.message


class UserError(BowerbirdError):
    """The caller's mistake."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe that does not read."""


class SourceError(UserError):
    """Input that is missing or cannot be read."""


class DataError(UserError):
    """Data that no model can be fitted on."""


class HomeError(UserError):
    """A home folder that cannot be used."""


class CapabilityError(UserError):
    """A model that cannot do what was asked."""


class MissingExtraError(UserError):
    """An optional package that is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(f"the package {package!r} is not installed", next_step=f"pip install 'bowerbird[{extra}]'")


class StoppedError(BowerbirdError):
    """Too many rows were rejected to go on."""

    exit_code = 5


class LockedError(BowerbirdError):
    """Another run holds the home folder."""

    exit_code = 6


class DiskFullError(BowerbirdError):
    """The disk that holds the home folder is full."""

    @staticmethod
    def is_told_by(error: BaseException) -> bool:
        """Tell whether an error says that a disk is full: the system's own, or as DuckDB, Delta and safetensors wrap it."""
        return any(sign in str(error) for sign in ("No space left", "max_temp_directory_size"))


class LeakError(BowerbirdError):
    """Something at or after the cut-off was read."""


class CheckError(BowerbirdError):
    """A set of recommendations that breaks its contract."""


class EncoderError(BowerbirdError):
    """Texts that could not be turned into vectors."""


class TrainingError(BowerbirdError):
    """A loss that is not finite any more."""


class PublishConflictError(BowerbirdError):
    """Somebody else published in between."""


def is_interruption(error: BaseException | None) -> bool:
    """Tell whether an error is Ctrl-C, or came up while that was handled: Prefect makes another one of it between two tasks."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def did_you_mean(value: str, known: list[str]) -> str:
    """Return ``; did you mean 'x'?`` for the closest known name, or an empty string."""
    close = get_close_matches(value, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
