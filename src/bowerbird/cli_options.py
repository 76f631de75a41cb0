"""What the modules of the command line share: options, and how they read a home and answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bowerbird.errors import UserError

if TYPE_CHECKING:
    from bowerbird.recipe import Recipe
    from bowerbird.store.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The home folder: tables, runs, cache. BOWERBIRD_HOME, else ./.bowerbird.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, for errors too; all else on stderr.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help="A recipe by name (as in deployments/recipes) or a TOML file.")]
SourceOption = Annotated[
    Path | None,
    typer.Option(
        "--source", help="The folder, file or zip to read from. Absent: the recipe's simulated data.", show_default=False
    ),
]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for another run to end; exit code 6 after that.")
]
ByOption = Annotated[str, typer.Option("--by", help="Who decides; stands in the history.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the history.")]


def open_home(path: Path | None) -> Home:
    """Open the home folder that is named, else that of the settings."""
    from bowerbird.settings import Settings
    from bowerbird.store.home import Home

    return Home.open(path or Settings().home)


def check_recipe(name: str, *, seed: int | None = None, candidate: str | None = None) -> Recipe:
    """Find a recipe and check all of it but the settings of its models."""
    from bowerbird.application import recipe_path
    from bowerbird.recipe import load_recipe

    return load_recipe(recipe_path(name), seed=seed, candidate=candidate)


def check_exists(source: Path | None) -> None:
    """Raise UserError for a source that is not there."""
    if source is not None and not source.exists():
        raise UserError(f"the source {str(source)!r} does not exist", next_step="name a folder, file or zip with --source")


def run_outcome(home: Home, run_id: str) -> dict[str, Any]:  # Any: JSON
    """Return how a run ended, or that it has not."""
    from bowerbird.store.runs import OUTCOME, read_json

    path = home.runs / run_id / OUTCOME
    found: dict[str, Any] = read_json(path) if path.exists() else {"outcome": "unfinished", "run_id": run_id, "version": None}
    return found


def to_json(record: object) -> Any:  # Any: JSON
    """Return a record as plain JSON types."""
    from pydantic import TypeAdapter

    return TypeAdapter(type(record)).dump_python(record, mode="json")


def print_json(content: Any) -> None:  # Any: JSON
    """Print the one JSON object on stdout."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def say(text: str) -> None:
    """Say something to a person, on stderr."""
    from rich.console import Console

    Console(stderr=True).print(text, markup=False, highlight=False)
