"""Estimates from another policy's log: by hand, beside obp, and against the truth of made-up sites."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bowerbird.errors import DataError
from bowerbird.evaluation.decision import OffPolicyEstimate, OffPolicyResult
from bowerbird.evaluation.off_policy import Impressions, evaluate, evaluate_parts
from bowerbird.evaluation.weight_bounds import SHRINK, choose_bounds, median
from bowerbird.recipe_gate import Estimator, OffPolicy
from tests.evaluation.bandit import make_site

OBP = json.loads((Path(__file__).parent / "obp.json").read_text(encoding="utf-8"))
FORMER = json.loads((Path(__file__).parent / "off_policy_former.json").read_text(encoding="utf-8"))
POLICIES = {"whole": OffPolicy(clip=1e9, floor=0), "clipped": OffPolicy(clip=3, floor=0)}


def impressions(**changes: Any) -> Impressions:  # Any: columns
    """Four impressions with the weights 2, 0, 0.5 and 4; the first and the last are clicked."""
    columns = {
        "rewards": [1, 0, 0, 1],
        "propensities": [0.25, 0.5, 0.5, 0.1],
        "targets": [0.5, 0, 0.25, 0.4],
        "predicted": [0.5, 0.2, 0.4, 0.5],
        "baselines": [0.3, 0.1, 0.2, 0.4],
    }
    return Impressions(**{name: np.asarray(values, np.float64) for name, values in (columns | changes).items()})


def by_name(result: OffPolicyResult) -> dict[str, OffPolicyEstimate]:
    return {one.estimator: one for one in result.estimates}


# ---- by hand


def test_estimates_are_what_the_formulas_say() -> None:
    found = by_name(evaluate(impressions(), OffPolicy()))
    assert found["ips"].value == pytest.approx((2 + 4) / 4)
    assert found["snips"].value == pytest.approx((2 + 4) / (2 + 0.5 + 4))
    assert found["dr"].value == pytest.approx(((0.3 + 2 * 0.5) + 0.1 + (0.2 - 0.5 * 0.4) + (0.4 + 4 * 0.5)) / 4)


def test_clipped_weights_and_raised_propensities_are_counted_and_told() -> None:
    result = evaluate(impressions(), OffPolicy(clip=2.5, floor=0.15))
    assert (result.num_clipped, result.num_floored, result.max_weight) == (1, 1, pytest.approx(0.4 / 0.15))
    assert by_name(result)["ips"].value == pytest.approx((2 + 2.5) / 4)
    told = " ".join(result.warnings)
    assert "1 weights above 2.5 are cut to it" in told and "1 propensities below 0.15 are raised to it" in told


@pytest.mark.parametrize(
    ("name", "bound", "kept"),
    [
        ("switch_dr", 2.0, [2, 0, 0.5, 0]),
        ("dr_optimistic", 4.0, [8 / 8, 0, 2 / 4.25, 16 / 20]),
        ("dr_pessimistic", 1.5, [1.5, 0, 0.5, 1.5]),
        ("switch_dr", np.inf, [2, 0, 0.5, 4]),
        ("dr_optimistic", np.inf, [2, 0, 0.5, 4]),
        ("dr_pessimistic", np.inf, [2, 0, 0.5, 4]),
    ],
)
def test_weights_are_cut_as_the_papers_say(name: str, bound: float, kept: list[float]) -> None:
    assert SHRINK[name](np.asarray([2, 0, 0.5, 4]), bound) == pytest.approx(kept)


def test_effective_sample_size_is_that_of_kish() -> None:
    assert evaluate(impressions(), OffPolicy()).effective_sample_size == pytest.approx(6.5**2 / (4 + 0.25 + 16))


def test_an_interval_follows_from_the_scatter_of_impressions() -> None:
    """ips of four values 2, 0, 0, 4: standard error sqrt(variance / 4), times Student's t of three degrees of freedom."""
    (ips, *_) = evaluate(impressions(), OffPolicy()).estimates
    half = 3.182446 * np.sqrt(np.var([2, 0, 0, 4], ddof=1) / 4)
    assert (ips.low, ips.high) == pytest.approx((1.5 - half, 1.5 + half), abs=1e-6)
    half = 3.182446 * np.sqrt(np.var([1, 0, 0, 3], ddof=1) / 4)
    assert ips.difference == pytest.approx(1.5 - 0.5)
    assert (ips.difference_low, ips.difference_high) == pytest.approx((1 - half, 1 + half), abs=1e-6)


def test_a_users_impressions_are_not_independent() -> None:
    """The same four impressions a hundred times: as users of a hundred equal impressions each, no surer than the four alone."""
    four = impressions()
    repeated = Impressions(*(np.repeat(values, 100) for values in list(vars(four).values())[:5]))
    by_user = replace(repeated, units=np.repeat(np.arange(4), 100))
    alone, clustered, unaware = (evaluate(log, OffPolicy()) for log in (four, by_user, repeated))
    for one, other, short in zip(alone.estimates[:3], clustered.estimates[:3], unaware.estimates[:3], strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high))
        assert short.high - short.low < (one.high - one.low) / 10
    assert (alone.unit, clustered.unit, clustered.num_units) == ("impression", "user", 4)


def test_the_logged_policy_itself_earns_what_it_earned() -> None:
    log = impressions(targets=[0.25, 0.5, 0.5, 0.1])
    for one in evaluate(log, OffPolicy()).estimates[:2]:
        assert one.value == pytest.approx(0.5)
        assert (one.difference, one.difference_low, one.difference_high) == pytest.approx((0, 0, 0))


# ---- what nothing can be said about


def test_a_policy_that_shows_nothing_of_the_log_is_not_applicable() -> None:
    result = evaluate(impressions(targets=[0, 0, 0, 0]), OffPolicy())
    assert (result.applicable, result.decides) == (False, False)
    assert result.reason == "none of the 4 logged impressions is one that the target policy would show"


def test_too_small_a_sample_decides_nothing() -> None:
    site = make_site(logged_contrast=1, target_contrast=1)
    log = site.log(30, [1])
    result = evaluate(log, OffPolicy(min_effective_sample_size=1000))
    assert not result.is_sound and not result.decides
    assert any("effective sample size is" in one and "1,000 are asked" in one for one in result.warnings)


def test_what_was_never_shown_is_said_and_decides_nothing() -> None:
    """Half of what the target policy shows has no chance in the logged policy: the weights average one half."""
    rng = np.random.default_rng(1)
    num = 4000
    ones = np.ones(num)
    log = Impressions(rng.binomial(1, 0.9, num) * 1.0, ones * 0.5, ones * 0.25, ones * 0.1, ones * 0.1)
    result = evaluate(log, OffPolicy())
    assert not result.is_sound and result.mean_weight == 0.5
    assert any("about 50% of what the target policy shows could not be shown" in one for one in result.warnings)


def test_propensities_that_do_not_fit_are_noticed() -> None:
    site = make_site(logged_contrast=1, target_contrast=0.5)
    log = site.log(2000, [2])
    result = evaluate(replace(log, propensities=log.propensities / 2), OffPolicy())
    assert not result.is_sound and not result.decides
    assert any("the logged propensities do not fit" in one for one in result.warnings)


def test_a_difference_that_may_be_none_decides_nothing_and_a_clear_one_does() -> None:
    site = make_site(logged_contrast=1, target_contrast=1)
    level = evaluate(site.log(100, [3]), OffPolicy())
    assert level.is_sound and not level.decides and "this decides nothing" in level.warnings[-1]
    best = np.zeros_like(site.target_PI)
    best[np.arange(3), site.rates_PI.argmax(axis=1)] = 1
    clear = evaluate(replace(site, target_PI=best).log(4000, [4]), OffPolicy())
    assert clear.decides and clear.main.difference_low > 0 and clear.warnings == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensities": [0, 1, 1, 1]}, r"a propensity is not in \(0, 1\]"),
        ({"propensities": [0.1, 1.2, 1, 1]}, r"a propensity is not in \(0, 1\]"),
        ({"targets": [-0.1, 1, 1, 1]}, r"a target probability is not in \[0, 1\]"),
        ({"rewards": [np.nan, 1, 1, 1]}, "some of the rewards are not finite"),
        ({"predicted": [0.0]}, "4 rewards and 1 predicted"),
    ],
)
def test_impossible_logs_are_refused(changes: dict[str, list[float]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        impressions(**changes)


def test_one_user_is_no_sample() -> None:
    with pytest.raises(DataError, match="1 users are too few to estimate from"):
        evaluate(replace(impressions(), units=np.zeros(4, np.int64)), OffPolicy())


# ---- the bound that is chosen


def bounds_of(weights: np.ndarray) -> dict[Estimator, float]:
    """Choose bounds for weights that come in two parts."""
    parts = np.array_split(weights[weights > 0], 2)
    return choose_bounds(lambda: iter(parts), num=len(weights), greatest=float(weights.max()))


def test_even_weights_are_not_cut() -> None:
    assert bounds_of(np.ones(1000))["dr_pessimistic"] == np.inf
    assert bounds_of(np.ones(1000))["switch_dr"] == np.inf


def test_a_rare_and_heavy_weight_is_cut() -> None:
    weights = np.append(np.ones(1000), 200.0)
    bounds = bounds_of(weights)
    assert bounds["switch_dr"] < 200
    assert bounds["dr_pessimistic"] < 200
    assert bounds["dr_optimistic"] < 200**2


@pytest.mark.parametrize("num", [1, 2, 5, 6, 1000, 1001])
def test_the_median_of_parts_is_that_of_the_whole(num: int) -> None:
    rng = np.random.default_rng(num)
    for values in (rng.lognormal(0, 9, num), rng.integers(1, 4, num) * 0.7, np.full(num, 80.0)):
        parts = np.array_split(values, min(3, num))
        assert median(lambda parts=parts: iter(parts)) == np.median(values)


# ---- in parts


@pytest.mark.parametrize("has_users", [True, False])
def test_a_log_in_parts_gives_what_the_whole_log_gives(has_users: bool) -> None:
    log = make_site(logged_contrast=1, target_contrast=2).log(2001, [6])
    log = log if has_users else replace(log, units=None)
    ends = np.asarray([0, 7, 2500, 2500, len(log.rewards)])
    columns = {name: values for name, values in vars(log).items() if values is not None}
    parts = [
        Impressions(**({"units": None} | {name: values[start:end] for name, values in columns.items()}))
        for start, end in pairwise(ends)
    ]
    whole, of_parts = (one.model_dump() for one in (evaluate(log, OffPolicy(clip=3)), evaluate_parts(parts, OffPolicy(clip=3))))
    for ours, theirs in zip(of_parts.pop("estimates"), whole.pop("estimates"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    numbers = {name for name, value in whole.items() if isinstance(value, float)}
    assert {name: of_parts[name] for name in numbers} == pytest.approx({name: whole[name] for name in numbers}, rel=1e-12)
    assert {name: of_parts[name] for name in whole.keys() - numbers} == {name: whole[name] for name in whole.keys() - numbers}


@pytest.mark.parametrize("case", FORMER)
def test_figures_are_those_from_before_logs_came_in_parts(case: str) -> None:
    """``off_policy_former.json`` was written when a log was held whole."""
    contrast, clip, has_users = json.loads(case)
    log = make_site(logged_contrast=1, target_contrast=contrast).log(2001, [5])
    result = evaluate(log if has_users else replace(log, units=None), OffPolicy(clip=clip, floor=0.05)).model_dump(mode="json")
    former = dict(FORMER[case])
    for ours, theirs in zip(result.pop("estimates"), former.pop("estimates"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    assert {name: value for name, value in result.items() if isinstance(value, float)} == pytest.approx(
        {name: value for name, value in former.items() if isinstance(value, float)}, rel=1e-12
    )
    assert result["warnings"] == former["warnings"] and result["decides"] == former["decides"]


# ---- beside obp, and against the truth


@pytest.mark.parametrize("policy", POLICIES)
def test_estimates_equal_those_of_obp(policy: str) -> None:
    """``benchmarks/peers/off_policy.py`` wrote obp's figures, asked with the bounds that ours chose."""
    log = Impressions(**{name: np.asarray(values, np.float64) for name, values in OBP["inputs"].items()})
    ours = by_name(evaluate(log, POLICIES[policy]))
    for name, theirs in OBP["figures"][policy].items():
        assert ours[name].value == pytest.approx(theirs["value"], abs=1e-9), name
        assert ours[name].setting == pytest.approx(theirs["setting"])
    assert any(one["setting"] is not None for one in OBP["figures"][policy].values())


def coverage(num_logs: int, *, logged_contrast: float, target_contrast: float) -> dict[str, float]:
    """Return the share of logs of 1,000 users whose interval holds the truth, by estimator."""
    site = make_site(logged_contrast=logged_contrast, target_contrast=target_contrast)
    results = [evaluate(site.log(1000, [7, place]), OffPolicy()) for place in range(num_logs)]
    held = np.asarray([[one.low <= site.truth <= one.high for one in result.estimates] for result in results])
    return dict(zip([one.estimator for one in results[0].estimates], held.mean(axis=0), strict=True))


def test_intervals_hold_the_truth_in_most_of_sixty_logs() -> None:
    """Of 60 logs with a true coverage of 95 %, fewer than 52 holding it has a probability of 1 in 300."""
    for name, share in coverage(60, logged_contrast=1, target_contrast=2).items():
        assert share >= 52 / 60, name


@pytest.mark.slow
@pytest.mark.parametrize(("logged_contrast", "target_contrast"), [(1, 1), (1, 2), (1.5, 1.5)])
def test_intervals_hold_the_truth_in_93_to_97_percent_of_500_logs(logged_contrast: float, target_contrast: float) -> None:
    for name, share in coverage(500, logged_contrast=logged_contrast, target_contrast=target_contrast).items():
        assert 0.93 <= share <= 0.97, name
