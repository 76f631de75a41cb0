"""The nightly flow started from a deployment, by a schedule and in the browser, with a real server and a real worker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from bowerbird.store.home import Home
from bowerbird.store.published import history
from bowerbird.store.runs import read_json
from tests.conftest import write_items, write_log
from tests.flows.conftest import ROOT, Ui, bowerbird
from tests.flows.test_cli_run import write_recipe
from tests.pipeline.test_approval import HELD, hold

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.slow
RUN_SECONDS = 240
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run of the small log is started with."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "source").mkdir()
    write_log(folder / "source" / "events.csv")
    write_items(folder / "source" / "items.csv")
    return {"recipe_file": str(write_recipe(folder / "small.toml")), "source": str(folder / "source")}


def deployment(ui: Ui, name: str) -> dict[str, Any]:
    return dict(ui.api(f"deployments/name/{name}/{name}"))  # type: ignore[call-overload] # JSON


def await_end(ui: Ui, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        run = dict(ui.api(f"flow_runs/{run_id}"))  # type: ignore[call-overload] # JSON
        if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return run
        time.sleep(1)
    raise AssertionError(f"run {run_id} has not ended within {RUN_SECONDS} s: {run['state']}")


def runs_of(ui: Ui, deployment_id: str) -> set[str]:
    """Return the ids of the runs that somebody has started by hand."""
    found = ui.api("flow_runs/filter", sort="START_TIME_DESC", limit=100, deployments={"id": {"any_": [deployment_id]}})
    return {run["id"] for run in found if not run["auto_scheduled"]}  # type: ignore[attr-defined] # JSON


def start(ui: Ui, name: str, **parameters: object) -> str:
    """Start a deployment with Prefect's own command; return the flow run's id."""
    given = [part for key, value in parameters.items() for part in ("--param", f"{key}={json.dumps(value)}")]
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deployment", "run", f"{name}/{name}", *given],
        cwd=ROOT, env=ui.environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout.split("UUID:")[1].split()[0]


def field(page: Page, name: str) -> Locator:
    """Find a parameter's part of the form by its name alone: descriptions name others too."""
    label = page.locator(".schema-form-property__label", has_text=re.compile(rf"^{name}( \(Optional\))?$"))
    return page.locator(".p-label", has=label)


def submit(ui: Ui, page: Page, deployment_id: str, **texts: str) -> str:
    """Fill texts into the form that is open, and start the run; return its id."""
    for name, value in texts.items():
        field(page, name).locator("input, textarea").first.fill(value)
    before = runs_of(ui, deployment_id)
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**tab=Runs", timeout=60_000)
    (run_id,) = runs_of(ui, deployment_id) - before
    return run_id


def test_a_deployment_run_publishes_and_leaves_its_artifacts(ui: Ui, parameters: dict[str, str]) -> None:
    run = await_end(ui, start(ui, "nightly", **parameters))

    assert run["state"]["name"] == "Published", run["state"]["message"]
    assert len(history(Home.open(ui.home))) == 1
    artifacts = ui.api("artifacts/latest/filter", limit=100)
    keys = {found["key"] for found in artifacts}  # type: ignore[union-attr] # JSON
    assert {"small-rows", "small-row-contracts", "small-metrics", "small-decision", "small-report"} <= keys
    link = next(found["data"] for found in artifacts if found["key"] == "small-report")  # type: ignore[union-attr] # JSON
    address = link.split("(")[1].split(")")[0]
    assert address.startswith(ui.reports)
    assert "<html" in httpx.get(address, timeout=30).text


def test_a_schedule_fires(ui: Ui, parameters: dict[str, str]) -> None:
    found = deployment(ui, "nightly")
    httpx.patch(f"{ui.address}/api/deployments/{found['id']}", json={"parameters": parameters}, timeout=30).raise_for_status()
    schedule = [{"schedule": {"interval": 15}, "active": True, "slug": "often"}]
    made = (
        httpx.post(f"{ui.address}/api/deployments/{found['id']}/schedules", json=schedule, timeout=30).raise_for_status().json()
    )
    try:
        deadline = time.monotonic() + 120
        due: list[dict[str, Any]] = []
        while not due and time.monotonic() < deadline:
            time.sleep(1)
            runs = ui.api(
                "flow_runs/filter", sort="EXPECTED_START_TIME_ASC", limit=50, deployments={"id": {"any_": [found["id"]]}}
            )
            due = [run for run in runs if run["auto_scheduled"] and run["state_type"] not in ("SCHEDULED", "PENDING")]  # type: ignore[attr-defined] # JSON
    finally:
        for one in made:
            httpx.delete(f"{ui.address}/api/deployments/{found['id']}/schedules/{one['id']}", timeout=30).raise_for_status()
    assert due, "no scheduled run has begun within 120 s"
    assert await_end(ui, due[0]["id"])["state"]["name"] in ("Published", "Unchanged")


def test_the_form_in_the_browser_explains_and_starts_a_run(ui: Ui, parameters: dict[str, str], tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    found = deployment(ui, "nightly")
    outside: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1500})
        inside = (ui.address, "data:", "blob:", "ws://127.0.0.1")
        page.on("request", lambda request: None if request.url.startswith(inside) else outside.append(request.url))
        page.goto(f"{ui.address}/deployments/deployment/{found['id']}/run")
        page.get_by_text("Puts this one model up").wait_for(timeout=60_000)
        text = page.inner_text("body")
        page.screenshot(path=tmp_path / "form.png")
        run_id = submit(ui, page, found["id"], **parameters)
        run = await_end(ui, run_id)
        page.goto(f"{ui.address}/runs/flow-run/{run_id}")
        page.get_by_text("Bring the rows in").first.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "run.png")
        browser.close()

    assert "sample" in text and "A TOML file of your own" in text
    assert run["state"]["name"] in ("Published", "Unchanged"), run["state"]["message"]
    assert outside == []


def test_a_held_run_is_answered_in_the_browser_by_one_whom_its_policy_names(
    ui: Ui, parameters: dict[str, str], tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    models, gate = [{"name": "cooccurrence", "decay": 0.69}], {"approval": {"approvers": ["Ada"], "deadline": "3d"}}
    other = str(write_recipe(tmp_path / "other.toml", models=models, gate=gate))
    held = await_end(ui, start(ui, "nightly", recipe_file=other, source=parameters["source"]))
    assert held["state"]["name"] == "Held", held["state"]["message"]
    run_id = held["state"]["message"].split()[1].rstrip(":")
    shown = {one["key"]: one["data"] for one in ui.api("artifacts/latest/filter", limit=100)}  # type: ignore[attr-defined] # JSON
    assert "better than the champion" in shown["small-rules"]
    assert f"Run {run_id} waits for an answer of Ada" in shown["small-answer"]

    refused = await_end(ui, start(ui, "approve", run_id=run_id, decision="publish", by="Bob", reason="mine"))
    assert refused["state"]["name"] == "Failed" and "'Bob' may not answer" in refused["state"]["message"]
    found = deployment(ui, "approve")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1500})
        page.goto(f"{ui.address}/deployments/deployment/{found['id']}/run")
        page.get_by_text("close it without publishing").wait_for(timeout=60_000)
        field(page, "decision").locator("button.p-select-button__control").press("Space")
        page.locator(".p-select-option", has_text="publish").click()
        answered = await_end(ui, submit(ui, page, found["id"], run_id=run_id, by="Ada", reason="tried by hand"))
        page.screenshot(path=tmp_path / "answered.png")
        browser.close()

    assert answered["state"]["name"] == "Published", answered["state"]["message"]
    newest = history(Home.open(ui.home))[0]
    assert (newest.run_id, newest.kind, newest.by, newest.reason) == (run_id, "approve", "Ada", "tried by hand")
    assert read_json(ui.home / "runs" / run_id / "manifest.json")["answer"]["by"] == "Ada"
    again = bowerbird("approve", run_id, "--by", "Ada", "--reject", "--home", str(ui.home))
    assert again.returncode == 2 and "has been answered by Ada" in " ".join(again.stderr.split())


def test_the_deployment_deadlines_decides_what_nobody_has_answered_in_time(ui: Ui) -> None:
    folder = hold(Home.open(ui.home), days_ago=2, deadline="1d")

    assert await_end(ui, start(ui, "deadlines"))["state"]["name"] == "Decided"

    assert read_json(folder / "outcome.json")["answer"]["by"] == "the deadline"
    late = bowerbird("approve", HELD, "--home", str(ui.home))
    assert late.returncode == 2 and "has been answered by the deadline" in " ".join(late.stderr.split())
