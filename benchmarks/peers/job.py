"""One model of one library on one log: the times of its phases, its peak memory and its lists. ``classical.py`` runs it.

    python benchmarks/peers/job.py LIBRARY MODEL EVENTS.parquet USERS.npy OUT

EVENTS has user, item (codes from 0) and timestamp, no pair twice. Writes OUT.json and OUT.npy, item codes [U, 10] of the users
asked for, -1 where a list ends before. It runs in the library's own environment, so that nothing of Bowerbird may be imported
but for Bowerbird itself. ``prepare`` makes the library's own kind of data of the table, ``lists`` is its own batch call alone
(ours: the frame with ids and sources).
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

K = 10
BLOCK = 2048  # users for which irspack makes scores at once
# The settings of all, in each library's own terms: SETTINGS[model][library].
SETTINGS: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {  # Any: settings of the libraries
    "item_knn": {
        "bowerbird": ("item_knn", {"num_neighbors": 100, "shrinkage": 0.0, "max_history": 10**6}),
        "implicit": ("nearest_neighbours.CosineRecommender", {"K": 101, "num_threads": 1}),  # an item is among its own
        "irspack": ("CosineKNNRecommender", {"top_k": 100, "shrinkage": 0.0, "normalize": True, "n_threads": 1}),
    },
    "user_knn": {
        "bowerbird": ("user_knn", {"num_neighbors": 100, "shrinkage": 0.0, "max_history": 10**6}),
        "irspack": ("CosineUserKNNRecommender", {"top_k": 101, "shrinkage": 0.0, "normalize": True, "n_threads": 1}),
    },
    "ease": {
        "bowerbird": ("ease", {"regularization": 250.0, "max_history": 10**6}),
        "irspack": ("DenseSLIMRecommender", {"reg": 250.0}),
    },
    # Of pairs that were seen the confidence is 11, of others 1. irspack divides its loss by 10.
    "als": {
        "bowerbird": (
            "als",
            {"embedding_size": 64, "num_epochs": 15, "alpha": 10.0, "regularization": 5.0, "frequency_scaling": 0.0},
        ),
        "implicit": (
            "als.AlternatingLeastSquares",
            {"factors": 64, "iterations": 15, "alpha": 11.0, "regularization": 5.0, "num_threads": 1, "random_state": 1},
        ),
        "irspack": (
            "IALSRecommender",
            {
                "n_components": 64,
                "train_epochs": 15,
                "alpha0": 0.1,
                "reg": 0.5,
                "nu": 0.0,
                "loss_type": "ORIGINAL",
                "n_threads": 1,
            },
        ),
    },
}
Clock = Callable[[str, Callable[[], Any]], Any]  # Any: what the phase makes
Top = np.ndarray[Any, np.dtype[np.int64]]  # item codes [U, K]


def bowerbird(events: pd.DataFrame, users: Top, model: str, config: dict[str, Any], clock: Clock) -> Top:
    from bowerbird import Interactions, build_model

    frame = events.rename(columns={"user": "user_id", "item": "item_id"})
    data = clock("prepare", lambda: Interactions.from_frame(frame))
    build_model(model, **config)  # imports what it needs
    fitted = clock("fit", lambda: build_model(model, **config).fit(data))
    lists = clock("lists", lambda: fitted.recommend(users, k=K))
    top = np.full((len(users), K), -1)
    lists = lists[lists["source"] == model]  # places filled by popularity are empty in the libraries' lists
    top[np.searchsorted(users, lists["user_id"]), lists["rank"] - 1] = lists["item_id"]
    return top


def implicit(events: pd.DataFrame, users: Top, model: str, config: dict[str, Any], clock: Clock) -> Top:
    module, name = model.split(".")
    kind = getattr(importlib.import_module(f"implicit.{module}"), name)
    matrix = clock("prepare", lambda: _matrix(events, np.float32))
    fitted = kind(**config)
    clock("fit", lambda: fitted.fit(matrix, show_progress=False))
    asked = matrix[users]
    items, scores = clock("lists", lambda: fitted.recommend(users, asked, N=K))
    lowest = np.finfo(np.float32).min  # of an item that must not be listed
    top: Top = np.where((scores > lowest) & ((scores > 0) | (module == "als")), items, -1).astype(np.int64)
    return top


def irspack(events: pd.DataFrame, users: Top, model: str, config: dict[str, Any], clock: Clock) -> Top:
    kind = getattr(importlib.import_module("irspack"), model)
    best = importlib.import_module("irspack.utils.id_mapping").retrieve_recommend_from_score
    matrix = clock("prepare", lambda: _matrix(events, np.float64))
    fitted = kind(matrix, **config)
    clock("fit", fitted.learn)
    blocks = [users[start : start + BLOCK] for start in range(0, len(users), BLOCK)]
    lists = clock("lists", lambda: [row for b in blocks for row in best(fitted.get_score_remove_seen(b), [], K, 1)])
    top = np.full((len(users), K), -1)
    for row, pairs in enumerate(lists):
        kept = [item for item, score in pairs if np.isfinite(score) and (score > 0 or model == "IALSRecommender")]
        top[row, : len(kept)] = kept
    return top


def _matrix(events: pd.DataFrame, dtype: type) -> Any:  # Any: a csr_matrix, which the libraries want
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(events), dtype), (events["user"], events["item"])))


def main() -> None:
    """Run one job."""
    library, model, events_path, users_path, out = sys.argv[1:]
    times: dict[str, tuple[float, float]] = {}

    def clock(phase: str, work: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        times[phase] = (time.process_time() - cpu, time.perf_counter() - wall)
        return made

    name, config = SETTINGS[model][library]
    run = {"bowerbird": bowerbird, "implicit": implicit, "irspack": irspack}[library]
    top = run(pd.read_parquet(events_path), np.load(users_path), name, config, clock)
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # what getrusage says begins at the parent's memory
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
    np.save(f"{out}.npy", top)
    Path(f"{out}.json").write_text(json.dumps({"times": times, "peak_mb": peak}))


if __name__ == "__main__":
    main()
