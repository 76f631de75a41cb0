"""CPU seconds and peak memory of the slices of a million users, two models beside each other.

    OMP_NUM_THREADS=1 python -m benchmarks.slices [--users 1000000] [--events 5000000]

A made-up log, one window in which every user has two targets, and lists of ten of two models that find some of them. What a run
A made-up log, one window in which every user has two targets, and lists of ten of two models that find some of them. What a run
of the slices: whom each group holds, what the two models found there, intervals and tests.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.evaluation_share import recipe
from benchmarks.machine import commit, cpu
from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.evaluation.matching import match
from bowerbird.evaluation.metrics import score_matches
from bowerbird.models import build_model, load_model
from bowerbird.pipeline import slices
from bowerbird.pipeline.prepare import Cut, Window, window_folder
from bowerbird.pipeline.prove import Scored
from bowerbird.pipeline.run import Run, open_run
from bowerbird.store.home import Home

K, NUM_ITEMS, DAYS = 10, 20_000, 120
NAMES = ("nominee", "champion")
WINDOW = Window(name="test-1", cut=Cut(at=DAYS * MICROSECONDS_A_DAY), end=(DAYS + 7) * MICROSECONDS_A_DAY)


def prepare(folder: Path, num_users: int, num_events: int) -> Run:
    """Write what a run has on disk when it comes to its slices."""
    rng = np.random.default_rng(1)
    item_ids = np.asarray([f"i{item:05}" for item in range(NUM_ITEMS)], object)
    ends = np.cumsum(1 / np.arange(1, NUM_ITEMS + 1) ** 0.8)

    def draw(size: int) -> NDArray[np.object_]:
        found: NDArray[np.object_] = item_ids[np.searchsorted(ends, rng.random(size) * ends[-1])]
        return found

    user_ids = np.asarray([f"u{user:07}" for user in range(num_users)], object)
    moments = np.sort(rng.integers(0, WINDOW.cut.at, num_events)) / 1e6
    log = pd.DataFrame({USER_ID: rng.choice(user_ids, num_events), ITEM_ID: draw(num_events), "timestamp": moments})
    build_model("random").fit(Interactions.from_frame(log)).save(folder / "random")
    run = open_run(Home.open(folder / "home"), recipe(["popularity"]), None)
    targets = pd.DataFrame({USER_ID: np.repeat(user_ids, 2), ITEM_ID: draw(2 * num_users)}).drop_duplicates()
    where = window_folder(run, WINDOW)
    where.mkdir(parents=True)
    targets.assign(is_repeat=False).to_parquet(where / "targets.parquet", index=False)
    for name in NAMES:
        lists = pd.DataFrame(
            {USER_ID: np.repeat(user_ids, K), ITEM_ID: draw(num_users * K), "rank": np.tile(np.arange(1, K + 1), num_users)}
        )
        found = match(lists, targets, k=K)
        lists.astype({"rank": np.int32}).to_parquet(where / f"{name}.lists.parquet", index=False)
        found.hits.to_parquet(where / f"{name}.hits.parquet", index=False)
        score_matches(found).to_parquet(where / f"{name}.users.parquet")
    (folder / "run.json").write_text(run.model_dump_json(), encoding="utf-8")
    return run


def measure(folder: Path) -> str:
    """Compare the two models on all slices; return what that took."""
    run = Run.model_validate_json((folder / "run.json").read_text(encoding="utf-8"))
    where = window_folder(run, WINDOW)
    both = [
        Scored(
            label=name,
            window=WINDOW.name,
            **{kind: where / f"{name}.{kind}.parquet" for kind in ("lists", "users", "hits")},
            coverage=0,
            gini=0,
        )
        for name in NAMES
    ]
    vars(slices)["events_before"] = lambda run, cut: load_model(folder / "random").data  # the fit is there, under another name
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
    found = slices.measure_slices(run, [WINDOW], both[:1], both[1:])
    spent, peak = process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{len(found)} slices: {spent:.1f} CPU-seconds, peak {peak / 1e6:.2f} GB, {before / 1e6:.2f} of it before they began"


def main() -> None:
    """Print one line; the measurement runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        print(measure(given.measure))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), given.users, given.events)
        print(f"{cpu()}, commit {commit()}, {given.users:,} users, {given.events:,} events", flush=True)
        for _ in range(3):
            subprocess.run([sys.executable, "-m", "benchmarks.slices", "--measure", folder], check=True)


if __name__ == "__main__":
    main()
