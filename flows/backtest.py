"""A backtest: how good models would have been at several moments of the past, and how fast they age. It publishes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from bowerbird.application import recipe_path
from bowerbird.pipeline.backtest import contestants
from bowerbird.pipeline.run import pin_versions
from bowerbird.pipeline.session import reading_session
from bowerbird.recipe import load_recipe
from bowerbird.settings import Settings
from bowerbird.store.home import Home
from flows.nightly import RecipeName, run_name
from tasks import backtest as measuring
from tasks import contracts, rows, texts

Count = Annotated[int, Field(ge=1, le=100)]


@flow(name="backtest", flow_run_name=run_name)
def backtest(
    recipe: RecipeName = "sample",
    recipe_file: str = "",
    source: str = "",
    home: str = "",
    cut_offs: Count = 4,
    step: str = "",
    models: tuple[str, ...] = (),
    seed: int | None = None,
    at_once: Count = 2,
    wait_seconds: float = 600,
) -> State[str]:
    """Fit models at several cut-offs and score each on what came after: a leaderboard, and how fast each model ages.

    Args:
        recipe: What to do, by name: the files in deployments/recipes.
        recipe_file: A TOML file of your own, in place of a named recipe.
        source: The folder, file or zip to read from. Empty for what the home holds, or the recipe's simulated data.
        home: The home folder of tables and runs. Empty for the worker's own.
        cut_offs: How many; the newest is one horizon before the newest event.
        step: From one cut-off to the one before it, as in 7d. Empty for the recipe's horizon.
        models: Names of models. Empty for those of the recipe and the rivals.
        seed: Overrides the recipe's seed.
        at_once: How many models are fitted and scored side by side; each takes memory.
        wait_seconds: How long to wait for another run in the same home before rows are read in.
    """
    asked = load_recipe(recipe_path(recipe_file or recipe), seed=seed)
    specs = contestants(asked, models)
    opened = Home.open(Path(home) if home else Settings().home)
    with reading_session(opened, asked, Path(source) if source else None, wait_seconds=wait_seconds) as (run, free_lock):
        if source or asked.source.sample:
            run = rows.ingest(run)
            contracts.rows(run)
        else:
            run = pin_versions(run)
        free_lock()
        if asked.knowledge:
            contracts.knowledge(run, rows.ask_for_knowledge(run, asked.knowledge))
        if asked.text is not None:
            texts.encode(run, asked.text)
        plan = measuring.plan_cut_offs(run, cut_offs, step)
        if asked.text is not None and asked.text.semantic_ids is not None:
            texts.make_semantic_ids(run, plan, asked.text.semantic_ids)
        told = measuring.report(run, plan, measuring.measure_all(run, plan, specs, at_once=at_once))
    return Completed(name="Backtested", message=told["sentence"], data=run.run_id)
