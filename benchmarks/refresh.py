"""What an update by the newest hundredth of a log costs and finds, beside a full fit and the model as it was.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python -m benchmarks.refresh [--data beauty movielens] [--epochs 20] [--seeds 1]

The last event of each user is asked for, with all others as history; of these the newest hundredth is the news. `--inner` leaves
out everybody's last event first: choices are made there. `--epochs` spares the search; without it both fits search.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.models.base import Model

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    """Print a row for each data set, seed and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["beauty", "movielens"], choices=["beauty", "movielens"])
    parser.add_argument("--model", default="sasrec")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--inner", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread, torch {torch.__version__}, commit {commit()}\n")
    print(f"{'data':<11}{'seed':>5}  {'way':<9}{'CPU-s':>7}{'all':>9}{'no news':>9}{'news':>9}   NDCG@10")
    config = {} if asked.epochs is None else {"num_epochs": asked.epochs}
    for name in asked.data:
        past, news, targets = parts(events(name), is_inner=asked.inner)
        kept = pd.concat([past, news])
        print(f"{name}: {len(news)} news of {news[USER_ID].nunique()} users, {len(targets)} asked")
        for seed in asked.seeds:
            full, one = build_model(asked.model, seed=seed, **config), build_model(asked.model, seed=seed, **config)
            for way, model, work, frame in (
                ("full", full, full.fit, kept),
                ("stale", one, one.fit, past),
                ("updated", one, one.update, news),
            ):
                begun = process_time()
                work(Interactions.from_frame(frame))
                _print_row(f"{name:<11}{seed:>5}  {way:<9}{process_time() - begun:>7.1f}", model, kept, targets, news)


def events(name: str) -> pd.DataFrame:
    """Read a log in the order of each user's time; Beauty's days are told apart by the places of their events."""
    if name == "beauty":
        log = pd.read_parquet(DATA / "amazon-beauty" / "events.parquet")
        microseconds = log["timestamp"] * 1_000_000 + log["position"]
    else:
        ratings = pd.read_csv(DATA / "ml-latest-small" / "ratings.csv")
        log = ratings.rename(columns={"userId": USER_ID, "movieId": ITEM_ID})
        microseconds = log["timestamp"] * 1_000_000
    frame = pd.DataFrame({USER_ID: log[USER_ID], ITEM_ID: log[ITEM_ID], TIMESTAMP: pd.to_datetime(microseconds, unit="us")})
    return frame.sort_values([USER_ID, TIMESTAMP], kind="stable", ignore_index=True)


def parts(log: pd.DataFrame, *, is_inner: bool) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return what the stale model knows, the news, and the last event of each user."""
    if is_inner:
        log = log[log.groupby(USER_ID).cumcount(ascending=False) > 0]
    is_last = log.groupby(USER_ID).cumcount(ascending=False) == 0
    kept, targets = log[~is_last], log[is_last]
    is_new = kept[TIMESTAMP] >= kept[TIMESTAMP].quantile(0.99, interpolation="higher")
    return kept[~is_new], kept[is_new], targets


def _print_row(begin: str, model: Model, kept: pd.DataFrame, targets: pd.DataFrame, news: pd.DataFrame) -> None:
    lists = model.recommend(targets[USER_ID], k=10, history=kept)
    found = lists.merge(targets[[USER_ID, ITEM_ID]], on=[USER_ID, ITEM_ID])
    gains = pd.Series(0.0, index=targets[USER_ID])
    gains[found[USER_ID]] = 1 / np.log2(1 + found["rank"].to_numpy())
    has_news = gains.index.isin(news[USER_ID])
    means = f"{gains.mean():>9.4f}{gains[~has_news].mean():>9.4f}{gains[has_news].mean():>9.4f}"
    print(begin + means, flush=True)


if __name__ == "__main__":
    main()
