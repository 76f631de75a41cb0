"""How long a checksum, a publish and a rollback take.

    python -m benchmarks.publish [--users 100000] [--k 10] [--rows 10000000]

The sets have ``users`` times ``k`` rows; the checksum is taken of a file of ``rows`` too. The command line is timed as a process
of its own, start-up included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from bowerbird.store import published
from bowerbird.store.home import Home
from bowerbird.warehouse.connection import connect


def write_lists(path: Path, *, users: int, k: int, seed: int) -> Path:
    """Write a set of lists, sorted by user, then rank."""
    with connect() as con:
        con.execute(
            """
            copy (
                select
                    printf('u%09d', i // $k) as user_id, 'item ' || hash(i + $seed) % 50000 as item_id,
                    1.0 / (1 + i % $k) as score, (1 + i % $k)::integer as rank, 'model' as source
                from range($users * $k) as t (i)
                order by i
            ) to $path (format parquet)
            """,
            {"users": users, "k": k, "seed": seed, "path": str(path)},
        )
    return path


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = perf_counter()
    call()
    return perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rows", type=int, default=10_000_000)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = Home.open(Path(folder) / "home")
        home.create_tables(retention_days=30)
        for seed in range(3):
            lists = write_lists(Path(folder) / f"{seed}.parquet", users=given.users, k=given.k, seed=seed)
            handle = home.recommendations.open()
            took = seconds(partial(published.publish, home, lists, run_id=str(seed), handle=handle))
            print(f"publish of {given.users * given.k:,} rows, checksum included: {took:.2f} s")
        print(f"rollback within a process: {seconds(lambda: published.rollback(home, retention_days=30)):.3f} s")
        command = [sys.executable, "-m", "bowerbird.cli", "rollback", "--home", str(home.path)]
        took = seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
        print(f"'bowerbird rollback', start-up included: {took:.2f} s")
        large = write_lists(Path(folder) / "large.parquet", users=given.rows // given.k, k=given.k, seed=0)
        print(f"checksum of {given.rows:,} rows: {seconds(lambda: published.checksum(large)):.2f} s")


if __name__ == "__main__":
    main()
