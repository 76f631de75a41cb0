"""Prefect's servers: one that lives as long as a run, and the one of ``bowerbird ui`` with its worker and reports."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bowerbird.application import SERVER_FILE, STARTUP_SECONDS, checkout, prefect_environment
from bowerbird.errors import UserError
from bowerbird.store.home import Home
from bowerbird.store.runs import write_json

WORK_POOL = "bowerbird"
DATABASE = Path(sys.prefix) / "share" / "prefect.db"
"""An empty database of Prefect's, which ``make setup`` makes."""
KEPT = "P365D"
"""How long the server remembers what it waits for; a minute by default, and then a restart forgets lost runs."""


@dataclass(frozen=True)
class RunServer:
    """A server that was started and may not answer yet."""

    address: str
    process: subprocess.Popen[bytes]

    def await_healthy(self) -> None:
        """Wait until it answers. Raises UserError where it ends or never answers."""
        _await_server(f"{self.address}/api/health", self.process)


def start_run_server(home: Home) -> RunServer | None:
    """Start a server for this process without waiting for it, and end it when the process ends; None where there is one.

    Prefect starts such a server itself, but only when a flow begins and all is imported: here it starts while that goes on.
    Call this before Prefect is imported: it reads then where its server is, and what it does last of all is run before the
    server is ended.
    """
    settings = os.environ | prefect_environment(home)
    if settings.get("PREFECT_API_URL"):
        return None
    lay_database(home, DATABASE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--lifespan", "on"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    process = _start(command, settings | own, home.path)
    atexit.register(_end, [process])
    os.environ.update(settings | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"})
    return RunServer(f"http://127.0.0.1:{port}", process)


def lay_database(home: Home, made: Path) -> None:
    """Let a new home's Prefect begin with a database that is made already, where it is: to make one takes seconds."""
    place = home.path / "prefect" / "prefect.db"
    if made.exists() and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}.tmp")
        shutil.copyfile(made, unfinished)
        with contextlib.suppress(FileExistsError):  # a server that has begun at the same time keeps its own
            os.link(unfinished, place)
        unfinished.unlink()


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
    lay_database(home, DATABASE)
    server = home.path / "prefect" / SERVER_FILE
    server.parent.mkdir(parents=True, exist_ok=True)
    server.unlink(missing_ok=True)
    address = f"http://127.0.0.1:{port}"
    environment = os.environ | prefect_environment(home) | {"BOWERBIRD_HOME": str(home.path)}
    environment |= {
        "PREFECT_API_URL": f"{address}/api",
        "BOWERBIRD_REPORT_PORT": str(report_port),
        "BOWERBIRD_UI_PORT": str(port),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        # A run that was lost together with this server is told as lost after the restart, however late that comes.
        "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER": KEPT,
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
        _register_automations(f"{address}/api/automations", root / "deployments" / "automations")
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


def _register_automations(address: str, folder: Path) -> None:
    """Create the automations that the server does not know by name; one that a person has changed stays as it is."""
    known = {found["name"] for found in _post(f"{address}/filter", {})}
    for path in sorted(folder.glob("*.json")):
        automation = json.loads(path.read_text(encoding="utf-8"))
        if automation["name"] not in known:
            _post(f"{address}/", automation)


def _post(address: str, content: object) -> Any:  # Any: JSON
    asked = urllib.request.Request(address, json.dumps(content).encode(), {"Content-Type": "application/json"})  # noqa: S310 - our own address on 127.0.0.1
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


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
            time.sleep(0.1)
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
