"""Whether what a very small language model writes of items changes a model's figures: MovieLens small, the most rated films.

    BOWERBIRD_TEST_SMOLLM2=folder OMP_WAIT_POLICY=PASSIVE python -m benchmarks.knowledge [--items 30] [--cache folder]

SmolLM2-135M-Instruct behind a loopback endpoint writes keywords, attributes and a profile of the films that most people rated;
the others keep title and genres alone. Each user's last rating from 3.5 up is foretold from those before it, by models fitted
without and with the new columns, same seed. Beside the means over all users stand those over the users whose film the model was
asked about, and the difference with its 95 % interval (1,000 draws of users).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from benchmarks.semantic_ids import movielens
from benchmarks.small_model import AUDIENCE
from bowerbird import Interactions, build_model
from bowerbird.columns import ATTRIBUTES, ITEM_ID, KEYWORDS, PROFILE, RANK, STATUS, USER_ID
from bowerbird.recipe_knowledge import Knowledge
from bowerbird.text.endpoint import Endpoint
from bowerbird.text.knowledge import describe
from tests.text.small_model import installed, small_model

MODELS: dict[str, dict[str, Any]] = {"content": {}, "two_tower": {"num_epochs": 8}}  # Any: settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was written, and a table of the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=30)
    parser.add_argument("--cache", type=Path, help="keeps answers, so that a second run asks nothing")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    events, items = movielens()
    chosen = events[ITEM_ID].value_counts(sort=True).sort_index(kind="stable").nlargest(asked.items).index
    with TemporaryDirectory() as folder, small_model(installed(Path(folder) / "site")) as url:
        os.environ["BOWERBIRD_LLM_URL"] = url
        settings = Knowledge(model="SmolLM2-135M", attributes=AUDIENCE, answer_tokens=120, num_parallel=1, timeout_seconds=300)
        endpoint = Endpoint(settings.model, settings, asked.cache or Path(folder) / "cache")
        written, report = describe(items[items[ITEM_ID].isin(chosen)].reset_index(drop=True), settings, endpoint)
    print(f"{cpu()}, one thread, commit {commit()}; {report.sentence()}; dropped {report.dropped}")
    counts = {name: int(written[name].notna().sum()) for name in (KEYWORDS, ATTRIBUTES, PROFILE)}
    print(f"films with {counts}\n")
    knowing = items.merge(written.drop(columns=STATUS), on=ITEM_ID, how="left")
    back = events.groupby(USER_ID).cumcount(ascending=False)
    fit, targets = Interactions.from_frame(events[back > 0]), events[back == 0].reset_index(drop=True)
    is_asked = targets[ITEM_ID].isin(chosen).to_numpy()
    print("| model | users | NDCG@10 without | with | difference | CPU s |\n| --- | ---: | ---: | ---: | --- | ---: |")
    for name, config in MODELS.items():
        start = process_time()
        without, with_it = (_ndcg(build_model(name, seed=1, **config).fit(fit, items=one), targets) for one in (items, knowing))
        spent = process_time() - start
        for kind, rows in (("all", np.ones(len(targets), bool)), ("film was asked about", is_asked)):
            means = f"{without[rows].mean():.4f} | {with_it[rows].mean():.4f} | {_interval(with_it[rows] - without[rows])}"
            print(f"| {name} | {rows.sum()}, {kind} | {means} | {spent:.0f} |", flush=True)


def _ndcg(model: Any, targets: pd.DataFrame) -> NDArray[np.float64]:  # Any: a fitted model
    lists = model.recommend(targets[USER_ID].to_numpy(), k=10)
    found = targets[[USER_ID, ITEM_ID]].merge(lists, on=[USER_ID, ITEM_ID], how="left")
    gains: NDArray[np.float64] = (1 / np.log2(1 + found[RANK])).fillna(0).to_numpy(np.float64)
    return gains


def _interval(differences: NDArray[np.float64]) -> str:
    draws = np.random.default_rng(1).choice(differences, (1000, len(differences))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{differences.mean():+.4f} ({low:+.4f} to {high:+.4f})"


if __name__ == "__main__":
    main()
