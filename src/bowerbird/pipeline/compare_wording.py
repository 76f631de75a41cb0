"""What a comparison of two runs says in words: which is better, how their lists differ, and what changed in between."""

from __future__ import annotations

from typing import Any

from bowerbird.evaluation.statistics import Difference
from bowerbird.evaluation.wording import METRIC_NAMES, number, signed
from bowerbird.pipeline.changes import plain


def sentence(content: dict[str, Any]) -> str:  # Any: JSON
    """Say which is better by the gate's metric, or that they are not told apart."""
    row = next(one for one in content["metrics"] if one["metric"] == content["metric"])
    fields = ("mean", "low", "high", "p_value", "num_users", "num_differing", "deviation")
    difference = Difference(**{name: row[name] for name in fields})
    a, b = (f"{content[side]['model']} of {content[side]['run_id']}" for side in ("a", "b"))
    if difference.low > 0 or difference.high < 0:
        verdict = f"{b if difference.mean > 0 else a} is better"
    elif difference.mean == 0:
        verdict = "they are the same"
    else:
        verdict = f"they are not told apart; a difference below {number(difference.detectable)} could not have been seen"
    level = f"{100 * content['confidence']:g} %"
    return (
        f"{METRIC_NAMES[content['metric']]}@{content['k']} is {number(row['b'])} for {b} and {number(row['a'])} for {a}, "
        f"{signed(difference.mean)} over {difference.num_users:,} users ({level} interval {signed(difference.low)} to "
        f"{signed(difference.high)}, p {difference.p_value:.3g}): {verdict}."
    )


def told(content: dict[str, Any]) -> dict[str, list[str]]:  # Any: JSON
    """Return a line for each kind of lists that both have, and for each thing that changed between the two."""
    return {"lists": _lists_in_words(content), "changes": _changes_in_words(content)}


def _changes_in_words(content: dict[str, Any]) -> list[str]:  # Any: JSON
    """Return one line for each thing that changed between the two."""
    words = {"recipe": "recipe", "data": "version of table", "code": "code"}
    return [
        f"{words[part]} {one['key']}: {plain(one['a'])} → {plain(one['b'])}"
        for part, found in content["changes"].items()
        for one in found
    ]


def _lists_in_words(content: dict[str, Any]) -> list[str]:  # Any: JSON
    """Return one line for each kind of lists that both have."""
    words = {"tested": "In the newest window that was compared", "made": "Of the lists made for readers"}
    return [
        f"{words[kind]}, {found['overlap']:.1%} of a list is in common (rank-biased overlap "
        f"{found['rank_biased_overlap']:.3f}), over {found['num_users']:,} users "
        f"({found['only_a']:,} users only in the first, {found['only_b']:,} only in the second)."
        for kind, found in content["lists"].items()
        if found is not None
    ]
