"""What semantic ids add to models, and what generating them (`tiger`) reaches, on Amazon Beauty and MovieLens small.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.semantic_ids features --vectors FILE.npy [--data movielens] [--epochs 16]
    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.semantic_ids tiger --vectors FILE.npy --models tiger --window test --epochs 12

``features``: models fitted on ids alone, with semantic ids as categories, with the items' own words (title and categories), and
with both. ``tiger``: models with what the fit took, ``tiger`` with the vectors, others with ids alone. Each user's last event is
foretold: in the test window from all but the last, models fitted on all but the last two; the inner window is one event earlier,
and settings are chosen there (of MovieLens only ratings from 3.5 up count). Ids are made of MiniLM's vectors of title and
categories, three levels of at most 256 codes; vectors are read from ``--vectors`` (one row an item, in the order of the items'
table), and encoded into that file where it is absent.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import CATEGORIES, ITEM_ID, RANK, SEMANTIC_ID, TEXT_VECTOR, TIMESTAMP, TITLE, USER_ID, WEIGHT
from bowerbird.recipe_text import ItemTexts, SemanticIdsConfig
from bowerbird.testing.datasets import movielens_events
from bowerbird.text.semantic_ids import SemanticIds

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NUM_LEFT = {"test": 0, "inner": 1}
COLUMNS = {
    "ids alone": [],
    "semantic ids": [SEMANTIC_ID],
    "title and categories": [TITLE, CATEGORIES],
    "all of these": [TITLE, CATEGORIES, SEMANTIC_ID],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["features", "tiger"])
    parser.add_argument("--data", choices=["beauty", "movielens"], default="beauty")
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--window", choices=list(NUM_LEFT), default="inner")
    parser.add_argument("--models", nargs="+", default=["sasrec"])
    parser.add_argument("--epochs", type=int, help="absent: found by the model, where it can")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    events, items = _beauty() if asked.data == "beauty" else movielens()
    items[TEXT_VECTOR] = list(_vectors(items, asked.vectors))
    back = events.groupby(USER_ID).cumcount(ascending=False) - NUM_LEFT[asked.window]
    fit, history, targets = events[back >= 2], events[back >= 1], events[back == 0]
    print(f"{cpu()}, one thread, commit {commit()}; {asked.data}, {asked.window} window, {len(targets)} users")
    print("| model | told | seed | NDCG@10 | recall@10 | fit CPU s | lists CPU s |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    config = {} if asked.epochs is None else {"num_epochs": asked.epochs}
    for seed in asked.seeds:
        for name, columns, settings in _jobs(asked, items, seed, config):
            told = next((label for label, ours in COLUMNS.items() if ours == columns), "text vectors")
            row = _figures(name, settings, items[[ITEM_ID, *columns]] if columns else None, seed, fit, history, targets)
            print(f"| {name} | {told} | {seed} | {row} |", flush=True)


def _jobs(
    asked: argparse.Namespace, items: pd.DataFrame, seed: int, config: dict[str, Any]
) -> list[tuple[str, list[str], dict[str, Any]]]:  # Any: settings
    if asked.part == "tiger":
        columns = {"tiger": [TEXT_VECTOR]}
        return [(name, columns.get(name, []), {} if name == "cooccurrence" else config) for name in asked.models]
    vectors = np.stack(items[TEXT_VECTOR].tolist())
    ids = SemanticIds.fit(vectors, SemanticIdsConfig(), seed=seed)
    print(f"seed {seed}: {json.dumps(ids.figures())}")
    items[SEMANTIC_ID] = ids.words(ids.encode(vectors))
    return [(name, columns, config) for name in asked.models for columns in COLUMNS.values()]


def _figures(
    name: str,
    settings: dict[str, Any],  # Any: settings
    items: pd.DataFrame | None,
    seed: int,
    fit: pd.DataFrame,
    history: pd.DataFrame,
    targets: pd.DataFrame,
) -> str:
    start = process_time()
    model = build_model(name, seed=seed, **settings).fit(Interactions.from_frame(fit), items=items)
    fitted = process_time()
    lists = model.recommend(targets[USER_ID].unique(), k=10, history=Interactions.from_frame(history))
    ended = process_time()
    found = targets[[USER_ID, ITEM_ID]].merge(lists, on=[USER_ID, ITEM_ID], how="left")
    ndcg, recall = (1 / np.log2(1 + found[RANK])).fillna(0).mean(), found[RANK].notna().mean()
    return f"{ndcg:.4f} | {recall:.4f} | {fitted - start:.0f} | {ended - fitted:.0f}"


def _beauty() -> tuple[pd.DataFrame, pd.DataFrame]:
    events = pd.read_parquet(DATA / "amazon-beauty" / "events.parquet").sort_values([USER_ID, "position"], ignore_index=True)
    items = pd.read_parquet(DATA / "amazon-beauty" / "items.parquet")
    items[CATEGORIES] = [sorted({name for path in json.loads(text) for name in path}) for text in items["categories_json"]]
    return pd.DataFrame({USER_ID: events[USER_ID], ITEM_ID: events[ITEM_ID], TIMESTAMP: events["position"]}), items


def movielens() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the ratings from 3.5 up, in the order of each user's, and the films they are of."""
    events = movielens_events(DATA / "ml-latest-small").sort_values([USER_ID, TIMESTAMP], kind="stable", ignore_index=True)
    movies = pd.read_csv(DATA / "ml-latest-small" / "movies.csv")
    items = pd.DataFrame({ITEM_ID: movies["movieId"], TITLE: movies["title"], CATEGORIES: movies["genres"].str.split("|")})
    events = events.loc[events[WEIGHT] > 0, [USER_ID, ITEM_ID, TIMESTAMP]]
    return events, items[items[ITEM_ID].isin(events[ITEM_ID])].reset_index(drop=True)


def _vectors(items: pd.DataFrame, file: Path) -> Any:  # Any: float32 [N, D]
    if not file.exists():
        from bowerbird.text.encode import encode

        found = encode(items, ItemTexts(encoder="english", template="{title}. {categories}"), cache=file.parent / "cache")
        np.save(file, np.stack(found.items[TEXT_VECTOR].tolist()))
    return np.load(file)


if __name__ == "__main__":
    main()
