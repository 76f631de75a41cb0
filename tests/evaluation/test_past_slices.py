"""The slices of a refresh are held against those of its recipe's earlier runs; benchmarks/gate_simulation.py tells how well."""

from __future__ import annotations

import pytest

from benchmarks.gate_simulation import held_refreshes
from bowerbird.evaluation.decision import SliceResult
from bowerbird.evaluation.past_slices import compare_with_past


def part(value, nominee, *, num_users=100, deviation=0.1, shown_only=False, column="user"):
    figures = {"nominee": nominee, "deviation": deviation, "mean": 0.3, "low": 0.2, "high": 0.4, "p_value": 0.5}
    return SliceResult(
        column=column, value=value, num_users=num_users, shown_only=shown_only, other="a rival", blocks=False, **figures
    )


def compared(now, *past):
    return compare_with_past(now, past, other="its own last run", max_loss=0.1, level=0.95, significance=0.05)


def test_the_test_is_that_of_the_docstring():
    """(0.05 - 0.9 * 0.1) / (0.1 sqrt(1/100 + 0.81/100)) = -2.973, so p = 0.00147; the half width is 1.96 * 0.0141."""
    (found,) = compared([part("new", 0.05)], [part("new", 0.1)])
    assert (found.other, found.nominee, found.mean) == ("its own last run", 0.05, pytest.approx(-0.05))
    assert found.p_value == pytest.approx(0.001474, abs=1e-6) and found.adjusted_p == found.p_value and found.blocks
    assert (found.low, found.high) == (pytest.approx(-0.0777, abs=1e-4), pytest.approx(-0.0223, abs=1e-4))


def test_earlier_runs_count_by_their_users_and_together():
    """300 users with 0.1 and 100 with 0.2 have 0.125 on average; sqrt(1/100 + 0.81/400) = 0.10966."""
    (found,) = compared([part("new", 0.09)], [part("new", 0.1, num_users=300)], [part("new", 0.2)])
    assert found.mean == pytest.approx(0.09 - 0.125)
    assert found.p_value == pytest.approx(0.0201, abs=1e-4)


def test_deviations_are_pooled_so_a_low_figure_does_not_prove_itself():
    """Nobody finds anything now: a deviation of 0 of its own would make any loss certain."""
    (found,) = compared([part("new", 0.0, deviation=0.0)], [part("new", 0.01)])
    assert found.p_value == pytest.approx(0.17, abs=0.01) and not found.blocks


def test_holm_corrects_over_the_slices_and_the_worst_comes_first():
    found = compared([part("new", 0.1), part("returning", 0.07)], [part("new", 0.1), part("returning", 0.1)])
    assert [one.value for one in found] == ["returning", "new"]
    assert found[0].adjusted_p == pytest.approx(2 * found[0].p_value) and not found[0].blocks


def test_what_no_earlier_run_has_measured_is_left_out():
    old = part("new", 0.1, deviation=None)
    assert compared([part("new", 0.0)], [old]) == (), "a run of an older version does not tell its deviation"
    assert compared([part("2 to 5 events", 0.0)], [part("2 to 6 events", 0.5)]) == ()
    assert compared([part("new", 0.0)], [part("new", 0.5, shown_only=True)]) == ()
    assert compared([part("new", 0.0, shown_only=True)], [part("new", 0.5)]) == ()
    assert compared([part("new", 0.0)]) == ()


def test_a_refresh_that_loses_no_more_than_is_allowed_is_seldom_held_and_one_that_loses_a_third_mostly():
    assert held_refreshes(100, change=-0.1, num_past=1) <= 0.1
    assert held_refreshes(30, change=-0.3, num_past=5, num_users=1000) >= 0.9
