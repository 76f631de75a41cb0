"""What Prefect and Great Expectations add to a run: the flow through the command line beside the bare library run.

    python -m benchmarks.orchestration [--recipe sample] [--source FOLDER] [--repeats 3]

Both start from an empty home in a process of their own and do the same steps; the bare run has no server, no tasks and no
Great Expectations suites. Medians of wall seconds, and of CPU seconds with those of the run's server, since a busy machine
stretches the first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import perf_counter

from benchmarks.machine import clean_environment

BARE = """
import sys
from pathlib import Path
from bowerbird.application import recipe_path
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import load_recipe
from bowerbird.store.home import Home
source = Path(sys.argv[2]) if sys.argv[2] else None
run_all(Home.open(Path(sys.argv[3])), load_recipe(recipe_path(sys.argv[1])), source)
"""


def measure(command: Sequence[str]) -> tuple[float, float, str]:
    """Return how long a process takes by the wall and by the CPU, those that it starts included, and what it printed."""
    environment = clean_environment()
    environment["OMP_WAIT_POLICY"] = "passive"
    began, before = perf_counter(), getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wall, after = perf_counter() - began, getrusage(RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the medians and what orchestration adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="sample")
    parser.add_argument("--source", default="")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    bare, flow, bare_cpu, flow_cpu, suites = [], [], [], [], []
    for _ in range(given.repeats):
        with tempfile.TemporaryDirectory() as folder:
            seconds, cpu, _ = measure([sys.executable, "-c", BARE, given.recipe, given.source, f"{folder}/bare"])
            bare.append(seconds)
            bare_cpu.append(cpu)
            command = [
                sys.executable,
                "-m",
                "bowerbird.cli",
                "run",
                "--recipe",
                given.recipe,
                "--home",
                f"{folder}/flow",
                "--json",
            ]
            seconds, cpu, printed = measure([*command, *(["--source", given.source] if given.source else [])])
            flow.append(seconds)
            flow_cpu.append(cpu)
            suites.append(json.loads(printed)["seconds"]["contracts"])
    added = median(flow) - median(bare)
    print(f"bare {median(bare):.1f} s, flow {median(flow):.1f} s: {added:+.1f} s ({added / median(bare):+.0%})")
    print(f"CPU: bare {median(bare_cpu):.1f} s, flow {median(flow_cpu):.1f} s: {median(flow_cpu) - median(bare_cpu):+.1f} s")
    print(f"of which Great Expectations' suites {median(suites):.1f} s; without them {added - median(suites):+.1f} s")


if __name__ == "__main__":
    main()
