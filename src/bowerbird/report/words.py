"""The gate's decision and the figures as tables and Markdown, for artifacts."""

from __future__ import annotations

from typing import Any

from bowerbird.report.content_decision import Check, Slice

MARKS = {True: "passed", False: "not passed", None: "not needed"}


def decision_text(decision: dict[str, Any]) -> str:  # Any: JSON
    """Return the decision as Markdown: the sentence, then rule by rule."""
    lines = [f"## {decision['sentence']}", "", "| rule | asked | found | | to pass |", "| --- | --- | --- | --- | --- |"]
    for rule in decision["rules"]:
        cells = [f"{rule['rule']} {rule['name']}", rule["asked"], rule["found"], MARKS[rule["passed"]], rule["to_pass"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def figures_rows(evaluation: dict[str, Any]) -> list[dict[str, Any]]:  # Any: JSON
    """Return one row a model: its part, the gate's metric with bounds, further figures; best first."""
    primary = evaluation["metric"].split("@")[0]
    rows = []
    for label, one in evaluation["models"].items():
        value, low, high = one["metrics"][primary]
        others = {name: round(bounds[0], 4) for name, bounds in one["metrics"].items() if name != primary}
        rows.append(
            {
                "model": label,
                "part": part_of(label, evaluation),
                evaluation["metric"]: round(value, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                **others,
                "coverage": round(one["coverage"], 4),
            }
        )
    return sorted(rows, key=lambda row: -row[evaluation["metric"]])


def search_rows(search: dict[str, Any]) -> list[dict[str, Any]]:  # Any: JSON
    """Return one row a trial of a search, in their order: its settings, the score, what became of it."""
    return [
        {
            "trial": trial["number"],
            **trial["settings"],
            search["metric"]: None if trial["score"] is None else round(trial["score"], 4),
            "state": "best" if trial["number"] == search["best"] else trial["state"],
            "error": trial["error"],
        }
        for trial in search["trials"]
    ]


def part_of(label: str, evaluation: dict[str, Any]) -> str:  # Any: JSON
    """Return the part that a model plays: nominee, champion, rival, or several of them."""
    parts = [part for part in ("nominee", "champion") if evaluation[part] == label]
    return ", ".join([*parts, *(["rival"] if label in evaluation["rivals"] else [])])


def signed(value: float) -> str:
    """Spell a difference with its sign; four places, and two digits of what would vanish."""
    spelt = f"{value:+.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:+.2g}"
    return "0.0000" if value == 0 else spelt


def slice_in_words(one: Slice, metric: str) -> str:
    """Tell how the nominee stands in one part of the users."""
    doubt = ", too few to decide anything" if one.shown_only else ""
    return (
        f"{one.name}, {metric} {signed(one.mean)} ({signed(one.low)} to {signed(one.high)}) to {one.other} "
        f"over {one.num_users:,} users{doubt}"
    )


def check_in_words(check: Check) -> str:
    """Tell what a broken check found."""
    return f"{check.name.replace('_', ' ')}: {check.found}" + ("" if check.severity == "block" else " (shown, decides nothing)")
