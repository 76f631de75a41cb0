"""What contracts cost on 10 million rows, against hand-written DuckDB SQL for the same in the same run.

Run it with ``python benchmarks/contracts.py``. The same Parquet file, in which 2.6 % of the rows are bad and 1 % repeat
others, is taken twice, each time in a process of its own: by three plain statements (row rules, uniqueness,
quarantine), and by Bowerbird's ingest with the contract in Great Expectations after it. The plain statements run before
and after, and their mean counts, since a shared machine is not equally fast all the time. It prints what a dated result
holds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.machine import commit
from bowerbird.recipe import Recipe
from bowerbird.sources.ingest import ingest
from bowerbird.store.home import Home
from bowerbird.store.tables import relation
from bowerbird.warehouse.connection import connect

NOW = datetime(2024, 6, 1, tzinfo=UTC)
ALLOWED_RATIO = 3.0
ALLOWED_GIGABYTES = 1.5
RECIPE = Recipe.model_validate(
    {
        "name": "benchmark",
        "source": {
            "events": {
                "path": "events.parquet",
                "columns": {
                    "event_id": "id",
                    "user_id": "customer",
                    "item_id": "product",
                    "event": "kind",
                    "timestamp": "time",
                    "session_id": "session",
                    "quantity": "quantity",
                    "price": "price",
                },
                "weights": {"view": 1.0, "cart": 2.0, "purchase": 4.0},
            }
        },
        "contracts": {
            "rules": [
                {"name": "zero_price", "column": "price", "above": 0.0},
                {"name": "not_a_product", "column": "item_id", "matches": "p[0-9]+"},
            ]
        },
    }
)
SAMPLE = """
copy (
    select
        'e' || case when range % 100 = 7 then range - 1 else range end as id,
        case when range % 100 <> 11 then 'u' || hash(range) % 500000 end as customer,
        case when range % 200 = 13 then 'POST' else 'p' || hash(range + 1) % 100000 end as product,
        case when range % 1000 = 17 then 'odd' else ['view', 'cart', 'purchase'][(1 + hash(range + 2) % 3)::bigint] end as kind,
        timestamptz '2024-01-01' + to_seconds(range % 10000000) as time,
        's' || range // 5 as session,
        (1 + range % 3)::double as quantity,
        case when range % 100 = 23 then 0 else 1 + (range % 1000) / 100 end as price
    from range($events)
) to $target (format parquet, compression snappy)
"""
RULES = {
    "missing_user": "customer is null or trim(customer) = ''",
    "missing_item": "product is null or trim(product) = ''",
    "id_too_long": "length(customer) > 512 or length(product) > 512",
    "missing_timestamp": "time is null",
    "timestamp_out_of_range": "time < timestamptz '1970-01-01'",
    "timestamp_in_future": "time > timestamptz '2024-06-02'",
    "unknown_event": "kind is null or kind not in ('view', 'cart', 'purchase')",
    "not_finite": "not isfinite(quantity) or not isfinite(price)",
    "zero_price": "price <= 0",
    "not_a_product": "not regexp_full_match(product, 'p[0-9]+')",
}


def main() -> None:
    """Print both ways side by side; end with 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--memory-limit", default="600MB", help="what DuckDB may hold; it spills beyond")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    asked = parser.parse_args()
    if asked.step:
        parts = STEPS[asked.step](asked.folder, asked.events, asked.memory_limit)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(json.dumps({"seconds": parts, "peak": peak, "cpu": time.process_time()}))
        return
    print(f"{asked.events:,} rows; memory limit of DuckDB {asked.memory_limit}; {os.cpu_count()} cores, {platform.machine()}")
    print(", ".join(f"{name} {version(name)}" for name in ("duckdb", "great-expectations", "deltalake", "pyarrow")))
    print(f"Python {platform.python_version()}; commit {commit()}", flush=True)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        found = {name: run(name.split()[0], asked, Path(folder)) for name in ("sample", "sql", "ours", "sql again")}
    for name in ("sql", "ours", "sql again"):
        shown = ", ".join(f"{part} {seconds:.1f}" for part, seconds in found[name]["seconds"].items())
        print(f"{name}: {shown}; {found[name]['cpu']:.1f} CPU seconds in all; peak memory {found[name]['peak']:.2f} GB")
    compared = {name: sum(took for part, took in found[name]["seconds"].items() if part not in BESIDE) for name in found}
    plain = (compared["sql"] + compared["sql again"]) / 2
    ratio, peak = compared["ours"] / plain, found["ours"]["peak"]
    print(f"validation, uniqueness and quarantine: {compared['ours']:.1f} s against {plain:.1f} s, {ratio:.2f} times")
    is_met = ratio <= ALLOWED_RATIO and peak <= ALLOWED_GIGABYTES
    print(f"target: at most {ALLOWED_RATIO} times and {ALLOWED_GIGABYTES} GB: {'met' if is_met else 'missed'}")
    sys.exit(0 if is_met else 1)


BESIDE = ("import of Great Expectations", "write")
"""Shown, but no part of what is compared: plain SQL does neither."""


def run(step: str, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:  # Any: JSON
    """Run a step in a process of its own, whose peak memory is its own."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--events", str(asked.events)]
    command += ["--memory-limit", asked.memory_limit]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])  # Any: JSON
    return result


def sample(folder: Path, events: int, memory_limit: str) -> dict[str, float]:
    """Write the file that both ways read."""
    with connect(memory_limit=memory_limit, temp=folder / "spill") as con:
        con.execute(SAMPLE, {"events": events, "target": str(folder / "events.parquet")})
    return {}


def sql(folder: Path, _events: int, memory_limit: str) -> dict[str, float]:
    """Do it by hand: count what breaks each rule, look for repeated ids, write what is broken with its reasons."""
    path = {"path": str(folder / "events.parquet")}
    counts = ", ".join(f"count(*) filter ({predicate})" for predicate in RULES.values())
    reasons = ", ".join(f"case when {predicate} then '{name}' end" for name, predicate in RULES.items())
    anything = " or ".join(f"({predicate})" for predicate in RULES.values())
    statements = {
        "row rules": f"select {counts} from read_parquet($path)",  # noqa: S608 - our own text
        "uniqueness": "select count(*), count(distinct id) from read_parquet($path)",
        "quarantine": (
            f"copy (select *, list_filter([{reasons}], lambda x: x is not null) as reasons"  # noqa: S608 - our own text
            f" from read_parquet($path) where {anything}) to $target (format parquet)"
        ),
    }
    seconds = {}
    with connect(memory_limit=memory_limit, temp=folder / "spill") as con:
        for name, statement in statements.items():
            start = time.perf_counter()
            bound = {**path, "target": str(folder / "rejected.parquet")} if "$target" in statement else path
            con.execute(statement, bound).fetchall()
            seconds[name] = time.perf_counter() - start
    return seconds


def ours(folder: Path, events: int, memory_limit: str) -> dict[str, float]:
    """Ingest, then hold what was counted and a sample of the accepted rows against the contract."""
    home = Home.open(folder / "home")
    home.create_tables(retention_days=30)
    with connect(memory_limit=memory_limit, temp=folder / "spill") as con:
        report = ingest(home, RECIPE, folder / "events.parquet", "run", now=NOW, con=con)
        assert report.tables["events"].read == events
        start = time.perf_counter()
        from data_contracts.events import validate_events
        from data_contracts.great import gx

        imported = time.perf_counter()
        relation(con, home.events, "events")
        result = validate_events(con, RECIPE, report.tables["events"], now=NOW)
        assert result.success and gx is not None, result.sentence()
        contract = time.perf_counter() - imported
    return {**report.seconds, "contract": contract, "import of Great Expectations": imported - start}


STEPS: dict[str, Callable[[Path, int, str], dict[str, float]]] = {"sample": sample, "sql": sql, "ours": ours}


if __name__ == "__main__":
    main()
