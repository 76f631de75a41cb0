"""Charts are drawn where the numbers are."""

from __future__ import annotations

import re

import pytest

from bowerbird.report.charts import (
    Caption,
    Interval,
    Scale,
    Series,
    day_bars,
    forest_plot,
    line_chart,
    paired_bars,
    reliability_plot,
    short,
    ticks,
)

CAPTION = Caption("chart", "Loss", "It falls.")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.11, [0.0, 0.05, 0.1, 0.15]),
        (1, 20, [0, 5, 10, 15, 20]),
        (3.1, 6.4, [3, 4, 5, 6, 7]),
        (0.0, 0.0, [0.0, 0.5, 1.0]),
        (5.0, 5.0, [4, 6]),
        (-1.2, 0.4, [-1.5, -1.0, -0.5, 0.0, 0.5]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low: float, high: float, expected: list[float]) -> None:
    found = ticks(low, high)
    assert found[0] <= low <= high <= found[-1]
    assert len(found) <= 6
    if low != high:
        assert found == pytest.approx(expected)


def test_numbers_on_axes_are_short() -> None:
    assert [short(0.05), short(12), short(1500), short(3e6)] == ["0.05", "12", "1.5 k", "3 M"]


def test_scale_of_one_value_does_not_divide_by_zero() -> None:
    assert Scale(3, 3, 10, 20)(3) == 10


def test_line_has_a_point_for_each_value() -> None:
    chart = line_chart([Series([(1, 3.0), (2, 2.0), (3, 1.5)])], caption=CAPTION, x_label="epoch", marked=(3, 1.5))
    path = re.search(r'd="M([^"]*)"', chart)
    assert path is not None
    assert len(path[1].split(" L")) == 3
    assert 'class="marked"' in chart


def test_line_of_one_point_shows_as_a_dot() -> None:
    assert 'class="dot first"' in line_chart([Series([(1, 3.0)])], caption=CAPTION, x_label="epoch")


def test_forest_plot_shows_each_model_and_the_band_of_the_marked_one() -> None:
    chart = forest_plot([Interval("sasrec", 0.11, 0.10, 0.12, is_marked=True), Interval("random", 0.01)], caption=CAPTION)
    assert chart.count("<circle") == 2
    assert chart.count('class="band"') == 1
    assert "sasrec" in chart


def test_chart_tells_itself_to_those_who_do_not_see_it() -> None:
    chart = paired_bars([("Top 1 %", 0.2, 0.3)], caption=Caption("tiers", "Shares <b>", "Two bars."))
    assert 'role="img" aria-labelledby="tiers-title tiers-text"' in chart
    assert '<title id="tiers-title">Shares &lt;b&gt;</title><desc id="tiers-text">Two bars.</desc>' in chart


def test_names_are_escaped() -> None:
    assert "<b>" not in forest_plot([Interval("<b>", 1.0)], caption=CAPTION)


def test_each_day_has_its_bar() -> None:
    assert day_bars([1, 0, 5], caption=CAPTION, first="2026-01-01", last="2026-01-03").count("<rect") == 3


def test_reliability_has_a_dot_a_bin_and_a_hollow_one_where_nothing_came_true() -> None:
    chart = reliability_plot([(0.001, 0.0), (0.01, 0.01), (0.1, 0.2)], caption=CAPTION)
    assert chart.count('class="dot first"') == 2 and chart.count('class="marked"') == 1
    assert "0.1 %" in chart and "10 %" in chart
    even = re.search(r'class="dot first" cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert even, "the bin that came true as foretold lies on the diagonal, which is drawn from corner to corner"
    ends = re.search(r'class="line second" d="M([\d.]+) ([\d.]+) L([\d.]+) ([\d.]+)"', chart)
    assert ends
    x, y, (left, bottom, right, top) = float(even[1]), float(even[2]), map(float, ends.groups())
    assert (x - left) / (right - left) == pytest.approx((bottom - y) / (bottom - top), abs=0.01)
