"""The nightly run: from an event log to a published set of recommendations, or to the reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from bowerbird.application import recipe_path
from bowerbird.pipeline import prove, release, search
from bowerbird.pipeline.judge import Verdict
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.prove import Champion, Nominee, Spec
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.session import session
from bowerbird.recipe import load_recipe
from bowerbird.settings import Settings
from bowerbird.store.home import Home
from tasks import answers, contracts, lists, proof, rows, texts

RecipeName = Literal[
    "sample", "ads", "ecommerce", "entertainment", "social", "movielens", "online_retail", "complete_journey", "open_bandit"
]
Candidate = Literal[
    "nominee",
    "als",
    "bert4rec",
    "blend",
    "bpr",
    "content",
    "cooccurrence",
    "decision_tree",
    "ease",
    "esasrec",
    "gru4rec",
    "hstu",
    "item_knn",
    "linear_svm",
    "naive_bayes",
    "neural_cf",
    "personal_frequency",
    "popularity",
    "popularity_by_category",
    "popularity_by_segment",
    "random",
    "sasrec",
    "slim",
    "tifu_knn",
    "tiger",
    "two_stage",
    "two_tower",
    "user_knn",
]


def run_name() -> str:
    """Name a flow run after its flow and recipe."""
    asked = flow_run.parameters
    return f"{flow_run.flow_name}-{Path(asked['recipe_file']).stem if asked.get('recipe_file') else asked['recipe']}"


@flow(name="nightly", flow_run_name=run_name)
def nightly(
    recipe: RecipeName = "sample",
    recipe_file: str = "",
    source: str = "",
    home: str = "",
    seed: int | None = None,
    candidate: Candidate = "nominee",
    wait_seconds: float = 600,
) -> State[str]:
    """Turn an event log into recommendations that have earned their place.

    Args:
        recipe: What to do, by name: the files in deployments/recipes.
        recipe_file: A TOML file of your own, in place of a named recipe.
        source: The folder, file or zip to read from. Empty for the recipe's simulated data.
        home: The home folder of tables and runs. Empty for the worker's own.
        seed: Overrides the recipe's seed.
        candidate: Puts this one model up; no rival takes its place. Nominee: the best of the recipe's own models.
        wait_seconds: How long to wait for another run in the same home.
    """
    named = None if candidate == "nominee" else candidate
    asked = load_recipe(recipe_path(recipe_file or recipe), seed=seed, candidate=named)
    opened = Home.open(Path(home) if home else Settings().home)
    with session(opened, asked, Path(source) if source else None, wait_seconds=wait_seconds) as run:
        answers.decide_overdue(opened)
        run = rows.ingest(run)
        contracts.rows(run)
        if not asked.models:
            return ended(run, lists.report(run, "ingested", "The rows are in; the recipe asks for no model."))
        if asked.knowledge:
            contracts.knowledge(run, rows.ask_for_knowledge(run, asked.knowledge))
        if release.is_unchanged(run):
            return ended(run, lists.report(run, "unchanged", "Data, recipe and code are those of the published set."))
        if asked.text is not None:
            texts.encode(run, asked.text)
        plan = proof.plan_windows(run)
        if asked.text is not None and asked.text.semantic_ids is not None:
            texts.make_semantic_ids(run, plan, asked.text.semantic_ids)
        contracts.features(run, proof.build_features(run, plan))
        return ended(run, settle(run, plan))


def settle(run: Run, plan: Plan, *, is_last: bool = False) -> str:
    """Prove the nominee against what is published now, and publish it if it may be.

    Where somebody else publishes in between, all is decided anew against that, once.
    """
    leader = prove.champion(run)
    nominee = choose(run, plan, leader)
    verdict = judge(run, plan, nominee, leader)
    refitted = proof.fit(run, verdict.spec, plan.refit, "all events")
    prepared = lists.recommend(run, refitted, plan, verdict)
    broken = contracts.lists(run, prepared, plan)
    verdict = proof.confirm(run, verdict, prepared, broken)
    if not verdict.publishes:
        lists.keep(run, prepared, verdict)
    elif lists.publish(run, prepared, verdict, leader, is_last=is_last) is None:
        return settle(run, plan, is_last=True)
    return lists.report(run, verdict.outcome, verdict.sentence, plan, prepared)


def choose(run: Run, plan: Plan, leader: Champion | None) -> Nominee:
    """Fit the recipe's models before the selection window and choose the one that goes into the proof."""
    specs = [tuned(run, spec, plan) for spec in prove.contenders(run.recipe, leader)]
    fits = [proof.fit(run, spec, plan.selection.cut, "selection") for spec in specs]
    scored = [proof.score(run, fitted, plan.selection) for fitted in fits]
    return proof.choose_nominee(run, fits, scored, leader)


def tuned(run: Run, spec: Spec, plan: Plan) -> Spec:
    """Find the settings that the recipe lets search, each trial a task on the selection window."""
    for number in search.numbers_left(run, spec, plan.selection):
        proof.trial(run, spec, plan.selection, number)
    return proof.best_of(run, spec, plan.selection) if spec.search else spec


def judge(run: Run, plan: Plan, nominee: Nominee, leader: Champion | None) -> Verdict:
    """Score nominee, champion and rivals once on the test windows, each fitted before them, and let the gate decide."""
    scored = [
        proof.score(run, proof.fit(run, spec, window.cut, window.name), window)
        for window in plan.windows
        for spec in prove.entrants(run.recipe, nominee, leader)
    ]
    proof.evaluate(run, plan, scored, nominee, leader)
    return proof.decide(run, plan, nominee, leader, scored)


def ended(run: Run, outcome: str) -> State[str]:
    """Tidy up, and name the flow run's end after its outcome: a decision is no crash."""
    rows.tidy(run)
    return Completed(name=outcome.capitalize(), message=f"run {run.run_id}: {outcome}", data=run.run_id)
