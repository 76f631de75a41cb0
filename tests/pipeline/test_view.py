"""What the report tells of a decision is what the run has written down; what was not measured has no place."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bowerbird.pipeline.examples import _change
from bowerbird.pipeline.view import answer, decision_view

DIFFERENCE = {
    "mean": 0.01,
    "low": 0.005,
    "high": 0.015,
    "p_value": 0.001,
    "num_users": 500,
    "num_differing": 300,
    "deviation": 0.1,
}
OLD: dict[str, Any] = {  # Any: JSON
    "metric": "ndcg@10",
    "nominee": "sasrec",
    "champion": "als",
    "differences": {"als": DIFFERENCE, "random": DIFFERENCE},
}
PART = {"mean": -0.01, "low": -0.02, "high": 0.0, "p_value": 0.02, "adjusted_p": 0.2, "blocks": False, "other": "als"}


def test_a_run_of_an_older_version_tells_of_its_differences_alone() -> None:
    view = decision_view(OLD)
    assert (view.metric, view.slices, view.guards, view.checks, view.leaks, view.off_policy) == ("NDCG@10", (), (), (), (), None)
    assert [(one.name, one.is_champion) for one in view.contrasts] == [("als", True), ("random", False)]
    assert view.contrasts[0].users_needed is not None


def test_every_part_that_was_measured_is_told() -> None:
    slices = [PART | {"column": "country", "value": "Norway", "num_users": 240, "shown_only": False, "nominee": 0.1}]
    estimates = [{"estimator": "ips", "value": 0.1, "low": 0.0, "high": 0.2}]
    measured = OLD | {
        "confidence": 0.9,
        "slices": slices,
        "guards": [PART | {"metric": "recall", "k": 10}],
        "behaviour": [{"name": "full", "asked": "10", "found": "10", "value": 10.0, "passed": True, "severity": "block"}],
        "leaks": [{"name": "late events", "found": "none", "passed": True}],
        "off_policy": {"applicable": True, "reason": "", "estimates": estimates, "logged_value": 0.1, "decides": False},
    }
    view = decision_view(measured)
    assert view.confidence == 0.9
    assert (view.slices[0].name, view.slices[0].adjusted_p) == ("country: Norway", 0.2)
    assert view.guards[0].metric == "Recall@10"
    assert view.checks[0].passed and view.leaks[0].found == "none"
    assert view.off_policy is not None and view.off_policy.estimates[0].estimator == "IPS"
    assert view.off_policy.estimates[0].high == 0.2


def test_an_answer_is_told_where_the_manifest_has_one() -> None:
    assert answer({}) is None
    given = {"accepted": False, "by": "Ada", "reason": "odd lists", "at": "2026-03-01T22:15:00+00:00", "kind": "approve"}
    found = answer({"answer": given})
    assert found is not None and (found.accepted, found.by, found.at.year if found.at else None) == (False, "Ada", 2026)


def test_items_come_in_go_out_move_or_stay() -> None:
    now = pd.DataFrame({"item_id": ["a", "b", "c", "d"], "rank": [1, 2, 3, 4]})
    then = pd.DataFrame({"item_id": ["a", "c", "b", "x"], "rank": [1, 2, 3, 4]})
    change = _change("ann", now, then, {"d": "Desk"})
    assert (change.entered, change.left, change.moved, change.unmoved) == (("Desk",), ("x",), 2, 1)
