"""What sasrec reaches with its defaults on Amazon Beauty, and what it costs.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.sasrec_beauty [--data ../shared/data/amazon-beauty] [--seeds 1 2 3]

Fitted on all but the last two events of a user, asked with all but the last by ``history=``, what was seen left out, full
ranking; recall@10 and NDCG@10 of the last event, over all users. The number of epochs is found by ``fit`` on a hold-out of its
own events. CPU seconds are those of the whole ``fit``, the search included, over all threads; threads that spin while they
wait count as work, hence the variable.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

import pandas as pd
import torch

from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.testing.accuracy import ndcg_of_one, recall_of_one


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "amazon-beauty"
    parser.add_argument("--data", type=Path, default=default, help="folder with events.parquet")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args(arguments)
    if not (asked.data / "events.parquet").is_file():
        raise SystemExit(f"Amazon Beauty is not at {asked.data}: nothing measured")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(asked.threads)
    waiting = os.environ.get("OMP_WAIT_POLICY", "not set")
    print(f"{platform.machine()}, {asked.threads} threads, torch {version('torch')}, OMP_WAIT_POLICY {waiting}")
    events = pd.read_parquet(asked.data / "events.parquet").sort_values([USER_ID, "position"], ignore_index=True)
    events = events[[USER_ID, ITEM_ID, "position"]].rename(columns={"position": TIMESTAMP})
    from_end = events.groupby(USER_ID).cumcount(ascending=False)
    data = Interactions.from_frame(events[from_end >= 2])
    targets = events[from_end == 0].set_index(USER_ID)[ITEM_ID]
    for seed in asked.seeds:
        _measure(data, events[from_end >= 1], targets, seed=seed)


def _measure(data: Interactions, history: pd.DataFrame, targets: pd.Series[Any], *, seed: int) -> None:  # Any: item ids
    start = process_time()
    model = build_model("sasrec", seed=seed).fit(data)
    fitted = process_time()
    lists = model.recommend(targets.index, k=10, history=history)
    asked = process_time()
    num_epochs = model.frozen_config()["num_epochs"]
    trained = (len(model.curve) + num_epochs) * (len(data) - data.num_users)  # the hold-out is so small that it is left aside
    print(
        f"seed {seed}: NDCG@10 {ndcg_of_one(lists, targets):.4f}, recall@10 {recall_of_one(lists, targets):.4f}; "
        f"{num_epochs} epochs found in {len(model.curve)}; fit {fitted - start:.0f} CPU-seconds, "
        f"{trained / (fitted - start):,.0f} targets per CPU-second; {len(targets)} lists {asked - fitted:.0f} CPU-seconds"
    )


if __name__ == "__main__":
    main()
