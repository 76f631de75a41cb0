"""The one place from which the library reaches the application: flows, recipes, and Prefect's environment."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from bowerbird.errors import BowerbirdError, RecipeError, UserError, did_you_mean
from bowerbird.settings import Settings
from bowerbird.store.home import Home
from bowerbird.store.runs import write_json

SERVER_FILE = "server.json"
STARTUP_SECONDS = 300
WORK_POOL = "bowerbird"


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


def report_address(run_id: str) -> str:
    """Return where ``bowerbird ui`` serves the report of a run; browsers block links to files."""
    return f"http://127.0.0.1:{Settings().report_port}/{run_id}/report.html"


def serve_ui(home: Home, *, port: int, report_port: int) -> None:
    """Run the Prefect server, the deployments, a worker and the reports on 127.0.0.1 until Ctrl-C, then end them all.

    Raises
    ------
    UserError
        Where a port is taken, or one of the processes ends by itself.
    """
    root = checkout()
    for taken in (port, report_port):
        _require_free(taken)
    server = home.path / "prefect" / SERVER_FILE
    server.parent.mkdir(parents=True, exist_ok=True)
    server.unlink(missing_ok=True)
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | prefect_environment(home) | {"BOWERBIRD_HOME": str(home.path)}
    environment |= {
        "PREFECT_API_URL": f"{address}/api",
        "BOWERBIRD_REPORT_PORT": str(report_port),
        "BOWERBIRD_UI_PORT": str(port),
    }
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    reports = [sys.executable, "-m", "http.server", str(report_port), "--bind", "127.0.0.1", "--directory", str(home.runs)]
    home.runs.mkdir(exist_ok=True)
    started: list[subprocess.Popen[bytes]] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        command = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        started.append(_start(command, environment, root))
        _await_server(f"{address}/api/health", started[0])
        write_json(server, {"address": address, "pid": os.getpid()})
        _call([*prefect, "work-pool", "create", WORK_POOL, "--type", "process", "--overwrite"], environment, root)
        deploy = ["deploy", "--all", "--prefect-file", str(root / "deployments" / "prefect.yaml")]
        _call([*prefect, *deploy], environment, root)
        started.append(_start([*prefect, "worker", "start", "--pool", WORK_POOL], environment, root))
        started.append(_start(reports, environment, root))
        sys.stderr.write(f"Prefect UI: {address}\nReports:    http://127.0.0.1:{report_port}\nCtrl-C ends all of it.\n")
        sys.stderr.flush()
        while True:
            _require_alive(started)
            time.sleep(0.5)
    except KeyboardInterrupt:
        sys.stderr.write("Ending the server, the worker and the reports.\n")
    finally:
        server.unlink(missing_ok=True)
        _end(started)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"port {port} on 127.0.0.1 is taken", next_step="end what uses it, or choose others with --port, --report-port"
            ) from error


def _start(command: list[str], environment: dict[str, str], root: Path) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, so that Ctrl-C reaches us first and we end it."""
    return subprocess.Popen(command, env=environment, cwd=root, stdout=sys.stderr, start_new_session=True)


def _call(command: list[str], environment: dict[str, str], root: Path) -> None:
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"'{' '.join(command[3:])}' failed: {done.stdout[-2000:]}{done.stderr[-2000:]}", next_step="see the message"
        )


def _await_server(health: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline:
        _require_alive([server])
        try:
            with urllib.request.urlopen(health, timeout=5):  # noqa: S310 - our own address on 127.0.0.1
                return
        except OSError:
            time.sleep(0.3)
    raise UserError(f"the Prefect server did not start within {STARTUP_SECONDS} s", next_step="look at its messages above")


def _require_alive(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        if process.poll() is not None:
            raise UserError(
                f"a process ended by itself with code {process.returncode}: {process.args!r}",
                next_step="look at its messages above",
            )


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    """End processes in reverse order; a worker may need to be asked twice."""
    for process in reversed(started):
        for _ in range(2):
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=10)
        if process.poll() is None:
            process.kill()
            process.wait()
