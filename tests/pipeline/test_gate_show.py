"""An honest improvement is promoted and each broken model rejected for what is wrong with it, on three logs.

benchmarks/gate_show.py puts them up, and prints what the gate says; benchmarks/results holds a dated page.
"""

from __future__ import annotations

import pytest

from benchmarks.gate_show import DATA, LOGS, opened
from bowerbird.store.home import Home

REASONS = {
    "shuffled": "shuffled is rejected: its lists are no better than shuffled: its misses are nearer to what users chose than ",
    "only_popular": "only_popular is rejected: two users' lists have 100.0% in common, whatever the users have done (the check ",
    "tenth": "tenth is rejected: it was trained on ",
    "hidden_tenth": "hidden_tenth is rejected: its NDCG@10 of ",
}
UNKIND = {"movielens": "user activity: 11 to 34 events", "sample": "user activity: 2 to 41 events", "online_retail": "user: new"}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGS)
def test_the_gate_tells_honest_from_broken(home: Home, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LOGS[name]
    if log.folder is not None and not (DATA / log.folder).exists():
        pytest.skip(f"{name} is not there")
    with opened(name, home, monkeypatch) as show:
        shown = {one.case: one for one in show.cases()}

    honest = shown.pop("honest")
    assert honest.decision is not None and honest.decision.publish == log.honest and honest.failed == []

    leak = shown.pop("leaking")
    assert leak.decision is None and leak.said.startswith("training events: ") and "at or after the cut-off" in leak.said

    assert {one.decision.outcome for one in shown.values() if one.decision} == {"reject"}
    for case, reason in REASONS.items():
        assert shown[case].said.startswith(reason), shown[case].said
        assert ("behaviour" in shown[case].failed) == (case != "hidden_tenth")

    unkind = shown[log.unkind]
    assert unkind.evaluation["differences"][log.champion]["mean"] > 0, "it is better on average"
    assert "slices" in unkind.failed and unkind.decision is not None
    (slices,) = [rule for rule in unkind.decision.rules if rule.name == "slices"]
    assert f"of the slice {UNKIND[name]}, its NDCG@10 of 0.00" in slices.found
