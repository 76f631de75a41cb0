"""How fast features are built on 10 and 50 million sampled events, and in how much memory.

Run it with ``python benchmarks/features.py``; each size is sampled and measured in processes of its own, in a temporary folder
(about 12 GB at 50 million events). It prints what a dated result holds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.machine import commit, cpu
from bowerbird.recipe import Recipe
from bowerbird.sources.shop import EVENTS_A_USER_DAY, Shop, ShopConfig
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.features import FEATURES, load_interactions, prepare, write_feature

DAYS = 60
ITEMS = 100_000
RECIPE = Recipe.model_validate(
    {
        "name": "benchmark",
        "source": {
            "events": {
                "path": "events.parquet",
                "columns": {"user_id": "customer", "item_id": "product", "event": "event", "timestamp": "time"},
                "weights": {"view": 1, "cart": 2, "purchase": 4},
                "cancels": {"cancellation": "purchase"},
            }
        },
        "target": {"events": ["purchase"]},
    }
)
# The shop writes no refunds: one in forty purchases is taken back here, a day later.
EVENTS = """
copy (
    with numbered as (
        select *, row_number() over () as source_row from read_parquet($source)
    ),
    cancelled as (
        select * replace ('cancellation' as event, time::timestamptz + interval 1 day as time, 0 - source_row as source_row)
        from numbered
        where event = 'purchase' and hash(source_row) % 40 = 0
    )
    select
        md5(source_row::varchar) as event_id, customer as user_id, product as item_id, event, time::timestamptz as timestamp,
        session as session_id, quantity::double as quantity, price, 'events.parquet' as source_file, source_row, 'run' as run_id
    from (select * replace (time::timestamptz as time) from numbered union all select * from cancelled)
) to $target (format parquet, compression zstd)
"""


def main() -> None:
    """Print one row a feature and size, and how the whole grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[10_000_000, 50_000_000], help="about so many events")
    parser.add_argument("--memory-limit", default="3300MB", help="what DuckDB may hold; it spills beyond")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    asked = parser.parse_args()
    if asked.step:
        for line in STEPS[asked.step](asked, asked.folder):
            print(json.dumps(line), flush=True)
        return
    print(f"memory limit of DuckDB {asked.memory_limit}, {asked.threads} threads; {ITEMS:,} items, {DAYS} days")
    print(f"cpu {cpu()}, {os.cpu_count()} cores; Python {platform.python_version()}")
    print("packages " + ", ".join(f"{name} {version(name)}" for name in ("duckdb", "pyarrow", "numpy", "pandas")))
    print(f"commit {commit()}", flush=True)
    for num_events in asked.events:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            for step in STEPS:
                run_step(step, num_events, asked, Path(folder))


def run_step(step: str, num_events: int, asked: argparse.Namespace, folder: Path) -> None:
    """Run one step in a process of its own and print its lines as rows of a table."""
    limits = ["--memory-limit", asked.memory_limit, "--threads", str(asked.threads)]
    command = [sys.executable, __file__, "--events", str(num_events), "--step", step, "--folder", str(folder), *limits]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            line = json.loads(text)
            speed = line["events"] / line["seconds"]
            print(
                f"| {line['name']} | {line['events']:,} | {line['rows']:,} | {line['seconds']:.1f} | {speed:,.0f} "
                f"| {line['peak'] / 1024:,.2f} |",
                flush=True,
            )
    if process.returncode:
        raise SystemExit(f"the step {step} failed at {num_events:,} events")


def sample(asked: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Write the shop's events as the event log holds them."""
    start = time.perf_counter()
    users = round(asked.events[0] / DAYS / EVENTS_A_USER_DAY)
    Shop(ShopConfig(users=users, items=ITEMS, days=DAYS, seed=1)).write(folder / "shop", dirty=False)
    with connect(memory_limit=asked.memory_limit, threads=asked.threads, temp=folder / "spill") as con:
        ((num_events,),) = con.execute(
            EVENTS, {"source": str(folder / "shop" / "events.parquet"), "target": str(log(folder))}
        ).fetchall()
    shutil.rmtree(folder / "shop")
    yield row("sample", num_events, num_events, start)


def build(asked: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Build each feature as of the newest event."""
    with connect(memory_limit=asked.memory_limit, threads=asked.threads, temp=folder / "spill") as con:
        num_events, cut_off = register(con, folder)
        begun = start = time.perf_counter()
        prepare(con, RECIPE, cut_off=cut_off)
        ((num_cancelled,),) = con.execute("select count(*) from cancelled_events").fetchall()
        yield row("cancelled_events", num_events, num_cancelled, start)
        for name in FEATURES:
            start = time.perf_counter()
            table = write_feature(con, name, cut_off=cut_off, folder=folder)
            yield row(name, num_events, table.num_rows, start)
        yield row("all features", num_events, num_events, begun)


def load(asked: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Load the interactions as models are given them."""
    with connect(memory_limit=asked.memory_limit, threads=asked.threads, temp=folder / "spill") as con:
        num_events, cut_off = register(con, folder)
        start = time.perf_counter()
        loaded = load_interactions(con, RECIPE, cut_off=cut_off)
        yield row("load_interactions", num_events, len(loaded.interactions), start)


STEPS = {"sample": sample, "build": build, "load": load}


def register(con: duckdb.DuckDBPyConnection, folder: Path) -> tuple[int, int]:
    """Create the view ``events``; returns how many there are, and the newest one's time in microseconds."""
    con.read_parquet(str(log(folder))).create_view("events")
    ((num_events, newest),) = con.execute("select count(*), epoch_us(max(timestamp)) from events").fetchall()
    return int(num_events), int(newest)


def log(folder: Path) -> Path:
    """Return where the event log lies."""
    return folder / "events.parquet"


def row(name: str, num_events: int, num_rows: int, start: float) -> dict[str, Any]:  # Any: JSON
    """Return one line of the result; the peak is the process's so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"name": name, "events": num_events, "rows": num_rows, "seconds": time.perf_counter() - start, "peak": peak}


if __name__ == "__main__":
    main()
