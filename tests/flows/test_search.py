"""A search through the flow: each trial is a task of its own, and the table stands among the artifacts."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from bowerbird.store.runs import read_json
from tests.flows.conftest import bowerbird
from tests.flows.test_cli_run import write_recipe

pytestmark = pytest.mark.slow


def test_trials_are_tasks_and_the_best_goes_into_the_contest(tmp_path: Path, source: Path) -> None:
    recipe, home = write_recipe(tmp_path / "small.toml"), tmp_path / "home"
    lines = "\n[models.search]\ntrials = 3\nnum_neighbors = [5, 20]\nshrinkage = { low = 0.1, high = 100.0, log = true }\n"
    text = recipe.read_text(encoding="utf-8")
    place = text.index('[[models]]\nname = "item_knn"\n') + len('[[models]]\nname = "item_knn"\n')
    recipe.write_text(text[:place] + lines + text[place:], encoding="utf-8")

    done = bowerbird("run", "--recipe", str(recipe), "--source", str(source), "--home", str(home), "--seed", "1", "--json")

    assert done.returncode in (0, 3, 4), done.stderr[-3000:]
    run = home / "runs" / json.loads(done.stdout)["run_id"]
    found = read_json(run / "evaluation.json")["searches"]["item_knn"]
    assert len(found["trials"]) == 3 and found["best"] in (1, 2, 3)
    with sqlite3.connect(home / "prefect" / "prefect.db") as database:
        tasks = {name for (name,) in database.execute("select name from task_run")}
        artifacts = {key for (key,) in database.execute("select key from artifact")}
    assert {"Trial 1 of item_knn", "Trial 2 of item_knn", "Trial 3 of item_knn", "Take the best trial of item_knn"} <= tasks
    assert "small-search-item-knn" in artifacts
