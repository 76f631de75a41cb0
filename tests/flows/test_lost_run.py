"""A run whose machine is lost, server and all, is told as crashed after the restart, and the next run goes through."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from bowerbird.store.home import Home
from bowerbird.store.published import history
from tests.flows.conftest import Ui, running_ui
from tests.flows.test_cli_run import write_recipe
from tests.flows.test_ui import await_end, start

pytestmark = pytest.mark.slow
SECONDS = 45
"""In place of five minutes; longer than the half minute between two signs of life, so that only a lost run goes without one."""


def automations(ui: Ui) -> list[dict[str, Any]]:  # Any: JSON
    found: list[dict[str, Any]] = httpx.post(f"{ui.address}/api/automations/filter", json={}, timeout=30).json()  # Any: JSON
    return found


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, theirs too."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has ended
    found = [child for child, parent in parents.items() if parent == pid]
    return [*found, *(one for child in found for one in descendants(child))]


def lose_the_machine(ui: Ui) -> None:
    """Kill server, worker, flow and all, none of which can say a word."""
    for pid in [ui.process.pid, *descendants(ui.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    ui.process.wait()


def test_a_run_lost_with_its_machine_is_crashed_after_the_restart_and_bars_no_other(tmp_path: Path, source: Path) -> None:
    home = tmp_path / "home é 中文"
    parameters = {"recipe_file": str(write_recipe(tmp_path / "small.toml")), "source": str(source)}
    with running_ui(home) as ui:
        (automation,) = automations(ui)
        changed = {key: automation[key] for key in ("name", "description", "enabled", "actions")}
        changed["trigger"] = automation["trigger"] | {"within": SECONDS}
        address = f"{ui.address}/api/automations/{automation['id']}"
        httpx.put(address, json=changed, timeout=30).raise_for_status()
        ended = await_end(ui, start(ui, "nightly", **parameters))
        lost = start(ui, "nightly", **parameters)
        deadline = time.monotonic() + 120
        while ui.api(f"flow_runs/{lost}")["state_type"] != "RUNNING":  # type: ignore[call-overload] # JSON
            assert time.monotonic() < deadline, "the run has not begun"
            time.sleep(0.2)
        lose_the_machine(ui)

    with running_ui(home) as ui:
        kept = automations(ui)
        assert [(one["id"], one["trigger"]["within"]) for one in kept] == [(automation["id"], SECONDS)]
        state = await_end(ui, lost)["state"]
        assert (state["type"], state["name"]) == ("CRASHED", "Lost"), state
        assert await_end(ui, start(ui, "nightly", **parameters))["state"]["name"] == "Unchanged"
        assert ui.api(f"flow_runs/{ended['id']}")["state"]["name"] == "Published"  # type: ignore[call-overload] # JSON
    assert len(history(Home.open(home))) == 1
