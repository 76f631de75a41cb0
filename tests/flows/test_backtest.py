"""A backtest that is killed and goes on, and a comparison, through a real server and a real worker."""

from __future__ import annotations

import json
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
from tests.flows.conftest import ROOT, Ui, clean_environment
from tests.flows.test_cli_run import write_recipe
from tests.flows.test_ui import CHROMIUM, FLAGS, await_end, deployment, start, submit

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
    assert any(name.startswith("Hold the rows against their contracts") for name in names)
    assert {f"Measure {model} at cut-off-{place}" for model in MODELS for place in (1, 2, 3, 4)} <= names
    assert artifacts(ui, "small-leaderboard") and artifacts(ui, "small-ages") and artifacts(ui, "small-backtest")

    run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    run_all(home, shop_recipe(candidate="popularity"), source)
    version = current(home)
    assert version is not None
    compared = await_end(
        ui, by_form(ui, "compare", "a published version as in v3", a=f"v{version.version}", home=str(home.path))
    )["state"]

    assert compared["name"] == "Compared", compared
    assert "cooccurrence of" in compared["message"] and "is better" in compared["message"]
    assert artifacts(ui, "comparison") and artifacts(ui, "comparison-changes")

    asked = {"recipe_file": str(recipe), "source": str(source), "home": str(home.path), "cut_offs": "2"}
    again = await_end(ui, by_form(ui, "backtest", "How many models are fitted and scored side by side", **asked))["state"]

    assert again["name"] == "Backtested" and "Over 2 cut-offs" in again["message"], again


def by_form(ui: Ui, name: str, told: str, **texts: str) -> str:
    """Start a deployment as a person does, by its form in a browser, once it tells what it should; return the flow run's id."""
    from playwright.sync_api import sync_playwright

    found = deployment(ui, name)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 2000})
        page.goto(f"{ui.address}/deployments/deployment/{found['id']}/run")
        page.get_by_text(told).wait_for(timeout=60_000)
        run = submit(ui, page, found["id"], **texts)
        browser.close()
    return run


def test_ctrl_c_ends_the_models_that_are_under_way(tmp_path: Path, source: Path) -> None:
    """The one model would train for hours."""
    settings = {"num_epochs": 1_000_000, "embedding_size": 8, "max_length": 10, "num_blocks": 1}
    recipe, home = write_recipe(tmp_path / "long.toml", models=[{"name": "sasrec", **settings}]), tmp_path / "home"
    command = [sys.executable, "-m", "bowerbird.cli", "backtest", "--recipe", str(recipe), "--source", str(source)]
    process = subprocess.Popen(
        [*command, "--home", str(home), "--models", "sasrec", "--cut-offs", "2", "--json"], cwd=ROOT, env=clean_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not list(home.glob("cache/checkpoints/*/*")) and time.monotonic() < deadline:
            time.sleep(0.2)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, out
    assert json.loads(out)["error"]["kind"] == "Interrupted"
    assert time.monotonic() - began < 90
    outcomes = list(home.glob("runs/*/outcome.json"))
    assert [read_json(path)["outcome"] for path in outcomes] == ["interrupted"]
