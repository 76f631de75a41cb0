"""A language model in the flow itself, server and worker: what it knows reaches models and report, its absence stops nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.models import load_model
from bowerbird.pipeline.run import MODEL
from bowerbird.store.runs import list_runs, read_json
from tests.flows.conftest import Ui, running_ui
from tests.flows.test_cli_run import write_recipe
from tests.flows.test_ui import await_end, start
from tests.text.scripted import Says, completion, item_of, served

pytestmark = pytest.mark.slow
NUM_ITEMS, BUDGET = 30, 20


@dataclass
class Endpoint:
    """Knows of each item, until it is down."""

    is_up: bool = True

    def answer(self, request: dict[str, Any], _: int) -> Says:
        if not self.is_up:
            return Says(b"{}", status=503)
        words = item_of(request)["title"].split()
        return completion(json.dumps({"keywords": words, "attributes": {"room": "kitchen"}, "profile": ""}))


def tasks_of(ui: Ui, run_id: str) -> dict[str, str]:
    found = ui.api("task_runs/filter", flow_runs={"id": {"any_": [run_id]}}, limit=200)
    return {task["name"].rsplit("-", 1)[0]: task["state_type"] for task in found}  # type: ignore[attr-defined] # JSON


def test_knowledge_is_asked_for_in_the_flow_within_its_budget_and_an_endpoint_that_is_down_stops_no_run(
    tmp_path: Path, source: Path
) -> None:
    asked = {
        "model": "tiny",
        "num_parallel": 1,
        "max_retries": 0,
        "max_requests": BUDGET,
        "attributes": {"room": ["kitchen", "hall"]},
    }
    models = [{"name": "popularity"}, {"name": "content"}]
    recipe = write_recipe(tmp_path / "small.toml", models=models, knowledge=asked)
    parameters = {"recipe_file": str(recipe), "source": str(source), "candidate": "content"}
    home = tmp_path / "home"
    endpoint = Endpoint()
    with served(endpoint.answer) as at, running_ui(home, BOWERBIRD_LLM_URL=at.url) as ui:
        first = start(ui, "nightly", **parameters)
        state = await_end(ui, first)["state"]
        assert state["type"] == "COMPLETED", state
        assert len(at.asked) == BUDGET
        tasks = tasks_of(ui, first)
        assert tasks["Ask for knowledge of the items"] == tasks["Hold the knowledge against its contract"] == "COMPLETED"
        artifacts = ui.api("artifacts/latest/filter", limit=100)
        assert "small-knowledge-contract" in {found["key"] for found in artifacts}  # type: ignore[attr-defined] # JSON
        (run_id,) = list_runs(home / "runs")
        assert_reached(home / "runs" / run_id, state["name"])
        endpoint.is_up = False
        second = start(ui, "nightly", **parameters | {"seed": 2})
        state = await_end(ui, second)["state"]
        assert state["type"] == "COMPLETED", state
        assert tasks_of(ui, second)["Hold the knowledge against its contract"] == "COMPLETED"
    report = read_json(home / "runs" / list_runs(home / "runs")[-1] / "knowledge.json")
    assert (report["accepted"], report["cached"]) == (BUDGET, BUDGET), "what was answered once is kept"
    assert report["failed"] == {"endpoint_down": NUM_ITEMS - BUDGET - 3, "endpoint_error": 3}


def assert_reached(run: Path, state: str) -> None:
    """The budget is told, and knowledge stands in items, contract, model, manifest and report."""
    report = read_json(run / "knowledge.json")
    assert report["failed"] == {"over_budget": NUM_ITEMS - BUDGET}
    items = pd.read_parquet(run / "knowledge.parquet")
    assert items["attributes"].dropna().map(list).tolist() == [["room: kitchen"]] * BUDGET
    assert f"knowledge of {BUDGET} of {NUM_ITEMS} items" in (run / "report.html").read_text(encoding="utf-8")
    assert read_json(run / "manifest.json")["knowledge"] == report["digest"]
    model = load_model(run / MODEL)
    assert "attributes: room: kitchen" in model._names, state  # type: ignore[attr-defined] # of content
