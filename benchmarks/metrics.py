"""Metrics of a million users' lists of twenty with their intervals, and accuracy beside ir-measures and ranx.

    OMP_NUM_THREADS=2 python benchmarks/metrics.py [--users 1000000] [--peer-users 50000]

CPU seconds (user and system) and wall seconds of one run, inputs made and in memory before the clock starts. The peers are
timed where they are installed, on fewer users, from frames; ranx is warmed up first, for it compiles.
"""

from __future__ import annotations

import argparse
import importlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from benchmarks.machine import commit, cpu
from bowerbird.data.interactions import Interactions
from bowerbird.evaluation import beyond, metrics
from bowerbird.evaluation.beyond import Catalogue
from bowerbird.evaluation.matching import match
from bowerbird.evaluation.mean_intervals import mean_intervals

K, NUM_ITEMS, NUM_CATEGORIES, HISTORY = 20, 20_000, 40, 10
TWELVE = (
    *metrics.METRICS,
    "average_popularity",
    "novelty",
    "serendipity",
    "intra_list_diversity",
    "price_spread",
)


@dataclass(frozen=True, eq=False)
class Case:
    """What is to be measured: lists and targets as frames, and what is known of items and of pasts."""

    lists: pd.DataFrame
    targets: pd.DataFrame
    past: Interactions
    prices_N: NDArray[np.float64]
    ages_N: NDArray[np.float64]
    categories_NG: csr_array


def make(num_users: int, *, seed: int = 0) -> Case:
    """Draw lists of different items, 1 to 7 targets and 10 past events a user, all after one skewed popularity."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(1 / np.arange(1, NUM_ITEMS + 1) ** 0.8)
    popular = rng.permutation(NUM_ITEMS)

    def draw(size: int) -> NDArray[np.int64]:
        drawn: NDArray[np.int64] = popular[np.searchsorted(ends, rng.random(size) * ends[-1]).clip(max=NUM_ITEMS - 1)]
        return drawn

    steps_UK = rng.integers(1, NUM_ITEMS // K, (num_users, K))  # steps that never go once round: all different
    items_UK = (draw(num_users)[:, None] + np.cumsum(steps_UK, axis=1)) % NUM_ITEMS
    num_targets = rng.integers(1, 8, num_users)
    wanted = draw(int(num_targets.sum()))
    users_T = np.repeat(np.arange(num_users), num_targets)
    is_found = rng.random(len(wanted)) < 0.2
    wanted[is_found] = items_UK[users_T[is_found], rng.integers(0, K, int(is_found.sum()))]
    num_events = num_users * HISTORY
    return Case(
        pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(num_users), K),
                "item_id": items_UK.ravel(),
                "rank": np.tile(np.arange(1, K + 1, dtype=np.int32), num_users),
            }
        ),
        pd.DataFrame({"user_id": users_T, "item_id": wanted}),
        Interactions(
            np.arange(num_users),
            np.arange(NUM_ITEMS),
            np.repeat(np.arange(num_users, dtype=np.int32), HISTORY),
            draw(num_events).astype(np.int32),
            np.zeros(num_events, np.int64),
            np.ones(num_events),
            ("view",),
            np.zeros(num_events, np.int16),
        ),
        np.exp(rng.normal(3, 1, NUM_ITEMS)),
        rng.random(NUM_ITEMS) * 100,
        csr_array((rng.random((NUM_ITEMS, NUM_CATEGORIES)) < 2 / NUM_CATEGORIES).astype(float)),
    )


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:  # Any: whatever the work returns
    """Return the result, CPU seconds and wall seconds."""
    wall, began = perf_counter(), process_time()
    result = work()
    return result, process_time() - began, perf_counter() - wall


def measure(case: Case, *, num_metrics: int) -> list[str]:
    """Time each step of twelve metrics and their intervals, or of all fourteen."""
    is_all = num_metrics > len(TWELVE)
    found: dict[str, Any] = {}  # Any: see timed
    lines, total = ["| step | CPU s | wall s |", "| --- | ---: | ---: |"], np.zeros(2)

    accuracy = list(metrics.METRICS)

    def catalogue() -> Catalogue:
        weights, ages = case.past.item_weights(), case.ages_N if is_all else None
        return Catalogue(weights, ages_N=ages, prices_N=case.prices_N, categories_NG=case.categories_NG)

    def figures() -> pd.DataFrame:
        past = beyond.pasts(case.past, found["match"].user_ids) if is_all else None
        return beyond.list_figures(found["match"], found["catalogue"], past_UN=past)

    steps: dict[str, Callable[[], Any]] = {  # Any: see timed
        "match": lambda: match(case.lists, case.targets, k=K, items=pd.RangeIndex(NUM_ITEMS)),
        "accuracy": lambda: metrics.score_matches(found["match"]),
        "catalogue": catalogue,
        "list figures": figures,
        "intervals": lambda: mean_intervals(pd.concat([found["accuracy"], found["list figures"]], axis=1), bounded=accuracy),
    }
    for name, work in steps.items():
        found[name], *seconds = timed(work)
        total += seconds
        lines.append(f"| {name} | {seconds[0]:.2f} | {seconds[1]:.2f} |")
    assert len(found["intervals"]) == num_metrics, list(found["intervals"])
    return [*lines, f"| **all, {num_metrics} figures** | **{total[0]:.2f}** | **{total[1]:.2f}** |", ""]


Works = dict[str, Callable[[], Any]]  # Any: see timed


def ir_measures(lists: pd.DataFrame, targets: pd.DataFrame) -> Works:
    """Return the same seven metrics by ir-measures."""
    library = importlib.import_module("ir_measures")
    names = ("nDCG", "R", "P", "AP", "Success")
    asked = [getattr(library, name) @ K for name in names] + [library.RR, library.Rprec]
    run = lists.rename(columns={"user_id": "query_id", "item_id": "doc_id"}).assign(score=-lists["rank"].astype(float))
    qrels = targets.drop_duplicates().rename(columns={"user_id": "query_id", "item_id": "doc_id"}).assign(relevance=1)
    return {"ir-measures": lambda: sum(1 for _ in library.iter_calc(asked, qrels, run))}


def ranx(lists: pd.DataFrame, targets: pd.DataFrame) -> Works:
    """Return the same seven metrics by ranx, on one thread: from frames, and from its own tables."""
    library, numba = importlib.import_module("ranx"), importlib.import_module("numba")
    numba.set_num_threads(1)
    asked = [f"{name}@{K}" for name in ("ndcg", "recall", "precision", "map", "hit_rate", "mrr")] + ["r-precision"]
    run = lists.assign(score=-lists["rank"].astype(float))
    qrels = targets.drop_duplicates().assign(relevance=1)
    columns = {"q_id_col": "user_id", "doc_id_col": "item_id"}

    def convert() -> tuple[Any, Any]:  # Any: ranx has no types
        wanted = library.Qrels.from_df(qrels, score_col="relevance", **columns)
        return wanted, library.Run.from_df(run, score_col="score", **columns)

    tables = convert()
    return {
        "ranx": lambda: library.evaluate(*convert(), asked, make_comparable=True),
        "ranx, its own tables made before": lambda: library.evaluate(*tables, asked, make_comparable=True),
    }


PEERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame], Works]] = {"ir_measures": ir_measures, "ranx": ranx}


def compare(case: Case, num_users: int) -> list[str]:
    """Time the seven accuracy metrics of each library on the same frames, ids as texts for all."""
    lines = [
        f"Seven accuracy metrics of {num_users:,} users, ids as texts:",
        "",
        "| library | CPU s | times ours |",
        "| --- | ---: | ---: |",
    ]
    str_ids = {"user_id": str, "item_id": str}
    as_text = {"user_id": object, "item_id": object}  # what ranx asks for
    lists, targets = (frame.astype(str_ids).astype(as_text) for frame in (case.lists, case.targets))
    few = lists["user_id"].isin({"0", "1"}), targets["user_id"].isin({"0", "1"})
    metrics.per_user_metrics(lists[few[0]], targets[few[1]], k=K)
    _, own, _ = timed(lambda: metrics.per_user_metrics(lists, targets, k=K))
    lines.append(f"| bowerbird | {own:.2f} | 1 |")
    for name, prepare in PEERS.items():
        if find_spec(name) is None:
            lines.append(f"| {name} | not installed | |")
            continue
        for work in prepare(lists[few[0]], targets[few[1]]).values():
            work()
        for label, work in prepare(lists, targets).items():
            _, seconds, _ = timed(work)
            lines.append(f"| {label} | {seconds:.2f} | {seconds / own:.1f} |")
    return lines


def main() -> None:
    """Print a page for the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--peer-users", type=int, default=50_000)
    given = parser.parse_args()
    print(f"{cpu()}, commit {commit()}, numpy {np.__version__}, pandas {pd.__version__}\n")
    case = make(given.users)
    print(f"{given.users:,} users, top {K}, {NUM_ITEMS:,} items, {NUM_CATEGORIES} categories, 2,000 bootstrap samples.\n")
    for num_metrics in (len(TWELVE), len(TWELVE) + 2):
        print("\n".join(measure(case, num_metrics=num_metrics)), flush=True)
    print(f"Peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB, inputs included.\n")
    print("\n".join(compare(make(given.peer_users), given.peer_users)))


if __name__ == "__main__":
    main()
