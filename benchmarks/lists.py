"""Lists of a factor model for many users: speed beside the bare product of the vectors, and peak memory.

    python benchmarks/lists.py [--users 1000000] [--items 200000] [--width 64] [--k 20] [--measured 20000] [--events 5]

Vectors are random, their lengths log-normal (``--spread``, 0: all about equal), which decides how many items can be left out;
users have ``--events`` past items each, left out of their lists. The first ``--measured`` users are listed, through
``recommend``, 10,000 at a time, each part written to a Parquet file; all users' time is told from that. The product is that in
single precision of the same users' vectors with all items, in blocks of 256 users, nothing chosen.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from bowerbird.data.interactions import Interactions
from bowerbird.models.base import Histories, Model, ModelConfig
from bowerbird.models.factors import FactorModel

AT_ONCE = 10_000
BLOCK = 256


class Given(FactorModel):
    """Vectors as they are given."""

    name = "given"

    def __init__(self, users_UD: NDArray[np.float32], items_ND: NDArray[np.float32]) -> None:
        super().__init__(ModelConfig())
        self._given = users_UD, items_ND

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        self._keep(*self._given)

    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        raise NotImplementedError("all users have vectors")


def seconds(work: Callable[[], Any]) -> float:  # Any: not looked at
    """Return the CPU-seconds that some work takes."""
    started = process_time()
    work()
    return process_time() - started


def product(users_UD: NDArray[np.float32], items_ND: NDArray[np.float32]) -> None:
    """Multiply in blocks that one buffer holds."""
    scores_BN = np.empty((BLOCK, len(items_ND)), np.float32)
    for start in range(0, len(users_UD), BLOCK):
        block_BD = users_UD[start : start + BLOCK]
        np.matmul(block_BD, items_ND.T, out=scores_BN[: len(block_BD)])


def write_lists(model: Model, users: int, k: int, path: Path) -> int:
    """List users and write the lists part by part; return the number of rows."""
    writer, rows = None, 0
    for start in range(0, users, AT_ONCE):
        table = pa.Table.from_pandas(model.recommend(range(start, min(start + AT_ONCE, users)), k=k), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        rows += len(table)
    assert writer is not None, "there are users"
    writer.close()
    return rows


def log(num_users: int, num_items: int, num_events: int, rng: np.random.Generator) -> Interactions:
    """Make events, ``num_events`` a user, and one for each item."""
    users = np.repeat(np.arange(num_users, dtype=np.int32), num_events)
    items = rng.integers(0, num_items, len(users), dtype=np.int32)
    items[:num_items] = rng.permutation(num_items)[: len(items)]
    return Interactions(
        np.arange(num_users),
        np.arange(num_items),
        users,
        items,
        np.arange(len(users)),
        np.ones(len(users)),
        ("event",),
        np.zeros(len(users), np.int16),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what one size takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("users", 1_000_000),
        ("items", 200_000),
        ("width", 64),
        ("k", 20),
        ("measured", 20_000),
        ("events", 5),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--spread", type=float, default=0.0, help="standard deviation of the logarithm of an item's length")
    asked = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    users_UD = rng.standard_normal((asked.users, asked.width), np.float32)
    items_ND = rng.standard_normal((asked.items, asked.width), np.float32)
    items_ND *= np.exp(rng.normal(0, asked.spread, (asked.items, 1))).astype(np.float32)
    model = Given(users_UD, items_ND).fit(log(asked.users, asked.items, asked.events, rng))
    measured = min(asked.measured, asked.users)
    share = asked.users / measured
    print(f"cpu {cpu()}; commit {commit()}; {asked}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.parquet"
        taken = seconds(lambda: write_lists(model, measured, asked.k, path))
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    bare = seconds(lambda: product(users_UD[:measured], items_ND))
    print(
        f"lists of {measured:,} users: {taken:.2f} CPU-seconds, {measured / taken:,.0f} users a second; peak memory {peak:.2f} GB"
    )
    print(f"the product alone: {bare:.2f} CPU-seconds, so lists run at {bare / taken:.2f} of its speed")
    print(f"all {asked.users:,} users: {taken * share / 60:.1f} CPU-minutes, {size * share / 2**30:.2f} GB of lists on disk")


if __name__ == "__main__":
    main()
