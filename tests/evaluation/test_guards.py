"""A nominee is compared with champion or best rival in each further metric that the policy names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bowerbird.evaluation.guards import measure_guards
from bowerbird.evaluation.statistics import paired_difference
from bowerbird.recipe_gate import Gate, Guard

POLICY = Gate(k=5, confidence=0.9, guards=(Guard(metric="recall", max_loss=0.1), Guard(metric="mrr", max_loss=0)))


def users(**columns):
    num_users = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"u{user}" for user in range(num_users)])


TABLES = {
    "als": users(recall=[0.5] * 8, mrr=[0.25] * 8),
    "ease": users(recall=[0.46] * 8, mrr=[0.25, 0.25, 0.25, 0.24, 0.25, 0.25, 0.25, 0.25]),
}


def test_each_guard_is_held_against_its_share_of_the_champions_figure():
    recall, mrr = measure_guards(POLICY, TABLES, nominee="ease", other="als", seed=1)

    # All users lose 0.04, and a tenth of 0.5 may be lost. One user of eight loses 0.01 in MRR, and nothing may be lost.
    assert (recall.metric, recall.k, recall.other) == ("recall", 5, "als")
    np.testing.assert_allclose([recall.mean, recall.low, recall.high, recall.bound], [-0.04, -0.04, -0.04, -0.05])
    assert not recall.blocks
    np.testing.assert_allclose([mrr.mean, mrr.bound], [-0.00125, 0])
    assert mrr.low < 0 and mrr.blocks
    assert (recall.adjusted_p, mrr.adjusted_p) == (None, None)


def test_the_interval_has_the_level_of_the_policy():
    rng = np.random.default_rng(0)
    tables = {label: users(recall=rng.random(50), mrr=rng.random(50)) for label in ("als", "ease")}

    found = measure_guards(POLICY, tables, nominee="ease", other="als", seed=1)[0]

    expected = paired_difference(tables["ease"]["recall"], tables["als"]["recall"], level=0.9, seed=1)
    assert (found.low, found.high, found.p_value) == (expected.low, expected.high, expected.p_value)


def test_a_guard_has_places_of_its_own():
    """Ten of a list's fifty places hold less than before, and all fifty more: each guard reads its own column."""
    policy = Gate(k=10, guards=(Guard(metric="recall", max_loss=0), Guard(metric="recall", k=50, max_loss=0)))
    tables = {
        "als": users(recall=[0.2] * 8, **{"recall@50": [0.5] * 8}),
        "ease": users(recall=[0.1] * 8, **{"recall@50": [0.6] * 8}),
    }
    found = measure_guards(policy, tables, nominee="ease", other="als", seed=1)
    assert [(one.k, one.blocks) for one in found] == [(10, True), (50, False)]
    assert policy.num_places == 50 and Gate(k=10).num_places == 10


def test_with_nobody_to_stand_against_nothing_is_compared():
    assert measure_guards(POLICY, TABLES, nominee="ease", other=None, seed=1) == []
