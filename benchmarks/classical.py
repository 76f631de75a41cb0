"""Classical models beside the libraries' own: same log, split, settings and metric, one thread, each in its own process.

    python benchmarks/classical.py --data ../shared/data --peers FOLDER [--logs "Amazon Beauty" ...] [--models ease ...]

FOLDER holds an environment for each library: ``bash benchmarks/peers/setup.sh FOLDER`` makes them. Settings stand in
``benchmarks/peers/job.py``. Each user's last event is held out; all others are fitted on, lists of 10 are made for all users
with a held-out event, what they had left out, over all items. Runs take turns, and a run of more than a minute is not
repeated; printed are medians. ``fit`` and ``lists`` are CPU-seconds (wall seconds in brackets); in the lines of ours, the
ratio to the fastest library: fit below 1 and users a CPU-second above 1 are better. NDCG@10 counts what a model itself lists.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.logs import LOGS, split
from benchmarks.machine import commit, cpu
from benchmarks.peers.job import SETTINGS

OURS = "bowerbird"
LONG = 60.0  # CPU-seconds after which a run is not repeated
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {"OMP_WAIT_POLICY": "passive"}


@dataclass(frozen=True)
class Runs:
    """What the runs of one library measured: by phase CPU and wall seconds [runs, 2]."""

    times: dict[str, np.ndarray[Any, np.dtype[np.float64]]]
    peak_mb: float
    ndcg: float

    def cpu(self, phase: str) -> float:
        return float(np.median(self.times[phase][:, 0]))

    def shown(self, phase: str) -> str:
        return f"{self.cpu(phase):.2f} ({np.median(self.times[phase][:, 1]):.2f})"


def measure(
    model: str, libraries: list[str], folder: Path, peers: Path, targets: pd.Series[Any], repeats: int
) -> dict[str, Runs]:
    """Run each library in turn, ``repeats`` times."""
    found: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}  # Any: JSON
    for turn in range(repeats):
        for library in libraries:
            if turn and sum(cpu for cpu, _ in found[library][0]["times"].values()) > LONG:
                continue
            python = Path(sys.executable) if library == OURS else peers / library / "bin" / "python"
            files = [folder / "events.parquet", folder / "users.npy", folder / library]
            command: list[str | Path] = [
                python,
                "-W",
                "ignore",
                Path(__file__).with_name("peers") / "job.py",
                library,
                model,
                *files,
            ]
            done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{library} {model} failed:\n{done.stderr}")
            found[library].append(json.loads((folder / f"{library}.json").read_text(encoding="utf-8")))
    return {library: _runs(results, np.load(folder / f"{library}.npy"), targets) for library, results in found.items()}


def _runs(results: list[dict[str, Any]], top: Any, targets: pd.Series[Any]) -> Runs:  # Any: JSON, item codes [U, K]
    times = {phase: np.asarray([result["times"][phase] for result in results]) for phase in ("prepare", "fit", "lists")}
    is_hit = (top == targets.to_numpy()[:, None]) & (top >= 0)
    gains = (is_hit / np.log2(np.arange(2, top.shape[1] + 2))).sum(axis=1)
    return Runs(times, statistics.median(result["peak_mb"] for result in results), float(gains.mean()))


def rows(log: str, model: str, runs: dict[str, Runs], num_users: int) -> list[str]:
    """Write a line of the table for each library."""
    others = [name for name in runs if name != OURS]
    lines = []
    for name, run in runs.items():
        ratios = ["", ""]
        if name == OURS and others:
            ratios = [
                f"{run.cpu('fit') / min(runs[other].cpu('fit') for other in others):.2f}",
                f"{min(runs[other].cpu('lists') for other in others) / run.cpu('lists'):.2f}",
            ]
        cells = [log, model, name, run.shown("fit"), ratios[0], run.shown("lists"), f"{num_users / run.cpu('lists'):,.0f}"]
        lines.append(f"| {' | '.join([*cells, ratios[1], f'{run.peak_mb:,.0f}', f'{run.ndcg:.4f}'])} |")
    return lines


def import_seconds(repeats: int = 9) -> list[float]:
    """Time ``import bowerbird`` in fresh processes, start of Python included, and a bare start: medians of CPU-seconds."""
    medians = []
    for statement in ("import bowerbird", "pass"):
        times = []
        for _ in range(repeats):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", statement], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        medians.append(statistics.median(times))
    return medians


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--peers", type=Path, required=True, help="folder with an environment for each library")
    parser.add_argument("--logs", nargs="*", default=list(LOGS), choices=list(LOGS))
    parser.add_argument("--models", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--libraries", nargs="*", default=["implicit", "irspack"])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args(arguments)
    with_import, bare = import_seconds()
    print(f"cpu {cpu()}; commit {commit()}; one thread; medians of {asked.repeats} runs  ")
    print(f"import bowerbird: {with_import:.3f} CPU-seconds, of which a bare start of Python {bare:.3f}\n")
    print("| log | model | library | fit s | ratio | lists s | users/s | ratio | peak MB | NDCG@10 |")
    print(f"|{' --- |' * 10}")
    for log in asked.logs:
        events, targets = split(LOGS[log](asked.data))
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            events.to_parquet(folder / "events.parquet", index=False)
            np.save(folder / "users.npy", targets.index.to_numpy())
            for model in asked.models:
                libraries = [OURS, *(name for name in asked.libraries if name in SETTINGS[model])]
                runs = measure(model, libraries, folder, asked.peers, targets, asked.repeats)
                print("\n".join(rows(log, model, runs, len(targets))), flush=True)


if __name__ == "__main__":
    main()
