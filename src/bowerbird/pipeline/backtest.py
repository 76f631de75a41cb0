"""Models by cut-offs: each model fitted at each of several cut-offs, scored on the window that begins there and on later ones.

What a recipe leaves to a search is searched before each cut-off anew, on a window that ends there. What a model finds in the
window that begins with its cut-off makes the leaderboard; what it finds in later ones, beside the same model fitted there, its
age curve. Every score is kept in the home's cache by all that it depends on, as fits and trials are, so a backtest that was
killed, or that is asked for one more model, makes only what is missing. It publishes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.errors import UserError, did_you_mean
from bowerbird.evaluation import aging, protocol, statistics
from bowerbird.evaluation.decision import RANDOM
from bowerbird.evaluation.wording import METRIC_NAMES
from bowerbird.models import known_models, load_model
from bowerbird.models.base import Model
from bowerbird.pipeline import prove, search
from bowerbird.pipeline.judge import figures, metric_name, pooled
from bowerbird.pipeline.prepare import (
    PLAN,
    SELECTION_WINDOW,
    Cut,
    Plan,
    Window,
    load_targets,
    require_target,
    whole_log,
)
from bowerbird.pipeline.prove import Scored, Spec
from bowerbird.pipeline.run import Run, digest
from bowerbird.pipeline.session import outcome_of
from bowerbird.recipe import Recipe
from bowerbird.recipe_values import Duration, write_duration
from bowerbird.report.backtest_page import write_page
from bowerbird.store.runs import BACKTEST, OUTCOME, read_json, write_json

PAGE = "backtest.html"
SCORED = "scored.json"


class Cell(BaseModel):
    """One model, fitted at one cut-off, on one window."""

    model_config = ConfigDict(frozen=True)

    label: str
    days: float
    """Its age: from the cut-off to the start of the window; 0 is fresh."""
    scored: Scored
    found: dict[str, Any] = {}  # Any: the model's config decides the types
    """Settings that a search before the cut-off has found."""


def read_step(text: str) -> timedelta | None:
    """Read a step between cut-offs, as in ``7d``; None for an empty text. Raises UserError."""
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text) if text else None
    except ValidationError as error:
        raise UserError(f"the step is {text!r}", next_step="write a number with m, h, d or w, as in '7d'") from error


def make_plan(run: Run, *, num_cut_offs: int, step: str) -> Plan:
    """Cut the log at several moments, newest first, and keep plan and targets in the run's folder.

    Always by time, whatever the recipe's split. The selection window before the oldest cut-off decides nothing here: what is made
    once for all cut-offs, as semantic ids are, reads only what was there before it.

    Raises
    ------
    DataError
        Where the log is too short, or a window has no target.
    UserError
        Where ``step`` is no duration.
    """
    split = run.recipe.split
    now, data, is_target = whole_log(run)
    require_target(is_target, run.recipe.target)
    users, times = data.users[is_target], data.timestamps[is_target]
    origins = protocol.rolling_origins(
        users, times, now=now, horizon=split.horizon, num_origins=num_cut_offs, step=read_step(step)
    )
    windows = [
        Window(name=f"cut-off-{place}", cut=Cut(at=origin.cut_off), end=origin.test.end)
        for place, origin in enumerate(origins, 1)
    ]
    selection = _before(run, windows[-1]).model_copy(update={"name": SELECTION_WINDOW})
    plan = Plan(kind="global_time", now=now, selection=selection, test=tuple(windows))
    for window in windows:
        load_targets(run, window)  # found once, before several threads ask
        if any(model.search for model in run.recipe.models):
            load_targets(run, _before(run, window))
    write_json(run.folder / PLAN, plan.model_dump(mode="json"))
    return plan


def contestants(recipe: Recipe, names: Sequence[str] = ()) -> list[Spec]:
    """Return the recipe's models and the rivals, or those that are named: one of these by its label, or any model with defaults.

    Raises UserError for an unknown name.
    """
    found = {spec.label: spec for spec in (*prove.contenders(recipe, None), *prove.rivals(recipe))}
    for name in names:
        if name not in found and name not in known_models():
            known = sorted({*found, *known_models()})
            raise UserError(
                f"there is no model {name!r}" + did_you_mean(name, known), next_step=f"name some of: {', '.join(known)}"
            )
    asked = [found.get(name, Spec(label=name, name=name)) for name in names] or list(found.values())
    return list({spec.label: spec for spec in asked}.values())


def measure(run: Run, plan: Plan, spec: Spec, window: Window) -> list[Cell]:
    """Fit a model at a window's start; score it there and on the windows one, two, four and so on steps later."""
    place = plan.test.index(window)
    later = [plan.test[place - steps] for steps in _steps(place)]
    found = best_before(run, spec, window)
    tuned = spec if found is None else search.settled(spec, found)
    model = cache(lambda: load_model(prove.fit(run, tuned, window.cut).folder))  # not even loaded where all is known
    cells = [_cell(run, tuned, window.cut, one, model) for one in later]
    return cells if found is None else [cell.model_copy(update={"found": found.settings}) for cell in cells]


def best_before(run: Run, spec: Spec, window: Window) -> search.Trial | None:
    """Search for a model's settings on the window that ends at the cut-off; None where the recipe leaves nothing to a search."""
    if spec.search is None:
        return None
    before = _before(run, window)
    with prove.alone(run, search.study_path(run, spec, before).stem):
        for number in search.numbers_left(run, spec, before):
            search.make_trial(run, spec, before, number)
        return search.best_trial(run, spec, before)


def _before(run: Run, window: Window) -> Window:
    """Return the window that ends where this one begins, as long as the recipe's selection window."""
    length = (run.recipe.split.selection or run.recipe.split.horizon) // timedelta(microseconds=1)
    return Window(name=f"before-{window.name}", cut=Cut(at=window.cut.at - length), end=window.cut.at)


def _steps(most: int) -> list[int]:
    """Return 0, 1, 2, 4, 8 and so on up to ``most``."""
    return [0, *(2**power for power in range(most.bit_length()))]


def _cell(run: Run, spec: Spec, cut: Cut, window: Window, model: Callable[[], Model]) -> Cell:
    """Score a model on a window, or find where the same score was made before."""
    key = score_key(run, spec, cut, window)
    folder = run.home.cache / "scores" / key
    with prove.alone(run, key):
        if not (folder / SCORED).exists():
            folder.mkdir(parents=True, exist_ok=True)
            history = None if cut == window.cut else prove.events_before(run, window.cut)
            made = prove.score_lists(run, model(), window, label=spec.name, folder=folder, history=history)
            write_json(folder / SCORED, made.model_dump(mode="json"))
        made = Scored.model_validate(read_json(folder / SCORED))
    here = {name: folder / getattr(made, name).name for name in ("lists", "users", "hits")}  # the home may have been moved
    scored = made.model_copy(update={"label": spec.label, "window": window.name, **here})
    return Cell(label=spec.label, days=(window.cut.at - cut.at) / MICROSECONDS_A_DAY, scored=scored)


def score_key(run: Run, spec: Spec, cut: Cut, window: Window) -> str:
    """Return what a score depends on, as a checksum: the fit, the window, the rules, and how many places count."""
    recipe = run.recipe
    places = [recipe.gate.metric, recipe.gate.k, recipe.recommend.k]
    return digest([prove.fit_key(run, spec, cut), window.cut.at, window.end, recipe.rules.model_dump(mode="json"), places])


def summarize(run: Run, plan: Plan, cells: Iterable[Cell]) -> dict[str, Any]:  # Any: JSON
    """Write and return ``backtest.json``: the leaderboard, each model by cut-off, the age curves, and what they say."""
    by_label: dict[str, dict[float, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    searched: dict[str, dict[str, Any]] = defaultdict(dict)  # Any: settings
    for cell in cells:
        by_label[cell.label][cell.days].append(cell.scored)
        if cell.found and not cell.days:
            searched[cell.label][cell.scored.window] = cell.found
    board = _leaderboard(run, {label: by_age[0.0] for label, by_age in by_label.items()})
    ages = {one["label"]: _ages(run, by_label[one["label"]]) for one in board}
    told = {label: aging.advice(label, points) for label, points in ages.items() if label != RANDOM}
    content = {
        "run_id": run.run_id,
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "versions": run.versions,
        "metric": metric_name(run.recipe),
        "confidence": run.recipe.gate.confidence,
        "horizon": write_duration(run.recipe.split.horizon),
        "num_users": len(pooled(by_label[board[0]["label"]][0.0])),
        "test_windows": [_window(run, window) for window in reversed(plan.test)],
        "leaderboard": board,
        "ages": {label: [_as_json(point) for point in points] for label, points in ages.items()},
        "advice": told,
        "searched": searched,
    }
    content["sentence"] = _sentence(content)
    write_json(run.folder / BACKTEST, content)
    return content


def _leaderboard(run: Run, fresh: dict[str, list[Scored]]) -> list[dict[str, Any]]:  # Any: JSON
    """Put the models in the order of the gate's metric, each with how far it is behind the first."""
    policy, metric, seed = run.recipe.gate, run.recipe.gate.metric, run.recipe.seed
    values = {label: pooled(scored)[metric] for label, scored in fresh.items()}
    order = sorted(values, key=lambda label: (-float(values[label].mean()), label))
    behind = {
        label: statistics.paired_difference(values[label], values[order[0]], level=policy.confidence, seed=seed)
        for label in order[1:]
    }
    adjusted = dict(zip(behind, statistics.holm([one.p_value for one in behind.values()]), strict=True))
    rivals = {spec.label for spec in prove.rivals(run.recipe)}
    told = figures(fresh, level=policy.confidence)
    return [
        told[label].model_dump(mode="json")
        | {
            "part": "rival" if label in rivals else "model",
            "behind": vars(behind[label]) | {"adjusted_p": adjusted[label]} if label in behind else None,
            "is_behind": label in behind and adjusted[label] < policy.significance,
            "by_cut_off": {one.window: float(pooled([one])[metric].mean()) for one in fresh[label]},
        }
        for label in order
    ]


def _ages(run: Run, by_age: dict[float, list[Scored]]) -> tuple[aging.AgePoint, ...]:
    metric = run.recipe.gate.metric
    values = {days: {one.window: pooled([one])[metric] for one in scored} for days, scored in by_age.items()}
    fresh = values.pop(0.0)
    return aging.age_curve(fresh, values, level=run.recipe.gate.confidence, seed=run.recipe.seed)


def _window(run: Run, window: Window) -> dict[str, Any]:  # Any: JSON
    targets = load_targets(run, window)
    return {
        "name": window.name,
        "start": window.cut.at,
        "end": window.end,
        "day": f"{datetime.fromtimestamp(window.cut.at / 1e6, UTC):%Y-%m-%d}",
        "num_users": int(targets["user_id"].nunique()),
        "num_targets": len(targets),
    }


def _as_json(point: aging.AgePoint) -> dict[str, Any]:  # Any: JSON
    return point.model_dump(mode="json") | {"shares": point.shares}


def _sentence(content: dict[str, Any]) -> str:  # Any: JSON
    """Say who is first, who is not surely behind, and how often the first has to be fitted anew."""
    first, *others = content["leaderboard"]
    name, k = content["metric"].split("@")
    value, low, high = first["metrics"][name]
    near = [one["label"] for one in others if not one["is_behind"]]
    told = f"Not surely behind it: {', '.join(near)}." if near else "All others are surely behind it."
    return (
        f"Over {len(content['test_windows'])} cut-offs and {content['num_users']:,} users {first['label']} is first, with "
        f"{METRIC_NAMES[name]}@{k} {value:.4f} ({low:.4f} to {high:.4f}). {told if others else ''} "
        f"{content['advice'].get(first['label'], '')}"
    ).strip()


def finish(run: Run, content: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Write page and outcome; return the outcome."""
    write_page(content, run.folder / PAGE)
    told = outcome_of(run, "backtested") | {"sentence": content["sentence"], "report": str(run.folder / PAGE)}
    write_json(run.folder / OUTCOME, told)
    return told
