"""The nightly run on real data and on the sample, each from an empty home, through the command line, as Markdown.

    python -m benchmarks.nightly [--data ../shared/data] [--only sample movielens]

Every figure is what ``bowerbird run --json`` printed; wall seconds are the whole process, start-up included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.machine import clean_environment

SOURCES = {
    "sample": None,
    "movielens": "ml-latest-small",
    "online_retail": "online-retail",
    "complete_journey": "completejourney",
    "open_bandit": "obd-small",
    "ads": "obd-small",
}


def run(recipe: str, source: Path | None, home: Path) -> tuple[dict[str, Any], float]:  # Any: JSON
    """Run a recipe from an empty home; return its outcome and the wall seconds."""
    given = ["--source", str(source)] if source else []
    command = [
        sys.executable,
        "-m",
        "bowerbird.cli",
        "run",
        "--recipe",
        recipe,
        *given,
        "--home",
        str(home),
        "--seed",
        "1",
        "--json",
    ]
    environment = clean_environment()
    began = perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr[-2000:])
    outcome: dict[str, Any] = json.loads(done.stdout)  # Any: JSON
    return outcome, perf_counter() - began


def tell(recipe: str, outcome: dict[str, Any], wall: float) -> list[str]:  # Any: JSON
    """Return a run as Markdown."""
    rows = outcome["rows"]
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in rows["quarantined"].items()) or "none"
    lines = [
        f"## {recipe}: {outcome['outcome']}",
        "",
        outcome.get("sentence") or outcome.get("error", {}).get("message", ""),
        "",
        f"Rows: {rows['read']:,} read = {rows['accepted']:,} accepted + {sum(rows['quarantined'].values()):,} quarantined"
        f" + {rows['duplicates']:,} duplicates. Quarantined: {reasons}.",
        "",
    ]
    shown = {**outcome["rivals"], **outcome["metrics"]}
    if shown:
        lines += [f"| model | {outcome['metric']} | low | high | coverage |", "| --- | --- | --- | --- | --- |"]
        for label, one in sorted(shown.items(), key=lambda pair: -pair[1]["value"]):
            name = f"**{label}** (nominee)" if label == outcome["nominee"] else label
            lines.append(f"| {name} | {one['value']:.4f} | {one['low']:.4f} | {one['high']:.4f} | {one['coverage']:.3f} |")
        lines += ["", f"{outcome['num_users']:,} users, 95 % intervals over users.", ""]
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in outcome["seconds"].items())
    return [*lines, f"Seconds by step: {steps}. Wall, start-up included: {wall:.0f}.", ""]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a page for the results folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=list(SOURCES))
    given = parser.parse_args(arguments)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n")
    for recipe in given.only:
        folder = SOURCES[recipe]
        with tempfile.TemporaryDirectory() as home:
            print("\n".join(tell(recipe, *run(recipe, given.data / folder if folder else None, Path(home) / "home"))), flush=True)


if __name__ == "__main__":
    main()
