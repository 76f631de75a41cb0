"""Sequence models beside the libraries': time to a given NDCG@10, and what ours reach on Amazon Beauty with their defaults.

    python -m benchmarks.sequential time --peers FOLDER [--libraries replay rectools recbole] [--budget 200] [--log beauty]
    python -m benchmarks.sequential beauty [--models sasrec ...] [--seeds 1 2 3] [--orders original shuffled time refit]

FOLDER holds an environment for each library, as ``../shared/bench/setup_peers.sh`` makes them; their runners, the split and the
metric code are those of ``../shared/bench``. Every run is a process of its own, OpenMP threads wait passively, and seconds are
CPU-seconds. Each result is kept under ``--out`` and is not measured again while it is there.

``time``: MovieLens latest-small (MovieLens 100K is not at hand) or Amazon Beauty, the last event of each user held out, one
thread, width 64, two blocks, two heads, length 50, dropout 0.2, of all libraries; the rest are their defaults. Theirs is one
run scored after each epoch, ours a new fit for each number of epochs, so that all goes through the public interface.

``beauty``: fitted on all but the last two events of a user, asked with all but the last by ``history=``, full ranking, what was
seen left out. ``shuffled``: events of one user and day in random order; ``refit``: fitted on all but the last event;
``time``: the last tenth of all events by time is foretold, for users with a history, who are asked with what was fitted.
``--epochs`` gives their number instead of a search, such as what another order's search has found.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import commit, cpu
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.models import known_models

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SAME = {"embedding_size": 64, "num_blocks": 2, "num_heads": 2, "max_length": 50, "dropout": 0.2}
EPOCHS = (1, 2, 4, 8, 16, 32)
MODELS = ["cooccurrence", "sasrec", "esasrec", "hstu", "bert4rec", "gru4rec", "two_tower", "described_two_tower", "blend"]
ORDERS = ("original", "shuffled", "refit", "time")
Frames = dict[str, pd.DataFrame]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["time", "beauty"])
    parser.add_argument("--out", type=Path, required=True, help="folder for results and logs")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--log", choices=["movielens", "beauty"], default="movielens", help="of the part time")
    parser.add_argument("--libraries", nargs="*", default=["replay", "rectools", "recbole"])
    parser.add_argument("--budget", type=float, default=200, help="CPU-seconds of training of each library, and of ours together")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=ORDERS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="of the part beauty: how many, instead of a search")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    print(f"{cpu()}, {asked.threads} threads, torch {version('torch')}, commit {commit()}\n")
    if asked.part == "time":
        time_to_quality(asked)
    else:
        beauty(asked)


def time_to_quality(asked: argparse.Namespace) -> None:
    """Print NDCG@10 by CPU-seconds of each library and of ours."""
    events = _events_of(asked)
    curves, memory = {}, {}
    sizes_U = pd.read_parquet(events).groupby("user").size() - 2  # one is held out, the first is only read
    targets = {True: sizes_U.sum(), False: sizes_U.clip(upper=SAME["max_length"]).sum()}
    for library in asked.libraries:
        kept = asked.out / f"{library}.json"
        if not kept.exists():
            python, runner = asked.peers / library / "bin" / "python", SHARED / "bench" / "peers" / f"{library}.py"
            sizes = ["--model", "sasrec-same", "--split", "loo", "--curve", "1", "--budget", str(asked.budget)]
            _run([python, runner, "--events", events, *sizes, "--out", kept], asked.out / f"{library}.log", asked.threads)
        found = json.loads(kept.read_text(encoding="utf-8"))
        label = f"{found['peer']} {found['version']}"
        curves[label] = [(point["epoch"], point["cpu"], point["ndcg"]) for point in found["curve"]]
        memory[label] = found["peak_rss_mb"]
    curves["bowerbird"], memory["bowerbird"] = _our_curve(events, asked)
    print(f"{'':<20}{'targets a CPU-s':>16}{'peak MB':>9}  epochs: CPU-seconds, NDCG@10")
    for label, curve in curves.items():
        reads_all = label.startswith(("recbole", "bowerbird"))  # the others: of each user the last events alone
        rate = curve[-1][0] * targets[reads_all] / curve[-1][1]
        points = "; ".join(f"{epoch}: {seconds:.1f}, {ndcg:.4f}" for epoch, seconds, ndcg in curve)
        print(f"{label:<20}{rate:>16,.0f}{memory[label]:>9,.0f}  {points}")
    print(f"\n{'NDCG@10 of':<12}" + "".join(f"{label:>20}" for label in curves) + "   CPU-seconds until it is reached")
    for level in np.arange(0.02, 0.08, 0.005):
        reached = [next((seconds for _, seconds, ndcg in curve if ndcg >= level), None) for curve in curves.values()]
        print(f"{level:<12.3f}" + "".join(f"{'-' if one is None else f'{one:.1f}':>20}" for one in reached))


def _events_of(asked: argparse.Namespace) -> Path:
    """Write the log as the libraries' runners read it: codes of users and items, oldest first."""
    events: Path = asked.out / f"{asked.log}.parquet"
    if asked.log == "movielens":
        ratings = SHARED / "data" / "ml-latest-small" / "ratings.csv"
        _run([sys.executable, SHARED / "bench" / "split.py", ratings, "--out", events], asked.out / "split.log", asked.threads)
    else:
        beauty = pd.read_parquet(SHARED / "data" / "amazon-beauty" / "events.parquet").sort_values(["position", USER_ID])
        codes = {"user": pd.factorize(beauty[USER_ID], sort=True)[0], "item": pd.factorize(beauty[ITEM_ID], sort=True)[0]}
        pd.DataFrame(codes | {TIMESTAMP: beauty["position"].to_numpy()}).to_parquet(events, index=False)
    return events


def _our_curve(events: Path, asked: argparse.Namespace) -> tuple[list[tuple[int, float, float]], float]:
    fit, targets = _loo(pd.read_parquet(events), TIMESTAMP, "user", "item")
    frames = {"fit": fit, "targets": targets}
    curve: list[tuple[int, float, float]] = []
    peak = 0.0
    for epochs in EPOCHS:
        if curve and sum(seconds for _, seconds, _ in curve) > asked.budget:
            break
        found = _ours("sasrec", f"time-{epochs}", frames, asked, config=SAME | {"num_epochs": epochs})
        curve.append((epochs, found["fit"], found["metrics"]["ndcg@10"]))
        peak = max(peak, found["peak_mb"])
    return curve, peak


def _loo(events: pd.DataFrame, time: str, user: str, item: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out the last event of every user with at least three, as ``split.py`` does; its rows are in order."""
    named = events.rename(columns={user: USER_ID, item: ITEM_ID, time: TIMESTAMP})[[USER_ID, ITEM_ID, TIMESTAMP]]
    named[TIMESTAMP] = pd.to_datetime(named[TIMESTAMP], unit="s")
    from_end = named.groupby(USER_ID).cumcount(ascending=False)
    held_out = (from_end == 0) & (named.groupby(USER_ID)[ITEM_ID].transform("size") >= 3)
    return named[~held_out], _as_targets(named[held_out])


def beauty(asked: argparse.Namespace) -> None:
    """Print a row for each model and order: means over the seeds."""
    figures = f"{'seeds':>6}{'NDCG@10':>9}{'recall@10':>11}{'fit, s':>8}{'lists, s':>10}{'MB':>7}"
    print(f"{'order':<10}{'model':<22}{figures}  NDCG; epochs")
    for order in asked.orders:
        frames = _beauty_frames(order)
        for label in asked.models:
            name = label.removeprefix("described_")
            if name not in known_models():
                print(f"{order:<10}{label:<22} is not there")
                continue
            config: dict[str, Any] = {} if asked.epochs is None else {"num_epochs": asked.epochs}
            config = {"generators": [{"name": "sasrec"} | config, {"name": "cooccurrence"}]} if name == "blend" else config
            described = {} if label == name else {"items": _beauty_items()}
            seeds = asked.seeds if label != "cooccurrence" else asked.seeds[:1]
            runs = [_ours(name, f"{order}-{label}", frames | described, asked, seed=seed, config=config) for seed in seeds]
            _print_row(order, label, runs)


def _print_row(order: str, label: str, runs: list[dict[str, Any]]) -> None:  # Any: JSON
    def mean(number: str) -> float:
        return float(statistics.mean(run["metrics"].get(number, run.get(number)) for run in runs))

    accuracy = f"{mean('ndcg@10'):>9.4f}{mean('recall@10'):>11.4f}{mean('fit'):>8.0f}{mean('lists'):>10.1f}"
    each = ", ".join(f"{run['metrics']['ndcg@10']:.4f}" for run in runs)
    epochs = ", ".join(f"{run['epochs']} of {run['tried']}" for run in runs if run["epochs"])
    row = f"{order:<10}{label:<22}{len(runs):>6}{accuracy}{max(run['peak_mb'] for run in runs):>7,.0f}"
    print(f"{row}  {each}; {epochs}", flush=True)


def _beauty_frames(order: str) -> Frames:
    events = pd.read_parquet(SHARED / "data" / "amazon-beauty" / "events.parquet")
    if order == "time":
        named = pd.DataFrame({USER_ID: events[USER_ID], ITEM_ID: events[ITEM_ID], TIMESTAMP: events[TIMESTAMP]})
        named[TIMESTAMP] = pd.to_datetime(named[TIMESTAMP], unit="s")
        start = named[TIMESTAMP].quantile(0.9, interpolation="higher")
        past, future = named[named[TIMESTAMP] < start], named[named[TIMESTAMP] >= start]
        future = future.drop_duplicates([USER_ID, ITEM_ID])
        return {"fit": past, "targets": _as_targets(future[future[USER_ID].isin(past[USER_ID].unique())])}
    if order == "shuffled":
        events["position"] = np.random.default_rng(1).permutation(len(events))
        events = events.sort_values([USER_ID, TIMESTAMP, "position"], ignore_index=True)
        events["position"] = events.groupby(USER_ID).cumcount()
    events = events.sort_values([USER_ID, "position"], ignore_index=True)
    events = pd.DataFrame({USER_ID: events[USER_ID], ITEM_ID: events[ITEM_ID], TIMESTAMP: events["position"]})
    back = events.groupby(USER_ID).cumcount(ascending=False)
    fit = events[back >= (1 if order == "refit" else 2)]
    return {"fit": fit, "history": events[back >= 1], "targets": _as_targets(events[back == 0])}


def _as_targets(events: pd.DataFrame) -> pd.DataFrame:
    return events[[USER_ID, ITEM_ID]].set_axis(["user", "item"], axis=1)


def _beauty_items() -> pd.DataFrame:
    items = pd.read_parquet(SHARED / "data" / "amazon-beauty" / "items.parquet")
    paths = items.pop("categories_json").map(json.loads)
    items["categories"] = [sorted({name for path in of_item for name in path}) for of_item in paths]
    return items


def _ours(
    model: str, label: str, frames: Frames, asked: argparse.Namespace, *, config: dict[str, Any], seed: int = 1
) -> dict[str, Any]:  # Any: settings and JSON
    """Return what ``peers/sequence.py`` measures, in a process of its own, or what is kept of it."""
    kept = asked.out / f"{label}-{seed}.json"
    if not kept.exists():
        job: dict[str, Any] = {"model": model, "config": config, "seed": seed, "threads": asked.threads}
        job["bench"] = str(SHARED / "bench")
        for name in ("fit", "history", "targets", "items"):
            job[name] = str(asked.out / f"job-{name}.parquet") if name in frames else None
            if name in frames:
                frames[name].to_parquet(job[name])
        (asked.out / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.peers.sequence", asked.out / "job.json", kept]
        _run(command, kept.with_suffix(".log"), asked.threads)
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _run(command: list[str | Path], log: Path, threads: int) -> None:
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads), "BENCH_THREADS": str(threads)}
    with log.open("w", encoding="utf-8") as file:
        subprocess.run(command, check=True, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT)


if __name__ == "__main__":
    main()
