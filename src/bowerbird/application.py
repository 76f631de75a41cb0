"""The one place from which the library reaches the application: flows, recipes, and Prefect's environment."""

from __future__ import annotations

import json
import logging
import os
import socket
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from bowerbird.errors import BowerbirdError, RecipeError, UserError, did_you_mean
from bowerbird.settings import Settings
from bowerbird.store.home import Home

SERVER_FILE = "server.json"
STARTUP_SECONDS = 300


def checkout() -> Path:
    """Return the folder of the application's checkout. Raises UserError from a bare wheel."""
    found = find_spec("flows")
    if found is None or not found.submodule_search_locations:
        raise UserError(
            "this command needs the application (flows, tasks, recipes), and only the library is installed",
            next_step="clone the repository and run 'make setup' there",
        )
    return Path(next(iter(found.submodule_search_locations))).parent


def recipe_path(recipe: str) -> Path:
    """Find a recipe by path, or by name among ``deployments/recipes``. Raises RecipeError for an unknown name."""
    path = Path(recipe)
    if path.suffix == ".toml" or path.is_file():  # a folder may be called like a recipe: its data
        return path
    folder = checkout() / "deployments" / "recipes"
    known = sorted(found.stem for found in folder.glob("*.toml"))
    if recipe not in known:
        raise RecipeError(
            f"there is no recipe {recipe!r}; known: {', '.join(known)}" + did_you_mean(recipe, known),
            next_step="name one of these, or the path of a TOML file",
        )
    return folder / f"{recipe}.toml"


def flow_module(name: str, home: Home) -> ModuleType:
    """Import a module of flows with Prefect set up for a home. Raises UserError from a bare wheel or without Prefect."""
    checkout()
    if find_spec("prefect") is None:
        raise UserError("Prefect is not installed", next_step="run 'make setup' in the checkout")
    os.environ.update(prefect_environment(home))
    module = import_module(f"flows.{name}")
    for handler in logging.getLogger("prefect").handlers:
        handler.addFilter(_spare_traceback)
    return module


def _spare_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback from a log line about the caller's mistake: the command line says what to do."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BowerbirdError):
        record.exc_info, record.exc_text = None, None
        record.msg, record.args = f"{record.getMessage()}: {error}", ()
    return True


def prefect_environment(home: Home) -> dict[str, str]:
    """Return what Prefect must be told: its home is ours, it calls nobody, and a slow machine is given time.

    A team's own server (``PREFECT_API_URL``) is used where the environment names one, else the server that
    ``bowerbird ui`` runs for this home, else a server that lives as long as the run.
    """
    found = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "GX_ANALYTICS_ENABLED": "False",
    }
    if not os.environ.get("PREFECT_API_URL"):
        found |= {
            "PREFECT_HOME": str(home.path / "prefect"),
            "PREFECT_PROFILES_PATH": str(home.path / "prefect" / "profiles.toml"),
            "PREFECT_LOCAL_STORAGE_PATH": str(home.cache / "results"),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(STARTUP_SECONDS),
        }
        address = running_server(home)
        if address is not None:
            found["PREFECT_API_URL"] = f"{address}/api"
    return found


def running_server(home: Home) -> str | None:
    """Return the address of the server that ``bowerbird ui`` runs for this home, or None.

    A killed one leaves its file behind, and after a restart another process may have its number: so the port is tried.
    """
    try:
        told = json.loads((home.path / "prefect" / SERVER_FILE).read_text(encoding="utf-8"))
        address = str(told["address"])
        os.kill(int(told["pid"]), 0)
        found = urlsplit(address)
        socket.create_connection((found.hostname or "", found.port or 0), timeout=1).close()
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return address


def report_address(run_id: str, *, page: str = "report.html") -> str:
    """Return where ``bowerbird ui`` serves a page of a run; browsers block links to files."""
    return f"http://127.0.0.1:{Settings().report_port}/{run_id}/{page}"
