"""The search for a model's settings: trials fitted before the selection window and scored on it, one after the other.

Optuna's tree-structured Parzen estimator proposes (Bergstra et al. 2011), its median rule ends a trial that validates worse than
half of the earlier ones did after as many epochs. Only finished trials are kept, as JSON; what proposes is made anew from them
for each trial and seeded with its number, so a search that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.errors import BowerbirdError, DiskFullError, LeakError, MissingExtraError, TrainingError
from bowerbird.extras import import_extra
from bowerbird.models import check_search
from bowerbird.pipeline import prove
from bowerbird.pipeline.judge import SEARCHES, metric_name, pooled
from bowerbird.pipeline.prepare import SELECTION_WINDOW, Window
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, digest
from bowerbird.recipe_search import Search
from bowerbird.store.runs import read_json, write_json

logger = logging.getLogger(__name__)


class Trial(BaseModel):
    """One try: the settings, and what became of it."""

    model_config = ConfigDict(frozen=True)

    number: int
    """From 1 on."""
    settings: dict[str, Any]  # Any: the model's config decides the types
    state: Literal["complete", "pruned", "failed"]
    score: float | None = None
    """The gate's metric on the selection window; only of a complete trial."""
    validations: dict[int, float] = {}
    """Epoch to the model's own validation inside ``fit``."""
    error: str = ""


class Study(BaseModel):
    """The trials of one search that have ended."""

    model_config = ConfigDict(frozen=True)

    basis: str
    """What all of its trials depend on, as a checksum."""
    end: int
    """Where its selection window ends, microseconds."""
    trials: tuple[Trial, ...] = ()


def open_study(run: Run, spec: Spec, window: Window) -> Study:
    """Read the search of a spec, or begin one.

    A search that has ended holds until the recipe changes or ``every`` has passed; one that has not ended goes on where data,
    code and packages are still the same, and begins anew where they are not.
    """
    assert spec.search is not None
    path = study_path(run, spec, window)
    fresh = Study(basis=digest([prove.fit_key(run, spec, window.cut), window.end]), end=window.end)
    if not path.exists():
        return fresh
    found = Study.model_validate(read_json(path))
    if len(found.trials) < spec.search.trials:
        if found.basis != fresh.basis:
            logger.warning(
                "the search for %s begins anew: data or code are not those of its %d trials", spec.label, len(found.trials)
            )
        return found if found.basis == fresh.basis else fresh
    age, every = window.end - found.end, spec.search.every
    is_due = every is not None and age >= every.total_seconds() / 86400 * MICROSECONDS_A_DAY
    return fresh if is_due else found


def study_path(run: Run, spec: Spec, window: Window) -> Path:
    """Return where a search lies: named by the model, and by what of the recipe decides which settings are best.

    The selection window moves on with the log and keeps its search; a window of another name has one of its own.
    """
    recipe, home = run.recipe, run.home
    assert spec.search is not None
    tables = [table.open().metadata().id for table in (home.events, home.items, home.users)]
    metric = [recipe.gate.metric, recipe.gate.k, recipe.rules.model_dump(mode="json")]
    meaning = [recipe.source.model_dump(mode="json"), recipe.target and recipe.target.model_dump(mode="json")]
    searched = [spec.name, spec.config, spec.search.space, recipe.seed]
    own = [] if window.name == SELECTION_WINDOW else [[window.cut.at, window.end]]
    key = digest([tables, meaning, recipe.split.model_dump(mode="json"), metric, searched, *own])
    return home.cache / "studies" / f"{spec.name}-{key}.json"


def numbers_left(run: Run, spec: Spec, window: Window) -> range:
    """Return the numbers of the trials that are still to be made; none for a spec that is not searched."""
    if spec.search is None:
        return range(0)
    check_search(spec.name, spec.search)
    return range(len(open_study(run, spec, window).trials) + 1, spec.search.trials + 1)


def make_trial(run: Run, spec: Spec, window: Window, number: int) -> Trial:
    """Make the next trial of a search and keep it; a trial that is kept already is returned as it is."""
    assert spec.search is not None
    study = open_study(run, spec, window)
    if number > len(study.trials):
        asked = _ask(spec.search, study.trials, seed=run.recipe.seed + number)
        settings = {key: _setting(values, asked.params[key]) for key, values in spec.search.space.items()}
        trial = _try(run, spec, window, number, settings, asked)
        logger.info("trial %d of %s: %s, %s, %s", number, spec.label, settings, trial.state, trial.error or trial.score)
        study = study.model_copy(update={"trials": (*study.trials, trial)})
        write_json(study_path(run, spec, window), study.model_dump(mode="json"))
    return study.trials[number - 1]


def best_of(run: Run, spec: Spec, window: Window) -> Spec:
    """Return the spec with the settings of the best trial, and note the search for the report. Raises TrainingError."""
    best, trials = best_trial(run, spec, window), open_study(run, spec, window).trials
    path = run.folder / SEARCHES
    noted = read_json(path) if path.exists() else {}
    noted[spec.label] = {
        "metric": metric_name(run.recipe),
        "best": best.number,
        "trials": [trial.model_dump(mode="json") for trial in trials],
    }
    write_json(path, noted)
    return settled(spec, best)


def best_trial(run: Run, spec: Spec, window: Window) -> Trial:
    """Return the best trial of a search that has ended, the first of equals.

    Raises
    ------
    TrainingError
        Where no trial has ended well.
    """
    trials = open_study(run, spec, window).trials
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        raise TrainingError(
            f"none of the {len(trials)} trials of the search for {spec.label!r} ended well; the last: {trials[-1].error}",
            next_step="mend the values under [models.search]",
        )
    return max(complete, key=lambda trial: (trial.score or 0.0, -trial.number))


def settled(spec: Spec, trial: Trial) -> Spec:
    """Return the spec with a trial's settings, and nothing left to search."""
    return spec.model_copy(update={"config": spec.config | trial.settings, "search": None})


def _try(
    run: Run,
    spec: Spec,
    window: Window,
    number: int,
    settings: dict[str, Any],  # Any: see Trial
    asked: Any,  # Any: optuna's Trial; the package may be absent
) -> Trial:
    """Fit and score one set of settings; what goes wrong is the trial's own, unless it would stop every other trial, too."""
    optuna = _optuna()
    candidate = Spec(label=f"{spec.label}.trial-{number}", name=spec.name, config=spec.config | settings)
    validations: dict[int, float] = {}

    def report(epoch: int, validation: float) -> None:
        validations[epoch] = validation
        asked.report(validation, epoch)
        if asked.should_prune():
            raise optuna.TrialPruned

    try:
        fitted = prove.fit(run, candidate, window.cut, on_validation=report)
        score = float(pooled([prove.score(run, fitted, window)])[run.recipe.gate.metric].mean())
    except optuna.TrialPruned:
        return Trial(number=number, settings=settings, state="pruned", validations=validations)
    except (BowerbirdError, ArithmeticError, RuntimeError, ValueError, MemoryError) as error:
        if isinstance(error, MissingExtraError | LeakError) or DiskFullError.is_told_by(error):
            raise
        return Trial(number=number, settings=settings, state="failed", error=f"{type(error).__name__}: {error}")
    curve = read_json(fitted.folder / "model.json")["curve"]  # also of a fit that was found, not made
    validations = {point["epoch"]: point["validation"] for point in curve if point["validation"] is not None}
    return Trial(number=number, settings=settings, state="complete", score=score, validations=validations)


def _ask(search: Search, trials: tuple[Trial, ...], *, seed: int) -> Any:  # Any: optuna's Trial; the package may be absent
    """Let Optuna propose the next settings from what became of the trials before."""
    optuna = _optuna()
    kinds = {key: _distribution(optuna, values) for key, values in search.space.items()}
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), pruner=optuna.pruners.MedianPruner()
    )
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for trial in trials:
        past = optuna.trial.create_trial(
            state=optuna.trial.TrialState[states[trial.state]],
            params={key: _parameter(values, trial.settings[key]) for key, values in search.space.items()},
            distributions=kinds,
            value=trial.score,
            intermediate_values=trial.validations,
        )
        study.add_trial(past)
    return study.ask(kinds)


def _optuna() -> Any:  # Any: a package that may be absent
    optuna = import_extra("optuna", "optuna", extra="tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of each study that is made, on stderr
    return optuna


def _distribution(optuna: Any, values: Any) -> Any:  # Any: optuna's, and see Search.space
    """Spell values for Optuna; those of a list by their places, for it knows no lists and tables."""
    if not isinstance(values, dict):
        return optuna.distributions.CategoricalDistribution(range(len(values)))
    is_whole = isinstance(values["low"], int) and isinstance(values["high"], int)
    kind = optuna.distributions.IntDistribution if is_whole else optuna.distributions.FloatDistribution
    return kind(values["low"], values["high"], log=values.get("log", False))


def _setting(values: Any, parameter: Any) -> Any:  # Any: see Search.space
    return parameter if isinstance(values, dict) else values[parameter]


def _parameter(values: Any, setting: Any) -> Any:  # Any: see Search.space
    return setting if isinstance(values, dict) else values.index(setting)
