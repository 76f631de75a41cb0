"""The whole run without Prefect, in the order of ``flows/nightly.py``: for notebooks, and to tell what orchestration costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bowerbird.pipeline import approval, judge, leaks, prepare, prove, release, search, semantic_ids, tell, texts, written
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, pin_versions
from bowerbird.pipeline.session import ingest_source, session, tidy, timed
from bowerbird.recipe import Recipe
from bowerbird.store.home import Home
from bowerbird.warehouse.recommendation_checks import broken_in_words


def run_all(home: Home, recipe: Recipe, source: Path | None, *, wait_seconds: float = 600) -> dict[str, Any]:  # Any: JSON
    """Do what the nightly flow does, contracts of Great Expectations aside; return the outcome."""
    with session(home, recipe, source, wait_seconds=wait_seconds) as run:
        outcome = _run(run, recipe)
        tidy(run)
        return outcome


def _run(run: Run, recipe: Recipe) -> dict[str, Any]:  # Any: JSON
    approval.decide_overdue(run.home)
    with timed(run, "ingest"):
        ingest_source(run)
    run = pin_versions(run)
    if not recipe.models:
        return tell.finish(run, "ingested", sentence="The rows are in; the recipe asks for no model.")
    if recipe.knowledge is not None:
        with timed(run, "knowledge"):
            written.write_knowledge(run, recipe.knowledge)
    if release.is_unchanged(run):
        return tell.finish(run, "unchanged", sentence="Data, recipe and code are those of the published set.")
    if recipe.text is not None:
        with timed(run, "texts"):
            texts.encode_texts(run, recipe.text)
    with timed(run, "features"):
        plan = prepare.make_plan(run)
        if recipe.text is not None and recipe.text.semantic_ids is not None:
            semantic_ids.make_semantic_ids(run, plan, recipe.text.semantic_ids)
        leaks.check_tables(run, plan, prepare.build_features(run, plan))
    leader = prove.champion(run)
    with timed(run, "select"):
        specs = [_tuned(run, spec, plan) for spec in prove.contenders(recipe, leader)]
        fits = [prove.fit(run, spec, plan.selection.cut) for spec in specs]
        nominee = judge.choose_nominee(run, fits, [prove.score(run, one, plan.selection) for one in fits], leader)
    with timed(run, "test"):
        scored = [
            prove.score(run, prove.fit(run, spec, window.cut), window)
            for window in plan.windows
            for spec in prove.entrants(recipe, nominee, leader)
        ]
        judge.evaluate(run, plan, scored, nominee, leader)
        verdict = judge.decide(run, plan, nominee, leader, scored)
    with timed(run, "release"):
        prepared = release.prepare_lists(run, prove.fit(run, verdict.spec, plan.refit), plan, verdict)
        broken = broken_in_words(release.check_lists(run, prepared, plan))
        overlaps = {"refit_overlap": prepared.refit_overlap, "published_overlap": prepared.published_overlap}
        verdict = judge.confirm(run, verdict, **overlaps, broken=broken)
        release.write_manifest(run, prepared, verdict)
        if verdict.publishes:
            release.publish(run, prepared, leader, is_last=True)
    return tell.finish(run, verdict.outcome, sentence=verdict.sentence, plan=plan, prepared=prepared)


def _tuned(run: Run, spec: Spec, plan: Plan) -> Spec:
    for number in search.numbers_left(run, spec, plan.selection):
        search.make_trial(run, spec, plan.selection, number)
    return search.best_of(run, spec, plan.selection) if spec.search else spec
