"""Whether a search for settings finds better ones than the defaults: MovieLens small, by the recipe's own steps.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.search [--models sasrec item_knn] [--home FOLDER]

Each search is what a run makes of a recipe with ``[models.search]``: trials fitted before the selection window and scored on it,
proposed by Optuna, pruned by its median rule. Then the best trial's settings and the defaults are fitted before the test window
and scored on it once. A search that was killed goes on in the same home.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from bowerbird.evaluation.statistics import paired_difference
from bowerbird.pipeline import prepare, prove, search
from bowerbird.pipeline.judge import pooled
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, open_run, pin_versions
from bowerbird.pipeline.session import ingest_source
from bowerbird.recipe import load_recipe, read_recipe
from bowerbird.store.home import Home

ROOT = Path(__file__).resolve().parents[1]
SEARCHED: dict[str, dict[str, Any]] = {  # Any: what TOML holds
    "sasrec": {
        "max_epochs": 12,
        "search": {
            "trials": 8,
            "learning_rate": {"low": 5e-4, "high": 1e-2, "log": True},
            "dropout": {"low": 0.0, "high": 0.6},
            "embedding_size": [32, 64, 96],
            "num_blocks": [1, 2],
        },
    },
    "item_knn": {
        "search": {
            "trials": 30,
            "num_neighbors": {"low": 5, "high": 400, "log": True},
            "shrinkage": {"low": 0.1, "high": 200.0, "log": True},
            "max_history": {"low": 1, "high": 200, "log": True},
        }
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the trials, and found settings beside the defaults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(SEARCHED), default=list(SEARCHED))
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread, commit {commit()}")
    plain = load_recipe(ROOT / "deployments" / "recipes" / "movielens.toml").dump()
    recipe = read_recipe(plain | {"models": [{"name": name, **SEARCHED[name]} for name in asked.models]}, where="search")
    run = open_run(Home.open(asked.home or Path(mkdtemp())), recipe, ROOT.parent / "shared" / "data" / "ml-latest-small")
    ingest_source(run)
    run = pin_versions(run)
    plan = prepare.make_plan(run)
    for spec in prove.contenders(run.recipe, None):
        _search(run, spec, plan)


def _search(run: Run, spec: Spec, plan: Plan) -> None:
    start = process_time()
    numbers = search.numbers_left(run, spec, plan.selection)
    for number in numbers:
        trial = search.make_trial(run, spec, plan.selection, number)
        print(f"- {spec.label}, trial {number}: {trial.settings}, {trial.state}, {trial.score or trial.error}", flush=True)
    spent = process_time() - start
    found = search.best_of(run, spec, plan.selection)
    usual = Spec(label=spec.name, name=spec.name, config=spec.config)
    states = Counter(trial.state for trial in search.open_study(run, spec, plan.selection).trials)
    selected = [_gains(run, one, plan.selection).mean() for one in (usual, found)]
    by_user = [_gains(run, one, plan.test[0]) for one in (usual, found)]
    difference = paired_difference(by_user[1], by_user[0], seed=1)
    print(f"{spec.label}: {len(numbers)} trials, {dict(states)}, {spent:.0f} CPU-seconds; found {found.config}")
    print(f"selection window: defaults {selected[0]:.4f}, found {selected[1]:.4f}")
    print(
        f"test window, {len(by_user[0])} users: defaults {by_user[0].mean():.4f}, found {by_user[1].mean():.4f}, {difference}\n"
    )


def _gains(run: Run, spec: Spec, window: prepare.Window) -> NDArray[np.float64]:
    users = pooled([prove.score(run, prove.fit(run, spec, window.cut), window)])
    gains: NDArray[np.float64] = users["ndcg"].to_numpy(np.float64)
    return gains


if __name__ == "__main__":
    main()
