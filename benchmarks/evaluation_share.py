"""What part of a nightly run is evaluation, on a made-up log: lists for the windows, metrics, intervals, checks and the gate.

    OMP_NUM_THREADS=1 python benchmarks/evaluation_share.py [--events 1000000] [--models popularity item_knn cooccurrence sasrec]
        [--runs 2]

A whole run without Prefect (``pipeline.whole``) from an empty home, and a second one after new events, which has a champion. CPU
seconds (user and system). The log is that of ``benchmarks.logs``, over 120 days, with a catalogue of categories, prices and ages.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.logs import made_up
from benchmarks.machine import commit, cpu
from bowerbird.pipeline import judge, prove
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe, read_recipe
from bowerbird.store.home import Home

DAYS, USERS_A_MILLION, ITEMS_A_MILLION = 120, 6_040, 3_416
EVALUATION = {
    prove: ("score", "recommend", "read_catalogue", "list_figures"),
    judge: ("choose_nominee", "evaluate", "decide", "confirm"),
}
WHOLES = ("score", "choose_nominee", "evaluate", "decide", "confirm")
"""The others are parts of these."""


def write_source(folder: Path, num_events: int, *, share: float) -> None:
    """Write the first ``share`` of the log, and the catalogue."""
    scale = num_events / 1_000_000
    log = made_up(num_events, int(USERS_A_MILLION * scale), int(ITEMS_A_MILLION * scale**0.5))
    log = log[: int(len(log) * share)]
    seconds = np.arange(len(log)) * DAYS * 86_400 / num_events
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(seconds.astype(np.int64), unit="s")
    events = pd.DataFrame({"user": "u" + log["user"].astype(str), "item": "i" + log["item"].astype(str), "time": time})
    events.to_parquet(folder / "events.parquet", index=False)
    rng = np.random.default_rng(1)
    items = pd.DataFrame({"item": "i" + pd.Series(np.arange(int(log["item"].max()) + 1)).astype(str)})
    items["price"] = np.exp(rng.normal(3, 1, len(items)))
    items["created"] = pd.Timestamp("2026-01-01", tz="UTC") - pd.to_timedelta(rng.integers(0, 1000, len(items)), unit="D")
    items["genres"] = [list(map(str, rng.choice(20, 2, replace=False))) for _ in range(len(items))]
    items.to_parquet(folder / "items.parquet", index=False)


def recipe(models: Sequence[str]) -> Recipe:
    """Return a recipe with lists of ten for a week, without repeats."""
    events = {"user_id": "user", "item_id": "item", "timestamp": "time"}
    items = {"item_id": "item", "price": "price", "created_at": "created", "categories": "genres"}
    few = {"sasrec": {"max_epochs": 3}}  # as in the recipe of the sample
    return read_recipe(
        {
            "name": "share",
            "source": {
                "events": {"path": "events.parquet", "event": "watch", "weights": {"watch": 1.0}, "columns": events},
                "items": {"path": "items.parquet", "columns": items},
            },
            "target": {"events": ["watch"], "exclude_events": ["watch"]},
            "models": [{"name": name, **few.get(name, {})} for name in models],
        },
        where="benchmark",
    )


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Count the CPU seconds of each part of the evaluation while a run goes on."""
    seconds: dict[str, float] = defaultdict(float)
    originals = {(module, name): getattr(module, name) for module, names in EVALUATION.items() for name in names}

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:  # Any: whatever the step takes
        def wrapper(*arguments: Any, **named: Any) -> Any:
            began = process_time()
            try:
                return work(*arguments, **named)
            finally:
                seconds[name] += process_time() - began

        return wrapper

    for (module, name), work in originals.items():
        setattr(module, name, counted(name, work))
    try:
        yield seconds
    finally:
        for (module, name), work in originals.items():
            setattr(module, name, work)


def tell(title: str, outcome: dict[str, Any], seconds: dict[str, float], total: float, wall: float) -> list[str]:  # Any: JSON
    """Return a run as Markdown."""
    share = sum(seconds[name] for name in WHOLES) / total
    parts = ", ".join(f"{name} {seconds[name]:.1f}" for names in EVALUATION.values() for name in names)
    steps = ", ".join(f"{step} {spent:.1f}" for step, spent in outcome["seconds"].items())
    return [
        f"## {title}: {outcome['outcome']}",
        "",
        outcome["sentence"],
        "",
        f"Evaluation is **{share:.1%}** of {total:.0f} CPU-seconds (wall {wall:.0f}), {outcome['num_users']:,} users scored.",
        "",
        f"CPU-seconds of its parts (score holds the next three): {parts}.",
        "",
        f"Wall seconds by step: {steps}.",
        "",
    ]


def main() -> None:
    """Print a page for the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--models", nargs="*", default=["popularity", "item_knn", "cooccurrence", "sasrec"])
    parser.add_argument("--runs", type=int, default=2, choices=(1, 2))
    given = parser.parse_args()
    print(f"{cpu()}, commit {commit()}, {given.events:,} events, models {', '.join(given.models)}\n")
    with tempfile.TemporaryDirectory() as folder:
        home = Home.open(Path(folder) / "home")
        for title, share in (("First run", 0.99), ("Second run", 1.0))[: given.runs]:
            source = Path(folder) / title
            source.mkdir()
            write_source(source, given.events, share=share)
            with watched() as seconds:
                wall, began = perf_counter(), process_time()
                outcome = run_all(home, recipe(given.models), source)
                total = process_time() - began
            print("\n".join(tell(title, outcome, seconds, total, perf_counter() - wall)), flush=True)


if __name__ == "__main__":
    main()
