"""One Prefect server with worker, deployments and reports for all tests of the flows, started as a user starts it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
STARTUP_SECONDS = 240


@dataclass(frozen=True)
class Ui:
    """A running ``bowerbird ui``."""

    home: Path
    address: str
    reports: str
    process: subprocess.Popen[str]
    environment: dict[str, str]

    def api(self, path: str, **body: object) -> object:
        """Ask the server; a body makes it a POST."""
        url = f"{self.address}/api/{path}"
        answer = httpx.post(url, json=body, timeout=30) if body else httpx.get(url, timeout=30)
        answer.raise_for_status()
        return answer.json()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """The environment less what another Prefect or Bowerbird has put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "BOWERBIRD_"))}


def bowerbird(
    *arguments: str, environment: dict[str, str] | None = None, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "bowerbird.cli", *arguments],
        cwd=ROOT, env=environment or clean_environment(), capture_output=True, text=True, timeout=seconds, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def running_ui(home: Path, **settings: str) -> Iterator[Ui]:
    """Run ``bowerbird ui`` on free ports, until the end of the block; ``settings`` are environment variables."""
    port, report_port = free_port(), free_port()
    ports = ("--port", str(port), "--report-port", str(report_port))
    log = home.parent / "ui.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bowerbird.cli", "ui", "--home", str(home), *ports],
            cwd=ROOT, env=clean_environment() | settings, stdout=out, stderr=out, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + STARTUP_SECONDS
            while "Ctrl-C ends all of it" not in log.read_text():
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(0.5)
            address = f"http://127.0.0.1:{port}"
            environment = clean_environment() | {"PREFECT_API_URL": f"{address}/api", "PREFECT_HOME": str(home / "prefect")}
            yield Ui(home, address, f"http://127.0.0.1:{report_port}", process, environment)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(timeout=60)


@pytest.fixture(scope="session")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui") / "home é 中文"
    with running_ui(home) as started:
        yield started
    shutil.rmtree(home, ignore_errors=True)
