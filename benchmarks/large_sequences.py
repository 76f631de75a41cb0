"""`sasrec` with the defaults of large logs beside counting models, on a made-up log whose order says something (`logs.walks`).

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python -m benchmarks.large_sequences [--epochs 4] [--models sasrec ...]

20,000 users, 10,000 items, about 2 M events; asked is the last event of 5,000 users, where it is new to them.
"""

from __future__ import annotations

import argparse
from time import process_time

import numpy as np
import torch

from benchmarks.logs import walks
from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4, help="of sasrec; the search would try up to 15")
    parser.add_argument("--models", nargs="+", default=["popularity", "cooccurrence", "item_knn", "ease", "sasrec"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread, torch {torch.__version__}, commit {commit()}\n")
    log = walks(20_000, 10_000, 100).set_axis([USER_ID, ITEM_ID, TIMESTAMP], axis=1)
    log = log.sort_values([USER_ID, TIMESTAMP], ignore_index=True)
    is_last = log.groupby(USER_ID).cumcount(ascending=False) == 0
    targets = log[is_last & ~log.duplicated([USER_ID, ITEM_ID])].sample(5000, random_state=1)
    data = Interactions.from_frame(log[~is_last])
    print(f"{len(data):,} events\n{'model':<14}{'fit, CPU-s':>11}{'lists':>7}{'NDCG@10':>9}{'recall@10':>11}")
    for name in asked.models:
        begun = process_time()
        model = build_model(name, **({"num_epochs": asked.epochs} if name == "sasrec" else {})).fit(data)
        fitted = process_time()
        lists = model.recommend(targets[USER_ID], k=10)
        done = process_time()
        found = lists.merge(targets[[USER_ID, ITEM_ID]], on=[USER_ID, ITEM_ID])["rank"].to_numpy()
        accuracy = f"{(1 / np.log2(1 + found)).sum() / len(targets):>9.4f}{len(found) / len(targets):>11.4f}"
        print(f"{name:<14}{fitted - begun:>11.0f}{done - fitted:>7.1f}{accuracy}", flush=True)


if __name__ == "__main__":
    main()
