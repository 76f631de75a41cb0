"""The page of a backtest: everything that comes from data is escaped, and it opens without a network on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from bowerbird.report.backtest_page import render_page, write_page
from tests.report.test_browser import SIZES, visit
from tests.report.test_browser import browser as browser

POISON = "<img src=x onerror=alert(1)>"
METRICS = ("ndcg", "recall", "precision", "mrr", "map", "hit_rate", "r_precision", "one of a later version")


def point(days: float, share: float, *, is_worse: bool = False) -> dict[str, Any]:
    shares = (share, share - 0.05, share + 0.04)
    bounds = dict(zip(("mean", "low", "high"), (0.2 * one for one in shares), strict=True))
    told = {"num_windows": 3, "num_users": 1812, "value": 0.2 + 0.2 * share, "fresh": 0.2, "p_value": 0.01, "adjusted_p": 0.0004}
    return {"days": days, "shares": shares, "is_worse": is_worse} | bounds | told


def place(label: str, value: float, part: str, behind: float | None) -> dict[str, Any]:
    return {
        "label": label,
        "part": part,
        "metrics": dict.fromkeys(METRICS, (value, value - 0.01, value + 0.01)),
        "coverage": 0.31,
        "behind": None if behind is None else {"mean": -behind, "low": -behind - 0.01, "high": 0.001, "adjusted_p": 0.2},
        "is_behind": False,
        "by_cut_off": {"cut-off-1": value, "cut-off-2": value - 0.02},
    }


def content(name: str = "a model with a long name", **changes: Any) -> dict[str, Any]:
    return {
        "run_id": "20260101-030000-aaaaaa",
        "recipe": "shop",
        "seed": 1,
        "versions": {"events": 3, "items": 2},
        "metric": "ndcg@10",
        "confidence": 0.95,
        "horizon": "7d",
        "num_users": 1812,
        "test_windows": [{"name": f"cut-off-{n}", "day": f"2026-01-0{n}", "num_users": 900 * n} for n in (2, 1)],
        "leaderboard": [place(name, 0.21, "model", None), place("random", 0.002, "rival", 0.19)],
        "ages": {name: [point(7, -0.08), point(14, -0.21, is_worse=True)], "random": []},
        "advice": {name: f"{name}: retrain at least every 14 days."},
        "searched": {name: {"cut-off-1": {"shrinkage": 7.5}}},
        "sentence": f"{name} is first.",
    } | changes


def test_names_from_data_are_escaped() -> None:
    hostile = content(POISON, recipe=POISON, sentence=POISON, run_id=POISON, horizon=POISON, versions={POISON: 1})
    page = render_page(hostile)
    assert "<img" not in page and page.count("&lt;img src=x") > 10


def test_curves_are_drawn_for_models_that_have_one_and_told_in_words() -> None:
    page = render_page(content())
    assert page.count("<svg") == 2
    assert "7 days: -8.0% (-13.0% to -4.0%); 14 days: -21.0% (-26.0% to -17.0%)" in page
    assert page.count("not surely") == 1 and "worse</span>" in page
    alone = content(ages={"a model with a long name": [], "random": []})
    assert render_page(alone).count("<svg") == 1


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_may_be_the_gates(metric: str) -> None:
    page = render_page(content(metric=f"{metric}@3"))
    assert "@3 with 95 % intervals; the band marks the first" in page and page.count("@3") > 8


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_page_opens_without_a_network_and_fits_the_screen(
    browser: Browser, tmp_path: Path, width: int, height: int, scheme: Any
) -> None:
    write_page(content(), tmp_path / "backtest.html")
    page, complaints = visit(browser, tmp_path / "backtest.html", width, height, scheme)
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_role("img", name="a model with a long name by age").is_visible()
    assert page.evaluate("[...document.querySelectorAll('[aria-labelledby]')].every(one => one.getAttribute('aria-labelledby')"
                         ".split(' ').every(id => document.getElementById(id)))")  # fmt: skip
    page.context.close()
