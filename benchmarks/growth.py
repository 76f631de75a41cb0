"""How the cost of fits and lists grows over four sizes, and a chart of it beside the growth of the algorithm's own work.

    python benchmarks/growth.py [--models item_knn ...] --chart benchmarks/results/2026-11-24-growth.svg

Made-up logs (``benchmarks/logs.py``) of 1, 2, 4 and 8 times 125,000 events, 3,000 users and 1,250 items. An algorithm's own
work is counted, not measured: for fits of ``item_knn`` and ``cooccurrence`` the products of two items of one user, which are
added up, and the pairs of items, each looked at once; for ``ease`` those products and the cube of the items; for ``als`` events
times width squared and rows times width cubed. For lists of ``als`` users times items times width; for those of the others
events times neighbours, and users times items, each score looked at once. Cost grows no worse where its exponent, the slope of
logarithms from the smallest to the largest, is no more than that of the work.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.logs import made_up
from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.report.charts import Caption, Series, line_chart

EVENTS, USERS, ITEMS = 125_000, 3_000, 1_250
SIZES = (1, 2, 4, 8)
WIDTH, EPOCHS, NEIGHBORS = 64, 5, 100
STYLE = """<style>
text { font: 12px sans-serif; fill: #555 } .middle { text-anchor: middle } .end { text-anchor: end }
.grid { stroke: #ddd } .line { fill: none; stroke-width: 2 }
.first { stroke: #2458a8 } .second { stroke: #c26a1b; stroke-dasharray: 5 4 }
</style>"""


def pairs_of_users(data: Interactions) -> float:
    """Count products of two items of one user."""
    lengths = np.diff(data.indptr).astype(float)
    return float(lengths @ lengths)


def neighbours_fit(data: Interactions) -> float:
    return pairs_of_users(data) + float(data.num_items) ** 2


def neighbours_lists(data: Interactions) -> float:
    return float(len(data) * NEIGHBORS + data.num_users * data.num_items)


@dataclass(frozen=True)
class Measured:
    """What is timed, and how much work the algorithm has."""

    model: str
    config: dict[str, Any]  # Any: settings of the model
    work: Callable[[Interactions], float]
    is_lists: bool = False

    @property
    def name(self) -> str:
        return f"{self.model}, {'lists' if self.is_lists else 'fit'}"

    def seconds(self, data: Interactions) -> float:
        """Return the CPU-seconds, the lesser of two runs."""
        return min(self._once(data) for _ in range(2))

    def _once(self, data: Interactions) -> float:
        started = process_time()
        model = build_model(self.model, **self.config).fit(data)
        if self.is_lists:
            started = process_time()
            model.recommend(data.user_ids, k=10)
        return process_time() - started


ALS = {"embedding_size": WIDTH, "num_epochs": EPOCHS}
MEASURED = (
    Measured("item_knn", {"num_neighbors": NEIGHBORS}, neighbours_fit),
    Measured("cooccurrence", {}, neighbours_fit),
    Measured("ease", {}, lambda data: pairs_of_users(data) + float(data.num_items) ** 3),
    Measured("als", ALS, lambda data: float(2 * len(data) * WIDTH**2 + (data.num_users + data.num_items) * WIDTH**3)),
    Measured("als", ALS, lambda data: float(data.num_users * data.num_items * WIDTH), is_lists=True),
    Measured("item_knn", {"num_neighbors": NEIGHBORS}, neighbours_lists, is_lists=True),
)


def exponent(values: Sequence[float]) -> float:
    """Return the power of the size with which values grow, from the first to the last."""
    return math.log(values[-1] / values[0]) / math.log(SIZES[len(values) - 1] / SIZES[0])


def chart(measured: Measured, seconds: list[float], work: list[float]) -> str:
    """Draw measured seconds, and what they would be if they grew as the work does; logarithms of base 2 on both axes."""
    sizes = [math.log2(size) for size in SIZES[: len(seconds)]]
    own = [math.log2(value / seconds[0]) for value in seconds]
    due = [math.log2(value / work[0]) for value in work]
    caption = Caption(measured.name.replace(", ", "-"), measured.name, "Growth of cost (solid) and of the work due (dashed).")
    lines = [Series(list(zip(sizes, own, strict=True))), Series(list(zip(sizes, due, strict=True)), "second")]
    label = f"{measured.name}: log2 of cost (solid), work (dashed) by log2 of size"
    return str(line_chart(lines, caption=caption, x_label=label, from_zero=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table and write a chart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=sorted({measured.model for measured in MEASURED}))
    parser.add_argument("--chart", type=Path, required=True, help="the SVG file to write")
    asked = parser.parse_args(arguments)
    rows = [measured for measured in MEASURED if measured.model in asked.models]
    logs = []
    for size in SIZES:
        frame = made_up(EVENTS * size, USERS * size, ITEMS * size).rename(columns={"user": USER_ID, "item": ITEM_ID})
        logs.append(Interactions.from_frame(frame))
    print(f"cpu {cpu()}; commit {commit()}; {', '.join(f'{len(log):,}' for log in logs)} events\n")
    print("| what | CPU-seconds | exponent | exponent of the work |\n| --- | --- | --- | --- |")
    charts = []
    for measured in rows:
        seconds, work = [measured.seconds(log) for log in logs], [measured.work(log) for log in logs]
        shown = ", ".join(f"{value:.3f}" for value in seconds)
        print(f"| {measured.name} | {shown} | {exponent(seconds):.2f} | {exponent(work):.2f} |", flush=True)
        charts.append(chart(measured, seconds, work))
    asked.chart.write_text(page(charts), encoding="utf-8")


def page(charts: list[str]) -> str:
    """Put charts below each other into one picture."""
    height = 250
    placed = [f'<svg y="{height * place}" width="400" height="240">{drawn}</svg>' for place, drawn in enumerate(charts)]
    size = f'width="400" height="{height * len(charts)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{STYLE}{"".join(placed)}</svg>\n'


if __name__ == "__main__":
    main()
