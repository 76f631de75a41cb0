"""The search for settings: what is tried, kept, pruned and chosen, and that a killed one goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bowerbird.errors import TrainingError
from bowerbird.models.base import Model
from bowerbird.pipeline import prepare, prove, search
from bowerbird.pipeline.prepare import Window
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, open_run, pin_versions
from bowerbird.pipeline.search import Trial
from bowerbird.pipeline.session import ingest_source
from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.runs import list_runs, read_json, write_json
from tests.conftest import shop_recipe, write_log

SPACE = {"num_neighbors": {"low": 1, "high": 50}, "shrinkage": {"low": 0.1, "high": 100.0, "log": True}}
SASREC = {"num_blocks": 1, "embedding_size": 8, "max_length": 10, "max_epochs": 8}


def searched(space: dict[str, Any], *, name: str = "item_knn", **config: Any) -> dict[str, Any]:  # Any: what TOML holds
    return {"name": name, "search": space, **config}


def begun(home: Home, source: Path, *models: dict[str, Any], **changes: Any) -> tuple[Run, Spec, Window]:  # Any: what TOML holds
    """Ingest and plan; return the run, the first model's spec and the selection window."""
    run = open_run(home, shop_recipe(models=list(models), **changes), source)
    ingest_source(run)
    run = pin_versions(run)
    return run, prove.contenders(run.recipe, None)[0], prepare.make_plan(run).selection


def tuned(run: Run, spec: Spec, window: Window) -> list[Trial]:
    return [search.make_trial(run, spec, window, number) for number in search.numbers_left(run, spec, window)]


def test_the_best_trial_is_chosen_and_nothing_is_searched_twice(home: Home, source: Path) -> None:
    run, spec, window = begun(home, source, searched({"trials": 4, **SPACE}))
    trials = tuned(run, spec, window)

    assert [trial.number for trial in trials] == [1, 2, 3, 4] and {trial.state for trial in trials} == {"complete"}
    assert all(1 <= trial.settings["num_neighbors"] <= 50 and 0.1 <= trial.settings["shrinkage"] <= 100 for trial in trials)
    assert len({trial.settings["shrinkage"] for trial in trials}) == 4
    best = max(trials, key=lambda trial: trial.score or 0)
    found = search.best_of(run, spec, window)
    assert found.config == best.settings and found.search is None
    fitted = prove.fit(run, found, window.cut)
    score = search.pooled([prove.score(run, fitted, window)])["ndcg"].mean()
    assert score == best.score, "the settings that were found give what the trial gave"
    assert not search.numbers_left(run, spec, window)


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(home: Home, source: Path) -> None:
    space = {"trials": 6, "num_heads": [1, 5]}  # 5 does not divide 8
    run, spec, window = begun(home, source, searched(space, name="sasrec", num_epochs=1, embedding_size=8))
    trials = tuned(run, spec, window)
    assert {trial.settings["num_heads"]: trial.state for trial in trials} == {1: "complete", 5: "failed"}
    assert "no multiple of num_heads 5" in next(trial.error for trial in trials if trial.state == "failed")
    assert search.best_of(run, spec, window).config["num_heads"] == 1


def test_where_all_trials_fail_the_run_stops_and_says_why(home: Home, source: Path) -> None:
    space = {"trials": 2, "num_heads": [3, 5]}
    run, spec, window = begun(home, source, searched(space, name="sasrec", num_epochs=1, embedding_size=8))
    tuned(run, spec, window)
    with pytest.raises(TrainingError, match=r"none of the 2 trials.*no multiple of num_heads"):
        search.best_of(run, spec, window)


def test_what_validates_worse_than_the_earlier_trials_is_pruned(home: Home, source: Path) -> None:
    model = searched({"trials": 6, "learning_rate": {"low": 1e-4, "high": 1e-2}}, name="sasrec", **SASREC)
    run, spec, window = begun(home, source, model)
    perfect = Trial(number=1, settings={"learning_rate": 1e-3}, state="complete", score=1.0, validations={1: 1.0, 2: 1.0})
    study = search.open_study(run, spec, window)
    trials = [perfect.model_copy(update={"number": number}).model_dump(mode="json") for number in range(1, 6)]
    write_json(search.study_path(run, spec, window), study.model_dump(mode="json") | {"trials": trials})

    (trial,) = tuned(run, spec, window)

    assert (trial.state, list(trial.validations)) == ("pruned", [1]), "the first epoch was enough"
    assert search.best_of(run, spec, window).config["learning_rate"] == 1e-3


def test_a_finished_search_holds_on_newer_data_until_every_has_passed(home: Home, source: Path) -> None:
    model = searched({"trials": 2, **SPACE})
    run, spec, window = begun(home, source, model)
    tuned(run, spec, window)
    found = search.best_of(run, spec, window)

    write_log(source / "events2.csv", days=range(40, 50), seed=4)
    run, spec, window = begun(home, source, model)
    assert not search.numbers_left(run, spec, window) and search.best_of(run, spec, window).config == found.config
    run, spec, window = begun(home, source, searched({"trials": 2, "every": "30d", **SPACE}))
    assert not search.numbers_left(run, spec, window)
    run, spec, window = begun(home, source, searched({"trials": 2, "every": "2d", **SPACE}))
    assert len(search.numbers_left(run, spec, window)) == 2
    run, spec, window = begun(home, source, searched({"trials": 3, **SPACE}))
    assert len(search.numbers_left(run, spec, window)) == 3, "more trials than were made, on other data: begun anew"


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_and_ends_as_an_undisturbed_one(tmp_path: Path, source: Path) -> None:
    recipe = shop_recipe(models=[searched({"trials": 4, **SPACE}), {"name": "popularity"}])
    killed, undisturbed = Home.open(tmp_path / "killed"), Home.open(tmp_path / "undisturbed")
    process = multiprocessing.get_context("forkserver").Process(target=_killed_in_trial, args=(killed, recipe, source, 3))
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    (study,) = (killed.cache / "studies").iterdir()
    assert len(read_json(study)["trials"]) == 2

    outcome, expected = run_all(killed, recipe, source), run_all(undisturbed, recipe, source)

    assert outcome["outcome"] == expected["outcome"]
    assert searches(killed) == searches(undisturbed)
    assert len(searches(killed)["item_knn"]["trials"]) == 4
    manifest = read_json(killed.runs / outcome["run_id"] / "manifest.json")
    if manifest["model"]["name"] == "item_knn":
        assert set(SPACE) <= set(manifest["model"]["config"])
    assert "Search for settings" in Path(outcome["report"]).read_text(encoding="utf-8")


def searches(home: Home) -> dict[str, Any]:  # Any: JSON
    return dict(read_json(home.runs / list_runs(home.runs)[-1] / "evaluation.json")["searches"])


def _killed_in_trial(home: Home, recipe: Any, source: Path, number: int) -> None:  # Any: a Recipe, by way of another process
    """Kill this process as a fit of the trial is saved."""
    save, calls = Model.save, iter(range(1, 100))

    def saved(model: Model, folder: Path) -> None:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        save(model, folder)

    Model.save = saved  # type: ignore[method-assign] # in a process of its own
    run_all(home, recipe, source)
