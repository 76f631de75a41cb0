"""Writes the page of a backtest: one HTML file that needs no network, with the leaderboard and how fast each model ages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from bowerbird.report.charts import Caption, Interval, age_chart, forest_plot
from bowerbird.report.page import METRICS, figure

FOLDER = Path(__file__).parent


def write_page(content: dict[str, Any], path: Path) -> None:  # Any: JSON
    """Write the page of what ``backtest.json`` holds to ``path``; a reader sees the whole page or none."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(render_page(content), encoding="utf-8")
    unfinished.replace(path)


def render_page(content: dict[str, Any]) -> str:  # Any: JSON
    """Return the page; all that comes from data is escaped."""
    name, k = content["metric"].split("@")
    words = {key: f"{METRICS.get(key, (key,))[0]}@{k}" for key in content["leaderboard"][0]["metrics"]}
    return _template().render(
        content=content,
        primary=name,
        level=f"{100 * content['confidence']:g} %",
        words=words,
        meanings={words[key]: METRICS[key][1] for key in words if key in METRICS},
        board=_forest(content, words[name]),
        curves=_curves(content),
    )


@cache
def _template() -> Template:
    pages = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {"count": lambda number: f"{number:,}", "figure": figure, "percent": _percent, "chance": _chance}
    return pages.get_template("backtest.html")


def _forest(content: dict[str, Any], word: str) -> Markup:  # Any: JSON
    primary, board = content["metric"].split("@")[0], content["leaderboard"]
    rows = [
        Interval(one["label"], value, low, high, is_marked=one is board[0])
        for one in board
        for value, low, high in (one["metrics"][primary],)
    ]
    text = f"{len(rows)} models; the first is {rows[0].name} with {figure(rows[0].value)}. All values stand in the table below."
    return forest_plot(rows, caption=Caption("board", f"{word} by model, with intervals", text))


def _curves(content: dict[str, Any]) -> list[dict[str, Any]]:  # Any: JSON
    """Draw the age curve of each model that has one, all on one scale, in the order of the leaderboard."""
    shown = [label for label, points in content["ages"].items() if any(point["shares"] for point in points)]
    points = {label: [(one["days"], *one["shares"]) for one in content["ages"][label] if one["shares"]] for label in shown}
    ends = [bound for one in points.values() for _, *bounds in one for bound in bounds]
    found = []
    for place, label in enumerate(shown):
        text = "; ".join(f"{days:g} days: {mean:+.1%} ({low:+.1%} to {high:+.1%})" for days, mean, low, high in points[label])
        caption = Caption(f"age-{place}", f"{label} by age, in shares of a fresh one", text)
        found.append({"label": label, "chart": age_chart(points[label], ends=ends, caption=caption)})
    return found


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _chance(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
