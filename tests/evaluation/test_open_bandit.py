"""The Open Bandit logs: what 38 to 69 clicks a log say of a policy, which is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.off_policy import CAMPAIGNS, judge_campaign

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "obd-small"


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_the_thompson_sampler_judged_by_the_random_log_is_not_told_from_it(campaign: str) -> None:
    """The sampler's own click rate lies in the interval, and so does the random policy's: this decides nothing."""
    if not FOLDER.exists():
        pytest.skip("the Open Bandit logs are not here")
    result, num, clicks = judge_campaign(FOLDER, campaign)
    assert result.applicable and result.num_impressions == num == 10_000
    assert result.mean_weight == pytest.approx(1, abs=0.1), "the random log supports every item"
    for one in result.estimates:
        assert one.low < clicks / num < one.high, one.estimator
        assert one.high - one.low > result.logged_value / 2, "wide"
    assert not result.decides and "this decides nothing" in " ".join(result.warnings)
