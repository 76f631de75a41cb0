"""A backtest that is killed and goes on, and a comparison, through a real server and a real worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.published import current, history
from bowerbird.store.runs import list_runs, read_json
from tests.conftest import shop_recipe
from tests.flows.conftest import ROOT, Ui
from tests.flows.test_cli_run import write_recipe
from tests.flows.test_ui import await_end, start

pytestmark = pytest.mark.slow
MODELS = ("popularity", "cooccurrence", "item_knn")


def artifacts(ui: Ui, key: str) -> list[dict[str, object]]:
    return list(ui.api("artifacts/filter", artifacts={"key": {"any_": [key]}}))  # type: ignore[call-overload] # JSON


def test_a_killed_backtest_goes_on_from_the_deployment_and_runs_are_compared(ui: Ui, tmp_path: Path, source: Path) -> None:
    recipe, home = write_recipe(tmp_path / "small.toml"), Home.open(tmp_path / "home é")
    command = [sys.executable, "-m", "bowerbird.cli", "backtest", "--recipe", str(recipe), "--source", str(source)]
    options = ["--home", str(home.path), "--cut-offs", "4", "--models", ",".join(MODELS), "--at-once", "1"]
    process = subprocess.Popen(
        [*command, *options], cwd=ROOT, env=ui.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while len(list(home.cache.glob("scores/*/scored.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in home.cache.glob("scores/*/scored.json")}
    assert 2 <= len(kept) < 3 * 9, "it was to be killed on its way"
    with writer_lock(home.lock, wait_seconds=0):
        pass

    run = start(
        ui, "backtest", recipe_file=str(recipe), source=str(source), home=str(home.path), cut_offs=4, models=MODELS, at_once=2
    )
    state = await_end(ui, run)["state"]

    assert state["name"] == "Backtested", state
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(home.cache.glob("scores/*/scored.json"))) == 3 * 9  # ages 0, 1, 2 steps: 4 + 3 + 2 windows a model
    folder = home.runs / list_runs(home.runs)[-1]
    content = read_json(folder / "backtest.json")
    assert content["leaderboard"][0]["label"] == "cooccurrence"
    assert "<h1>Backtest</h1>" in (folder / "backtest.html").read_text(encoding="utf-8")
    assert history(home) == []
    tasks = ui.api("task_runs/filter", flow_runs={"id": {"any_": [run]}}, limit=100)
    names = {task["name"] for task in tasks}  # type: ignore[attr-defined] # JSON
    assert {f"Measure {model} at cut-off-{place}" for model in MODELS for place in (1, 2, 3, 4)} <= names
    assert artifacts(ui, "small-leaderboard") and artifacts(ui, "small-ages") and artifacts(ui, "small-backtest")

    run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    run_all(home, shop_recipe(candidate="popularity"), source)
    version = current(home)
    assert version is not None
    compared = await_end(ui, start(ui, "compare", a=f"v{version.version}", b="latest", home=str(home.path)))["state"]

    assert compared["name"] == "Compared", compared
    assert "cooccurrence of" in compared["message"] and "is better" in compared["message"]
    assert artifacts(ui, "comparison") and artifacts(ui, "comparison-changes")
