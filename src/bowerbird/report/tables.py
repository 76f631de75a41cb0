"""A backtest and a comparison as rows, for artifacts and the command line."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]  # Any: cells


def board_rows(content: dict[str, Any]) -> list[Row]:  # Any: JSON
    """Return one row a model, best first: the gate's metric, and how far it is behind the first, with their intervals."""
    primary = content["metric"].split("@")[0]
    return [
        {
            "model": one["label"],
            content["metric"]: _bounded(*one["metrics"][primary]),
            "behind the first": _behind(one["behind"]),
            "p, adjusted": _chance(one["behind"]["adjusted_p"]) if one["behind"] else "",
        }
        for one in content["leaderboard"]
    ]


def age_rows(content: dict[str, Any]) -> list[Row]:  # Any: JSON
    """Return one row a model and age: aged and fresh on the same windows, and the difference with its interval."""
    return [
        {
            "model": label,
            "days old": f"{point['days']:.3g}",
            "aged": f"{point['value']:.4f}",
            "fresh": f"{point['fresh']:.4f}",
            "difference": _share(*point["shares"]) if point["shares"] else _bounded(point["mean"], point["low"], point["high"]),
            "p, adjusted": _chance(point["adjusted_p"]),
            "users": point["num_users"],
        }
        for label, points in content["ages"].items()
        for point in points
    ]


def comparison_rows(content: dict[str, Any]) -> list[Row]:  # Any: JSON
    """Return one row a metric: both sides, and the difference with its interval."""
    return [
        {
            "metric": one["metric"],
            "a": f"{one['a']:.4f}",
            "b": f"{one['b']:.4f}",
            "b minus a": _bounded(one["mean"], one["low"], one["high"]),
            "p": _chance(one["p_value"]),
            "p, adjusted": _chance(one["adjusted_p"]),
            "users": one["num_users"],
        }
        for one in content["metrics"]
    ]


def comparison_text(content: dict[str, Any]) -> str:  # Any: JSON
    """Return a comparison as Markdown: the sentence, what to be wary of, the lists, and what changed."""
    changed = [f"- {line}" for line in content["told"]["changes"]] or ["- Nothing."]
    told = [content["sentence"], *content["notes"], *content["told"]["lists"]]
    return "\n\n".join([*told, "What changed from a to b:", "\n".join(changed)])


def _bounded(value: float, low: float, high: float) -> str:
    return f"{value:.4f} ({low:.4f} to {high:.4f})"


def _behind(behind: dict[str, float] | None) -> str:
    return _bounded(behind["mean"], behind["low"], behind["high"]) if behind else ""


def _share(mean: float, low: float, high: float) -> str:
    return f"{mean:+.1%} ({low:+.1%} to {high:+.1%})"


def _chance(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
