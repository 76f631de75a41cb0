"""What models make of items that nobody has touched yet: Amazon Beauty, global time split.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.cold_items [--windows 1 2 3 4 5 6] [--models NAME ...] [--vectors FILE.npy]

Fitted on the first 90 % of the events by time, asked at the cut-off for what each known user had after it. Cold items are those
whose first event comes after the cut-off; their descriptions are known and ``available_from`` is their first event, as for all
items. Recall@10 is the mean over users with cold targets, among the cold items alone (all are candidates) and in the full
catalogue; NDCG@10 is over the warm targets, with cold items in the lists or (``warm only``) not allowed there.

Window 0 is the test's. Window n takes the same cut again inside what window n - 1 was fitted on: settings are chosen on windows 1
to 6 together, by the mean over windows, and the test window is then asked once. Text vectors are those of MiniLM, encoded from
title and categories, and read from ``--vectors`` (row i: item i + 1).
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
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import AVAILABLE_FROM, CATEGORIES, ITEM_ID, RANK, TEXT_VECTOR, TIMESTAMP, TITLE, USER_ID

TRAINING = 0.9
TOWERS = {"name": "two_tower", "num_epochs": 4}
MODELS: dict[str, tuple[str, str] | tuple[str, str, dict[str, Any]]] = {  # Any: settings
    "random": ("random", "nothing"),
    "content": ("content", "tf-idf"),
    "content, past alone": ("content", "tf-idf", {"num_neighbors": 0}),
    "content, as before": ("content", "tf-idf", {"num_neighbors": 0, "category_weight": 0.3, "half_life_days": 90}),
    "two_tower, ids": ("two_tower", "nothing"),
    "two_tower, tf-idf": ("two_tower", "tf-idf"),
    "two_tower, text": ("two_tower", "text"),
    "two_tower, both": ("two_tower", "both", {"num_epochs": 4}),
    "blend": ("blend", "both", {"generators": (TOWERS, {"name": "content"}), "weights": (1.0, 0.5)}),
    "sasrec, ids": ("sasrec", "nothing"),
    "sasrec, both": ("sasrec", "both"),
    "esasrec, ids": ("esasrec", "nothing"),
    "esasrec, both": ("esasrec", "both"),
}
COLUMNS = {
    "nothing": [ITEM_ID],
    "tf-idf": [ITEM_ID, TITLE, CATEGORIES, AVAILABLE_FROM],
    "text": [ITEM_ID, TEXT_VECTOR, AVAILABLE_FROM],
    "both": [ITEM_ID, TITLE, CATEGORIES, TEXT_VECTOR, AVAILABLE_FROM],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "amazon-beauty"
    parser.add_argument("--data", type=Path, default=default, help="folder with events.parquet and items.parquet")
    parser.add_argument("--vectors", type=Path, help="text vectors, .npy; without them models that read text are left out")
    parser.add_argument("--windows", nargs="+", type=int, default=[0], help="0 is the test's, n > 0 an earlier one")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    if not (asked.data / "events.parquet").is_file():
        raise SystemExit(f"Amazon Beauty is not at {asked.data}: nothing measured")
    torch.set_num_threads(1)
    events = pd.read_parquet(asked.data / "events.parquet")
    events = events.sort_values([TIMESTAMP, USER_ID, "position"], kind="stable", ignore_index=True)
    print(f"{cpu()}, one thread, commit {commit()}; seed {asked.seed}")
    found = {label: list[list[float]]() for label in asked.models}
    for window in asked.windows:
        _measure(events, window, asked, found)
    if len(asked.windows) > 1:
        print("| mean of the windows | cold items only | full catalogue | NDCG@10 warm | warm only | all targets |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for label, figures in found.items():
            if figures:
                print(f"| {label} | {' | '.join(f'{value:.4f}' for value in np.mean(figures, axis=0))} |")


def _measure(events: pd.DataFrame, window: int, asked: argparse.Namespace, found: dict[str, list[list[float]]]) -> None:
    """Print the table of one window."""
    past, later = _cut(events)
    for _ in range(window):
        past, later = _cut(past)
    items = _items(asked.data, asked.vectors, pd.concat([past, later]).groupby(ITEM_ID)[TIMESTAMP].min())
    cold = np.setdiff1d(later[ITEM_ID], past[ITEM_ID])
    later = later[later[USER_ID].isin(past[USER_ID])]
    num_cold = later[ITEM_ID].isin(cold).sum()
    print(f"window {window}: {len(past)} events; {len(later)} later of known users, {num_cold} of them on {len(cold)} cold items")
    print("| model | cold items only | full catalogue | NDCG@10 warm | warm only | all targets | fit CPU s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for label in asked.models:
        name, columns, *settings = MODELS[label]
        if TEXT_VECTOR in COLUMNS[columns] and asked.vectors is None:
            continue
        start = process_time()
        model = build_model(name, seed=asked.seed, **dict(*settings))
        model.fit(Interactions.from_frame(past), items=None if columns == "nothing" else items[COLUMNS[columns]])
        fitted = process_time() - start
        found[label].append(_figures(model, past, later, cold, is_blind=columns == "nothing"))
        print(f"| {label} | {' | '.join(f'{value:.4f}' for value in found[label][-1])} | {fitted:.0f} |", flush=True)


def _cut(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    moment = events[TIMESTAMP].iloc[int(TRAINING * len(events))]
    return events[events[TIMESTAMP] < moment], events[events[TIMESTAMP] >= moment]


def _items(folder: Path, vectors: Path | None, first: pd.Series[Any]) -> pd.DataFrame:  # Any: times by item
    items = pd.read_parquet(folder / "items.parquet")
    items[CATEGORIES] = [sorted({name for path in json.loads(text) for name in path}) for text in items["categories_json"]]
    items[AVAILABLE_FROM] = pd.to_datetime(items[ITEM_ID].map(first), unit="s")
    if vectors is not None:
        items[TEXT_VECTOR] = list(np.load(vectors)[items[ITEM_ID].to_numpy() - 1])
    return items[items[AVAILABLE_FROM].notna()]


def _figures(
    model: Any,  # Any: a fitted model
    past: pd.DataFrame,
    later: pd.DataFrame,
    cold: NDArray[Any],  # Any: item ids
    *,
    is_blind: bool,
) -> list[float]:
    """Return recall among cold items and in the full catalogue, and NDCG of warm targets, among warm items, and of all."""
    is_cold = later[ITEM_ID].isin(cold)
    warm_ids = past[ITEM_ID].unique()
    if is_blind and model.name == "random":  # it needs no description to draw an item
        among = 10 / len(cold)
    else:
        among = _recall(model, later[is_cold], candidates=cold) if not is_blind else 0.0
    return [
        among,
        _recall(model, later[is_cold]),
        _ndcg(model, later[~is_cold]),
        _ndcg(model, later[~is_cold], candidates=warm_ids),
        _ndcg(model, later),
    ]


def _hits(model: Any, targets: pd.DataFrame, candidates: Any) -> pd.DataFrame:  # Any: a fitted model, item ids
    lists = model.recommend(targets[USER_ID].unique(), k=10, candidates=candidates)
    return targets.merge(lists, on=[USER_ID, ITEM_ID], how="left")


def _recall(model: Any, targets: pd.DataFrame, candidates: Any = None) -> float:  # Any: see ``_hits``
    found = _hits(model, targets, candidates)
    return float(found[RANK].notna().groupby(found[USER_ID]).mean().mean())


def _ndcg(model: Any, targets: pd.DataFrame, candidates: Any = None) -> float:  # Any: see ``_hits``
    found = _hits(model, targets, candidates)
    gains = (1 / np.log2(1 + found[RANK])).fillna(0).groupby(found[USER_ID]).sum()
    ideals = np.cumsum(1 / np.log2(np.arange(2, 12)))
    num = found.groupby(USER_ID).size().reindex(gains.index).clip(upper=10)
    return float((gains / ideals[num - 1]).mean())


if __name__ == "__main__":
    main()
