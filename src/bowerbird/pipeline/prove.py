"""Who takes part in a proof, how each is fitted, and what its lists find in a window."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from bowerbird.columns import RANK, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.evaluation import metrics, reach
from bowerbird.evaluation.beyond import list_figures, pasts
from bowerbird.evaluation.calibration import fine_bins
from bowerbird.evaluation.decision import RANDOM, LeakResult
from bowerbird.evaluation.matching import match
from bowerbird.evaluation.sessions import by_owner, owners_of
from bowerbird.models import build_model, check_config, load_model
from bowerbird.models.base import Model
from bowerbird.pipeline.catalogue import read_catalogue
from bowerbird.pipeline.leaks import check as check_leaks
from bowerbird.pipeline.prepare import (
    Cut,
    Window,
    all_targets,
    asked_candidates,
    load_cut,
    load_history,
    load_items,
    load_targets,
    load_users,
    reading,
    window_folder,
)
from bowerbird.pipeline.run import TEXTS, Run, digest, environment, knowledge_digest, semantic_ids_report, texts_report
from bowerbird.ranking.lists import ListMaker
from bowerbird.ranking.rules import read_shelf
from bowerbird.recipe import Recipe
from bowerbird.recipe_search import Search
from bowerbird.store.lock import writer_lock
from bowerbird.store.published import current
from bowerbird.store.runs import MANIFEST, read_json

SHORTER = (1, 3, 5, 10, 20, 50)
"""The gate's metric is shown for so many places too, where fewer than are asked."""


class Spec(BaseModel):
    """A model by name and settings; ``label`` is how tables call it."""

    model_config = ConfigDict(frozen=True)

    label: str
    name: str
    config: dict[str, Any] = {}  # Any: the model's config decides the types
    """What the recipe says; ``frozen`` adds what a fit has chosen."""
    frozen: dict[str, Any] | None = None  # Any: see config
    search: Search | None = None
    """Settings that are still to be found; None once they stand in ``config``."""

    @property
    def identity(self) -> str:
        """Equal for two specs that mean the same model, however they are labelled or what a fit chose."""
        settings = [self.name, check_config(self.name, self.config).model_dump(mode="json")]
        return digest(settings if self.search is None else [*settings, self.search.model_dump(mode="json")])


class Fitted(BaseModel):
    """A model on disk."""

    model_config = ConfigDict(frozen=True)

    spec: Spec
    folder: Path
    run_id: str | None
    """The run that trained it; None where it was found on disk."""


class Nominee(BaseModel):
    """The model that goes into the proof, with what its fit before the selection window has chosen frozen."""

    model_config = ConfigDict(frozen=True)

    spec: Spec
    also_fitted: tuple[Spec, ...] = ()
    """The recipe's other models, frozen likewise."""


class Champion(BaseModel):
    """The recipe behind the published set, and the version of the table that shows it."""

    model_config = ConfigDict(frozen=True)

    spec: Spec
    run_id: str
    version: int


# ---- who takes part


def contenders(recipe: Recipe, leader: Champion | None) -> list[Spec]:
    """Return who may become the nominee: the recipe's models, or the one candidate that a person has named.

    A champion that is one of the rivals stays in the contest though the recipe does not list it: where a rival was
    published in a nominee's place, it is refreshed until something is proven better.
    """
    known = rivals(recipe)
    listed = [Spec(label=one.name, name=one.name, config=one.config, search=one.search) for one in recipe.models]
    if recipe.candidate is not None:
        own = [spec for spec in listed if spec.name == recipe.candidate]
        return _relabel(own[:1] or [Spec(label=recipe.candidate, name=recipe.candidate)], known)
    listed += [spec for spec in known if leader is not None and spec.identity == leader.spec.identity]
    distinct = {spec.identity: spec for spec in reversed(listed)}
    return _relabel([spec for spec in listed if distinct[spec.identity] is spec], known)


def rivals(recipe: Recipe) -> list[Spec]:
    """Return what any candidate has to stand beside: random, recent popularity, counting, and own habits where repeats count."""
    found = [
        Spec(label=RANDOM, name=RANDOM),
        Spec(label="popularity_7d", name="popularity", config={"window_days": 7}),
        Spec(label="cooccurrence", name="cooccurrence"),
    ]
    if recipe.repeats_welcome:
        found.append(Spec(label="personal_frequency", name="personal_frequency"))
    return found


def _relabel(specs: list[Spec], known: list[Spec]) -> list[Spec]:
    """Give a spec the label of the rival that it equals, and tell equal names with other settings apart by number."""
    labels = {spec.identity: spec.label for spec in known}
    taken = set(labels.values())
    found = []
    for spec in specs:
        label = labels.get(spec.identity)
        if label is None:
            label = next(name for name in (spec.name, *(f"{spec.name}_{n}" for n in range(2, 100))) if name not in taken)
            taken.add(label)
        found.append(spec.model_copy(update={"label": label}))
    return found


def champion(run: Run) -> Champion | None:
    """Return the recipe behind what is published now."""
    publish = current(run.home)
    if publish is None:
        return None
    manifest = read_json(run.home.runs / publish.run_id / MANIFEST)
    return Champion(spec=Spec.model_validate(manifest["model"]), run_id=publish.run_id, version=publish.version)


def entrants(recipe: Recipe, nominee: Nominee, leader: Champion | None) -> list[Spec]:
    """Return who is scored on the test windows, each once: the nominee, the rivals, and the champion's recipe.

    The champion's recipe is taken as frozen today where today's recipe holds it, else as its own run froze it.
    """
    found = [nominee.spec]
    wanted = rivals(recipe)
    if leader is not None:
        today = [spec for spec in nominee.also_fitted if spec.identity == leader.spec.identity]
        wanted.append(today[0] if today else leader.spec)
    for spec in wanted:
        if spec.identity not in [one.identity for one in found]:
            taken = {one.label for one in found}
            found.append(spec if spec.label not in taken else spec.model_copy(update={"label": f"champion_{spec.label}"}))
    return found


def label_of(spec: Spec, among: Sequence[Spec]) -> str:
    """Return how the entrant that means the same model is called."""
    return next(one.label for one in among if one.identity == spec.identity)


# ---- fitting


def fit(run: Run, spec: Spec, cut: Cut, *, on_validation: Callable[[int, float], None] | None = None) -> Fitted:
    """Fit a model on a cut, or find it where the same fit was made before; ``on_validation`` is ``Model``'s."""
    folder = model_folder(run, spec, cut)
    with alone(run, folder.name):
        is_found = folder.exists()
        if not is_found:
            data, is_target = load_cut(run, cut)
            config = spec.config if spec.frozen is None else spec.frozen
            model = build_model(spec.name, seed=run.recipe.seed, **config)
            model.on_validation, model.checkpoints = on_validation, run.home.cache / "checkpoints" / folder.name
            if model.foretells_targets:
                data = replace(data, labels=is_target.astype(np.float64))
            model.fit(data, items=load_items(run), users=load_users(run)).save(folder)
            shutil.rmtree(model.checkpoints, ignore_errors=True)
    return Fitted(spec=spec, folder=folder, run_id=None if is_found else run.run_id)


def events_before(run: Run, cut: Cut) -> Interactions:
    """Return the events that a model fitted on a cut may see, as the rival ``random`` keeps them: quicker than the log."""
    return load_model(fit(run, Spec(label=RANDOM, name=RANDOM), cut).folder).data


@contextmanager
def alone(run: Run, key: str) -> Iterator[None]:
    """Let one thread or process at a time make what ``key`` names: a backtest runs beside others and beside a nightly run."""
    path = run.home.cache / "locks" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with writer_lock(path, wait_seconds=math.inf):
        yield


def model_folder(run: Run, spec: Spec, cut: Cut) -> Path:
    """Return where a fit's model lies, whether it has been made or not."""
    return run.home.cache / "models" / fit_key(run, spec, cut)


def fit_key(run: Run, spec: Spec, cut: Cut) -> str:
    """Return what a fit depends on, as a checksum: data, what the recipe makes of it, model, seed, cut, code, packages."""
    recipe, home = run.recipe, run.home
    read = {"events": home.events, "items": home.items, "users": home.users}
    data = [[name, table.open().metadata().id, run.versions[name]] for name, table in read.items()]
    meaning = [recipe.source.model_dump(mode="json"), recipe.target and recipe.target.model_dump(mode="json")]
    model = [spec.name, spec.config if spec.frozen is None else spec.frozen, recipe.seed]
    about = texts_report(run)
    texts = about and [recipe.text and recipe.text.model_dump(mode="json"), about["identity"], semantic_ids_report(run)]
    return digest([data, meaning, knowledge_digest(run), texts, model, cut.model_dump(), environment()])


def freeze(fitted: Fitted) -> Spec:
    """Return the spec with what the fit has chosen written in, so that later fits choose nothing."""
    about = read_json(fitted.folder / "model.json")
    return fitted.spec.model_copy(update={"frozen": about["frozen"]})


# ---- scoring


class Scored(BaseModel):
    """One model's lists and per-user metrics on one window, as files."""

    model_config = ConfigDict(frozen=True)

    label: str
    window: str
    lists: Path
    users: Path
    hits: Path
    """What of the lists is a target: all that the gate's metric needs on parts of the targets, at a fraction of their length."""
    reach: reach.Lists
    """What the lists reach together, and what is lost without each group of users."""
    probabilities: Path | None = None
    """Bins of foretold and observed positives, of a model that gives probabilities."""
    leaks: tuple[LeakResult, ...] = ()
    """What the leak checks found; none of them a leak, for that ends the run."""


def score(run: Run, fitted: Fitted, window: Window) -> Scored:
    """Recommend to everybody with something to find in a window, from the full catalogue, and count what is found."""
    model, folder = load_model(fitted.folder), window_folder(run, window)
    scored = score_lists(run, model, window, label=fitted.spec.label, folder=folder)
    has_probabilities = (
        type(model).predict_proba is not Model.predict_proba and window.session_gap is None
    )  # reading all targets may take a pass over the log
    bins = fine_bins(model, all_targets(run, window), seed=run.recipe.seed) if has_probabilities else None
    if bins is None:
        return scored
    path = folder / f"{fitted.spec.label}.probabilities.parquet"
    bins.to_parquet(path, index=False)
    return scored.model_copy(update={"probabilities": path})


def score_lists(
    run: Run, model: Model, window: Window, *, label: str, folder: Path, history: Interactions | None = None
) -> Scored:
    """Do so with a model in memory and write lists and figures to ``folder``.

    ``history`` stands in for what the model knows of its users: all before the window, for a model fitted before that.

    Raises LeakError where the model could have known the answers.
    """
    policy, targets = run.recipe.gate, load_targets(run, window)
    k = policy.k
    known = model.data if history is None else history
    if window.session_gap is not None:
        history = load_history(run, window)
    allowed = asked_candidates(run, window.cut.at)
    with reading(run, "items") as con:
        catalogue = read_catalogue(con, known, at=window.cut.at, texts=run.folder / TEXTS)
    users = targets[USER_ID].unique().tolist()
    longest = policy.num_places
    lists = recommend(run, model, users, k=longest, at=window.cut.at, allowed=allowed, history=history, is_asked=True)
    leaks = check_leaks(run, window, model, lists, targets)
    longer = match(lists, targets, k=longest, items=known.item_index)
    guarded = [metrics.at_each_k(longer, ks=[one.k], metrics=[one.metric]) for one in policy.guards if one.k not in (None, k)]
    lists, matches = lists[lists[RANK] <= k], longer.first(k)
    beyond = list_figures(matches, catalogue, past_UN=pasts(known, matches.user_ids))
    shorter = metrics.at_each_k(matches, ks=[size for size in SHORTER if size < k], metrics=[policy.metric])
    per_user = pd.concat([metrics.score_matches(matches), shorter, *guarded, beyond], axis=1)
    per_user = per_user.loc[:, ~per_user.columns.duplicated()]  # a guard may ask what is shown anyway
    hits = matches.hits
    for side, frame in metrics.by_repeat(hits, targets, k=k, metrics=[policy.metric]).items():
        per_user[side] = frame[policy.metric]  # missing for users without such targets
    if window.session_gap is not None:
        per_user = by_owner(per_user, targets)
    files = {name: folder / f"{label}.{name}.parquet" for name in ("lists", "users", "hits")}
    lists.to_parquet(files["lists"], index=False)
    hits.to_parquet(files["hits"], index=False)
    per_user.to_parquet(files["users"])
    num_items = model.data.num_items if allowed is None else len(set(allowed) & set(model.data.item_ids))
    return Scored(
        label=label,
        window=window.name,
        **files,
        reach=reach.measure(lists, num_items, k=k, owners=owners_of(targets)),
        leaks=leaks,
    )


def recommend(
    run: Run,
    model: Model,
    users: list[str],
    *,
    k: int,
    at: int,
    allowed: list[str] | None,
    history: Interactions | None = None,
    is_asked: bool = False,
) -> pd.DataFrame:
    """List ``k`` of the allowed items for users, less what the recipe does not recommend again, in the order of its rules.

    ``is_asked`` says that an evaluation asks, which may ask for what is new to the user alone.
    """
    return lister(run, model, k=k, at=at, allowed=allowed, history=history, is_asked=is_asked)(users)


def lister(
    run: Run,
    model: Model,
    *,
    k: int,
    at: int,
    allowed: list[str] | None,
    history: Interactions | None = None,
    as_policy: bool = False,
    is_asked: bool = False,
) -> Callable[[list[str]], pd.DataFrame]:
    """Return what ``recommend`` asks for some users, with all that the rules have to know read once.

    Lists are made as long as the longest that are evaluated or published, then cut: so the shorter begin the longer.
    ``as_policy`` is that of ``ListMaker``, ``is_asked`` that of ``recommend``.
    """
    recipe = run.recipe
    excluded = True if is_asked and recipe.split.candidates == "unseen" else exclude_seen(run)

    def ask(some: list[str], size: int) -> pd.DataFrame:
        return model.recommend(some, k=size, exclude_seen=excluded, candidates=allowed, at=at, history=history)

    if not recipe.rules.reorders:
        return partial(ask, size=k)
    with reading(run) as con:
        shelf = read_shelf(con, recipe.rules, model.data.item_ids, allowed=allowed, at=at)
    maker = ListMaker(
        model,
        recipe.rules,
        shelf,
        ask=ask,
        exclude_seen=excluded,
        history=history,
        num_places=max(k, recipe.gate.num_places, recipe.recommend.k),
        seed=recipe.seed,
        at=at,
        as_policy=as_policy,
    )
    return partial(maker.make, k=k)


def exclude_seen(run: Run) -> list[str] | bool:
    """Return the events whose items are not recommended again, as ``Model.recommend`` takes them."""
    excluded = run.recipe.target.exclude_events if run.recipe.target else ()
    return list(excluded) if excluded else False
