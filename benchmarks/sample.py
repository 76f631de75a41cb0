"""How fast the simulated shop writes 10 million events, and in how much memory.

Run it with ``python benchmarks/sample.py``; it writes to a temporary folder and prints what a dated result holds.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import commit, cpu
from bowerbird.sources.shop import EVENTS_A_USER_DAY, Shop, ShopConfig


def main() -> None:
    """Write the shop once and print events, seconds, events a second and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="about so many events")
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    users = round(asked.events / asked.days / EVENTS_A_USER_DAY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        shop = Shop(ShopConfig(users=users, items=asked.items, days=asked.days, seed=asked.seed))
        files = shop.write(Path(folder))
        seconds = time.perf_counter() - start
        megabytes = files.events.stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"users {users:,}, items {asked.items:,}, days {asked.days}, seed {asked.seed}")
    print(f"rows {files.num_rows:,} ({files.num_clean:,} clean), {files.events.suffix[1:]}, {megabytes:,.0f} MB")
    print(f"seconds {seconds:.1f}, events a second {files.num_rows / seconds:,.0f}")
    print(f"peak memory {peak / 1024:,.0f} MiB, {before / 1024:,.0f} MiB of them after the imports")
    print(f"cpu {cpu()}, {os.cpu_count()} cores; Python {platform.python_version()}")
    print("packages " + ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas", "pyarrow")))
    print(f"commit {commit()}")


if __name__ == "__main__":
    main()
