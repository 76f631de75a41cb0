"""What inverted lists find of the exact top 10 and in what time, and `two_tower` beside counting models on Amazon Beauty.

    OMP_NUM_THREADS=1 python -m benchmarks.retrieval [--only lists|beauty|million]

Recall is measured on vectors that `two_tower` learned (MovieLens small, and Amazon Beauty with titles and categories). Times
for 200,000 items are on made-up vectors, drawn around 500 points: kinder to lists than a real catalogue may be, so their recall
says little.

``million`` asks what the best 10 of 100,000 items cost for each of a million users. There is no such log here: the vectors that
`two_tower` learned on Amazon Beauty are made more, each new one a random point between a learned one and one of its ten nearest,
so that they lie as learned ones do. 4,096 such users are measured; the rest is a product.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.models.barrier import Barrier
from bowerbird.models.inverted_lists import InvertedLists
from bowerbird.models.two_tower import TwoTower
from bowerbird.models.two_tower_config import TwoTowerConfig
from bowerbird.testing import movielens_events
from bowerbird.testing.accuracy import ndcg_of_one, recall_of_one

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REACHES = (0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
K = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["lists", "beauty", "million"])
    only = parser.parse_args(arguments).only
    torch.set_num_threads(1)
    print(f"{cpu()}, Python {sys.version.split()[0]}, torch {torch.__version__}, commit {commit()}")
    if only == "million":
        million()
        return
    if only != "lists":
        beauty()
    if only != "beauty":
        lists(movielens(), "MovieLens small")
        lists(made_up(), "made-up vectors")


def beauty() -> None:
    """Compare models on Amazon Beauty, leave-last-out, then exact search with lists."""
    events = pd.read_parquet(DATA / "amazon-beauty" / "events.parquet").sort_values([USER_ID, "position"], ignore_index=True)
    events = pd.DataFrame({USER_ID: events[USER_ID], ITEM_ID: events[ITEM_ID], TIMESTAMP: events["position"]})
    items = beauty_items()
    back = events.groupby(USER_ID).cumcount(ascending=False)
    data = Interactions.from_frame(events[back >= 2], item_ids=events[ITEM_ID].unique())
    history, targets = Interactions.from_frame(events[back >= 1]), events[back == 0].set_index(USER_ID)[ITEM_ID]
    print(f"\nAmazon Beauty: {len(data):,} events, {data.num_users:,} users, {data.num_items:,} items")
    print(f"{'model':<24}{'NDCG@10':>9}{'recall@10':>11}{'fit, CPU s':>12}{'lists, CPU s':>14}  epochs")
    for name, described in (
        ("popularity", None),
        ("item_knn", None),
        ("cooccurrence", None),
        ("two_tower", None),
        ("two_tower", items),
    ):
        begun = process_time()
        model = build_model(name).fit(data, items=described)
        fitted = process_time()
        found = model.recommend(targets.index, k=K, history=history)
        done = process_time()
        label = name + (", described" if described is not None else "")
        accuracy = f"{ndcg_of_one(found, targets):>9.4f}{recall_of_one(found, targets):>11.4f}"
        row = f"{accuracy}{fitted - begun:>12.1f}{done - fitted:>14.2f}"
        print(f"{label:<24}{row}  {model.frozen_config().get('num_epochs', '')}", flush=True)
    lists(cast(TwoTower, model), "Amazon Beauty, described")


def beauty_items() -> pd.DataFrame:
    """Read what describes the items of Amazon Beauty."""
    items = pd.read_parquet(DATA / "amazon-beauty" / "items.parquet")
    paths = items.pop("categories_json").map(json.loads)
    items["categories"] = [sorted({name for path in of_item for name in path}) for of_item in paths]
    return items


def million(num_items: int = 100_000, num_users: int = 4096) -> None:
    """Compare exact search with lists, cut by default and four times finer, on vectors like learned ones."""
    events = pd.read_parquet(DATA / "amazon-beauty" / "events.parquet")
    log = pd.DataFrame({USER_ID: events[USER_ID], ITEM_ID: events[ITEM_ID], TIMESTAMP: events["position"]})
    learned = cast(TwoTower, build_model("two_tower", num_epochs=3).fit(Interactions.from_frame(log), items=beauty_items()))
    items_ND = between(learned._items_ND, num_items, seed=1)
    model = _carrier(between(learned._users_UD, num_users, seed=2), items_ND)
    for finer in (1, 2, 4):
        lists(model, f"{finer} times the root of their number", num_lists=finer * round(num_items**0.5))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak {peak:,.0f} MB; a million users take 1,000 CPU-seconds for each ms a user")


def between(vectors_ND: NDArray[np.float32], num: int, *, seed: int) -> NDArray[np.float32]:
    """Draw points between vectors and one of their ten nearest (by product of unit vectors); [num, D]."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(vectors_ND), size=num)
    units_ND = vectors_ND / np.maximum(np.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-9)
    other = np.empty(num, np.int64)
    for start in range(0, num, 2048):
        block = chosen[start : start + 2048]
        nearest = np.argpartition(-(units_ND[block] @ units_ND.T), 10, axis=1)[:, :11]
        other[start : start + 2048] = nearest[np.arange(len(block)), rng.integers(11, size=len(block))]
    share = rng.random((num, 1), np.float32)
    return (1 - share) * vectors_ND[chosen] + share * vectors_ND[other]


def movielens() -> TwoTower:
    """Fit to MovieLens small."""
    data = Interactions.from_frame(movielens_events(DATA / "ml-latest-small"))
    return cast(TwoTower, build_model("two_tower", num_epochs=6).fit(data))


def made_up(num_items: int = 200_000, num_users: int = 1024, width: int = 64) -> TwoTower:
    """Make vectors without a model behind them; nobody has a history that is left out."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(500, width))

    def around(num: int) -> NDArray[np.float64]:
        return points[rng.integers(500, size=num)] + 0.7 * rng.normal(size=(num, width))

    items_ND = np.column_stack([around(num_items), rng.normal(size=num_items)])
    users_UD = np.column_stack([around(num_users), np.ones(num_users)])
    return _carrier(users_UD.astype(np.float32), items_ND.astype(np.float32))


def _carrier(users_UD: NDArray[np.float32], items_ND: NDArray[np.float32]) -> TwoTower:
    """Make a model of given vectors."""
    places = np.arange(len(users_UD))
    model = TwoTower(TwoTowerConfig(retrieval="exact"))
    log = pd.DataFrame({USER_ID: places, ITEM_ID: places, TIMESTAMP: 0})
    model._accept(Interactions.from_frame(log, item_ids=np.arange(len(items_ND))))
    model._keep(users_UD, items_ND)
    return model


def lists(model: TwoTower, label: str, *, num_lists: int | None = None) -> None:
    """Compare the best 10 of lists with the exact ones, for up to 4,096 users, nothing left out."""
    begun = process_time()
    inverted = InvertedLists.of(model._items_ND, num_lists, seed=1)
    built = process_time() - begun
    num_users = min(len(model._users_UD), 4096)
    exact_UK, seconds = best(model, num_users)
    size = f"{len(inverted.codes_M):,} items, {len(inverted.centroids_LD)} lists (made in {built:.1f} CPU-seconds)"
    print(f"\n{label}: {size}, {num_users:,} users")
    print(f"{'reach':>8}{'lists':>8}{'recall@10':>11}{'share of items':>16}{'ms a user':>11}")
    print(f"{'exact':>8}{'':>8}{1:>11.4f}{1:>16.3f}{1000 * seconds / num_users:>11.3f}")
    sizes, vectors_UD = np.diff(inverted.indptr), model._users_UD[:num_users].astype(np.float64)
    products_UL = vectors_UD @ inverted.centroids_LD.T
    for reach in REACHES:
        model.config = model.config.model_copy(update={"retrieval": "ivf", "reach": reach})
        model._inverted, model._by_list_DM = inverted, np.ascontiguousarray(model._items_ND[inverted.codes_M].T)
        found_UK, seconds = best(model, num_users)
        recall = np.mean([len(set(own) & set(true)) / len(true) for own, true in zip(found_UK, exact_UK, strict=True)])
        is_probed_UL = inverted.probed(vectors_UD, products_UL, reach=reach)
        share, probes = (is_probed_UL @ sizes).mean() / sizes.sum(), is_probed_UL.sum(axis=1).mean()
        print(f"{reach:>8}{probes:>8.1f}{recall:>11.4f}{share:>16.3f}{1000 * seconds / num_users:>11.3f}", flush=True)
    model.config = model.config.model_copy(update={"retrieval": "exact"})


def best(model: TwoTower, num_users: int) -> tuple[NDArray[np.int64], float]:
    """Return the best 10 items of the first users, and the CPU-seconds."""
    found, seconds, reader = [], 0.0, model._reader(None)
    size = model._block_size()
    for start in range(0, num_users, size):
        histories = reader.read(pd.Index(model.data.user_ids[start : min(start + size, num_users)]))
        begun = process_time()
        found.append(model._best(histories, 0, K, Barrier.none(len(histories.users)))[0])
        seconds += process_time() - begun
    return np.concatenate(found), seconds


if __name__ == "__main__":
    main()
