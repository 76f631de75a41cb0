"""Models by cut-offs on a log small enough for a test: what is fitted on what, what is kept, what is told."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.errors import DataError, LockedError, UserError
from bowerbird.evaluation import metrics
from bowerbird.models import load_model
from bowerbird.pipeline import backtest, judge, prove, search
from bowerbird.pipeline.backtest import Cell
from bowerbird.pipeline.prepare import Plan, load_cut, load_targets
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, pin_versions
from bowerbird.pipeline.session import ingest_source, reading_session
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.published import history
from bowerbird.store.runs import read_json, write_json
from tests.conftest import shop_recipe, write_items, write_log

DAY = 86_400_000_000
MODELS = ("popularity", "cooccurrence")


def measure_all(run: Run, *, num_cut_offs: int = 3, names: tuple[str, ...] = MODELS) -> tuple[Plan, list[Cell]]:
    plan = backtest.make_plan(run, num_cut_offs=num_cut_offs, step="")
    specs = backtest.contestants(run.recipe, names)
    return plan, [cell for window in plan.test for spec in specs for cell in backtest.measure(run, plan, spec, window)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Plan, list[Cell]]:
    """Three models at three cut-offs; tests read it, and copy the home where they change it."""
    folder = tmp_path_factory.mktemp("measured")
    write_log(folder / "events.csv")
    write_items(folder / "items.csv")
    run = start(Home.open(folder / "home é"), folder)
    return run, *measure_all(run, names=("random", *MODELS))


@pytest.fixture
def moved(measured: tuple[Run, Plan, list[Cell]], tmp_path: Path) -> Run:
    """That run in a home of its own, in another place."""
    shutil.copytree(measured[0].home_path, tmp_path / "moved")
    return measured[0].model_copy(update={"home_path": tmp_path / "moved"})


def start(home: Home, source: Path) -> Run:
    """Open a run with the rows in, as the flow does; the lock is free again."""
    with reading_session(home, shop_recipe(), source, wait_seconds=0) as (run, free_lock):
        ingest_source(run)
        free_lock()
        return pin_versions(run)


def test_each_model_is_fitted_before_its_cut_off_and_scored_on_that_window_and_later_ones(
    measured: tuple[Run, Plan, list[Cell]],
) -> None:
    run, plan, cells = measured

    assert [(one.end - one.cut.at) // DAY for one in plan.test] == [5, 5, 5]
    assert [plan.now - one.end for one in plan.test] == [0, 5 * DAY, 10 * DAY]
    ages = [(0, 1), (0, 2), (0, 3), (5, 1), (5, 2), (10, 1)]
    assert {(cell.label, cell.days, cell.scored.window) for cell in cells} == {
        (label, float(days), f"cut-off-{window}") for label in ("random", *MODELS) for days, window in ages
    }
    for window in plan.test:
        folder = prove.model_folder(run, Spec(label="cooccurrence", name="cooccurrence"), window.cut)
        assert window.cut.at - 2 * DAY < load_model(folder).data.last_timestamp < window.cut.at


def test_an_aged_model_is_told_what_its_users_did_until_the_window(measured: tuple[Run, Plan, list[Cell]]) -> None:
    """Its lists are those that the old model gives on the histories up to the window, not on those up to its own fit."""
    run, plan, cells = measured
    newest, older = plan.test[:2]
    model = load_model(prove.model_folder(run, Spec(label="cooccurrence", name="cooccurrence"), older.cut))
    users = load_targets(run, newest)["user_id"].unique().tolist()
    lists = model.recommend(users, k=10, exclude_seen=False, history=load_cut(run, newest.cut)[0], at=newest.cut.at)

    (aged,) = (cell.scored for cell in cells if (cell.label, cell.days, cell.scored.window) == ("cooccurrence", 5.0, newest.name))

    pd.testing.assert_frame_equal(pd.read_parquet(aged.lists), lists)
    stale = model.recommend(users, k=10, exclude_seen=False, at=newest.cut.at)
    assert metrics.overlap(lists, stale, k=10) < 0.9  # type: ignore[operator] # both have lists


def test_the_leaderboard_tells_who_is_behind_and_the_page_shows_it(measured: tuple[Run, Plan, list[Cell]]) -> None:
    run, plan, cells = measured
    content = backtest.summarize(run, plan, cells)
    outcome = backtest.finish(run, content)

    first, *others = content["leaderboard"]
    assert first["label"] == "cooccurrence" and first["behind"] is None
    assert all(one["is_behind"] and one["behind"]["high"] < 0 and one["behind"]["adjusted_p"] < 0.05 for one in others)
    assert [one["day"] for one in content["test_windows"]] == sorted(one["day"] for one in content["test_windows"])
    users = {user for window in plan.test for user in load_targets(run, window)["user_id"]}
    assert content["num_users"] == len(users) > 100
    assert [point["days"] for point in content["ages"]["cooccurrence"]] == [5.0, 10.0]
    assert "random" not in content["advice"]
    page = Path(outcome["report"]).read_text(encoding="utf-8")
    assert content["sentence"] in page and "not surely" not in page and page.count("<svg") == 4
    assert read_json(run.folder / "outcome.json")["outcome"] == "backtested"
    assert history(run.home) == []


def test_a_backtest_again_makes_only_what_is_missing(
    measured: tuple[Run, Plan, list[Cell]], moved: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_calls(monkeypatch)

    _, again = measure_all(moved, names=("random", *MODELS))
    assert made == {"fit": 0, "score_lists": 0}
    assert [cell.scored.reach for cell in again] == [cell.scored.reach for cell in measured[2]]
    assert all(cell.scored.users.is_relative_to(moved.home_path) and cell.scored.users.exists() for cell in again)

    measure_all(moved, num_cut_offs=4)
    assert made["score_lists"] == 2 * 3  # the oldest fit of two models: fresh, one and two steps later
    assert len(list((moved.home.cache / "models").iterdir())) == 3 * 3 + 2


def test_a_score_is_made_anew_where_lists_or_rules_or_seed_are_others(measured: tuple[Run, Plan, list[Cell]], moved: Run) -> None:
    window, spec = measured[1].test[0], Spec(label="any", name="random")
    known = backtest.score_key(moved, spec, window.cut, window)
    assert known == backtest.score_key(measured[0], spec.model_copy(update={"label": "other"}), window.cut, window)

    for changes in ({"gate": {"k": 3}}, {"recommend": {"k": 7}}, {"rules": {"blocked_items": ["i1"]}}, {"seed": 2}):
        write_json(moved.folder / "recipe.json", shop_recipe(**changes).dump())
        assert backtest.score_key(moved, spec, window.cut, window) != known


def count_calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count how often a fit is asked for and a score is made."""
    made = {"fit": 0, "score_lists": 0}

    def counted(name: str, function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            made[name] += 1
            return function(*given, **named)

        return call

    for name in made:
        monkeypatch.setattr(prove, name, counted(name, getattr(prove, name)))
    return made


def test_contestants_are_the_recipes_models_and_the_rivals_or_those_named(home: Home) -> None:
    recipe = shop_recipe(models=[{"name": "item_knn", "num_neighbors": 5}, {"name": "cooccurrence"}])

    assert [spec.label for spec in backtest.contestants(recipe)] == [
        "item_knn",
        "cooccurrence",
        "random",
        "popularity_7d",
        "personal_frequency",
    ]
    knn, ease, knn_again = backtest.contestants(recipe, ["item_knn", "ease"]) + backtest.contestants(recipe, ["item_knn"] * 2)
    assert knn.config == knn_again.config == {"num_neighbors": 5} and ease.config == {}
    with pytest.raises(UserError, match="did you mean 'ease'"):
        backtest.contestants(recipe, ["eas"])


def test_settings_left_to_a_search_are_searched_before_each_cut_off_and_kept(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shop_recipe(models=[{"name": "item_knn", "search": {"trials": 2, "num_neighbors": [1, 50]}}])
    with reading_session(home, recipe, source, wait_seconds=0) as (run, free_lock):
        ingest_source(run)
        free_lock()
        run = pin_versions(run)
        plan = backtest.make_plan(run, num_cut_offs=2, step="")
        (spec,) = backtest.contestants(recipe, ["item_knn"])
        cells = [cell for window in plan.test for cell in backtest.measure(run, plan, spec, window)]

        assert {cell.found["num_neighbors"] for cell in cells} <= {1, 50} and len(cells) == 3
        searched = backtest.summarize(run, plan, cells)["searched"]["item_knn"]
        assert list(searched) == ["cut-off-1", "cut-off-2"]
        for window in plan.test:
            found = backtest.best_before(run, spec, window)
            assert found is not None and searched[window.name] == found.settings
            before = backtest._before(run, window)
            assert (before.cut.at, before.end) == (window.cut.at - 5 * DAY, window.cut.at), "no event from the cut-off on is read"
            folder = prove.model_folder(run, search.settled(spec, found), window.cut)
            assert load_model(folder).config.num_neighbors == found.settings["num_neighbors"]
        made = count_calls(monkeypatch)
        assert [cell for window in plan.test for cell in backtest.measure(run, plan, spec, window)] == cells
        assert made == {"fit": 0, "score_lists": 0}, "trials, fits and scores are found, not made again"


def test_a_step_and_a_log_that_cannot_be_cut_are_told(moved: Run) -> None:
    with pytest.raises(UserError, match="the step is '7 parsecs'"):
        backtest.make_plan(moved, num_cut_offs=2, step="7 parsecs")
    with pytest.raises(DataError, match="too short for 9 origins"):
        backtest.make_plan(moved, num_cut_offs=9, step="")
    plan = backtest.make_plan(moved, num_cut_offs=3, step="1d")
    assert [plan.test[0].cut.at - one.cut.at for one in plan.test] == [0, DAY, 2 * DAY]


def test_the_lock_is_free_once_the_rows_are_in_and_a_failure_is_written_down(home: Home, source: Path) -> None:
    with pytest.raises(DataError), reading_session(home, shop_recipe(), source, wait_seconds=0) as (run, free_lock):
        with pytest.raises(LockedError), writer_lock(home.lock, wait_seconds=0):
            pass
        ingest_source(run)
        free_lock()
        with writer_lock(home.lock, wait_seconds=0):
            backtest.make_plan(pin_versions(run), num_cut_offs=9, step="")
    assert read_json(run.folder / "outcome.json")["outcome"] == "failed"


def test_a_later_run_counts_the_backtest_among_the_uses_of_its_windows(
    measured: tuple[Run, Plan, list[Cell]], moved: Run
) -> None:
    backtest.summarize(moved, *measured[1:])

    used = judge._window_use(moved.model_copy(update={"run_id": "29990101-000000-aaaaaa"}), measured[1].test[0], ())

    assert used["used_by"] == [moved.run_id, "29990101-000000-aaaaaa"]


def test_two_that_need_the_same_fit_make_it_once(measured: tuple[Run, Plan, list[Cell]], moved: Run) -> None:
    spec = Spec(label="item_knn", name="item_knn")
    with ThreadPoolExecutor(2) as pool:
        fits = list(pool.map(lambda _: prove.fit(moved, spec, measured[1].test[0].cut), range(2)))

    assert sorted(fitted.run_id is None for fitted in fits) == [False, True]
