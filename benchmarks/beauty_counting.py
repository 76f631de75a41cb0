"""The rows of the counting model, item-kNN and popularity on Amazon Beauty, leave-last-out, full ranking.

    python benchmarks/beauty_counting.py [--data ../shared/data/amazon-beauty]

Fitted on all but the last two events of a user, queried with all but the last, what was seen left out; recall@10 and NDCG@10
of the last event, over all users. Places that a model leaves open go to popular items, as everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd

from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.testing.accuracy import ndcg_of_one, recall_of_one

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (  # Any: settings of the models
    ("random", {}),
    ("popularity", {}),
    ("item_knn", {}),
    ("cooccurrence", {"knn_weight": 0}),
    ("cooccurrence", {}),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "amazon-beauty"
    parser.add_argument("--data", type=Path, default=default, help="folder with events.parquet")
    folder: Path = parser.parse_args(arguments).data
    if not (folder / "events.parquet").is_file():
        raise SystemExit(f"Amazon Beauty is not at {folder}: nothing measured")
    events = pd.read_parquet(folder / "events.parquet").sort_values([USER_ID, "position"], ignore_index=True)
    events = pd.DataFrame({USER_ID: events[USER_ID], ITEM_ID: events[ITEM_ID], TIMESTAMP: events["position"]})
    events_back = events.groupby(USER_ID).cumcount(ascending=False)
    data = Interactions.from_frame(events[events_back >= 2], item_ids=events[ITEM_ID].unique())
    history = Interactions.from_frame(events[events_back >= 1])
    targets = events[events_back == 0].set_index(USER_ID)[ITEM_ID]
    print(f"{len(data):,} events, {data.num_users:,} users, {data.num_items:,} items; {len(targets):,} targets")
    print(f"{'model':<32}{'recall@10':>10}{'NDCG@10':>10}{'fit s':>8}{'lists s':>9}{'users/s':>9}")
    for name, config in ROWS:
        started = perf_counter()
        model = build_model(name, **config).fit(data)
        fitted = perf_counter()
        lists = model.recommend(targets.index, k=10, history=history)
        done = perf_counter()
        label = f"{name} {config or ''}"
        recall, ndcg = recall_of_one(lists, targets), ndcg_of_one(lists, targets)
        speed = len(targets) / (done - fitted)
        print(f"{label:<32}{recall:>10.4f}{ndcg:>10.4f}{fitted - started:>8.2f}{done - fitted:>9.2f}{speed:>9,.0f}")


if __name__ == "__main__":
    main()
