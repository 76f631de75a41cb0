"""Whether a log can speak about a target policy at all: support, weights, effective sample size; and the words for it.

The mean weight estimates the share of what the target policy shows that the logged policy could have shown: it is 1 where the
log supports all of it. Nothing is known of the rest, however long the log.
"""

from __future__ import annotations

from typing import Final

from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.evaluation.statistics import Interval
from bowerbird.recipe_gate import OffPolicy

TOLERATED: Final = 0.1
"""So far may the mean weight be from 1 before an estimate decides nothing."""


def doubts(result: OffPolicyResult, mean_weight: Interval, policy: OffPolicy) -> tuple[tuple[str, ...], bool]:
    """Return a sentence for each doubt about a result, and whether it is sound in spite of them."""
    thin = result.effective_sample_size < policy.min_effective_sample_size
    unsupported = mean_weight.high < 1 and 1 - mean_weight.value > TOLERATED
    misfit = mean_weight.low > 1 and mean_weight.value - 1 > TOLERATED
    said = [
        (
            thin,
            f"the effective sample size is {result.effective_sample_size:,.0f} of {result.num_impressions:,} impressions, "
            f"{policy.min_effective_sample_size:,.0f} are asked",
        ),
        (
            unsupported,
            f"about {1 - mean_weight.value:.0%} of what the target policy shows could not be shown by the logged policy: nothing "
            "is known of it",
        ),
        (
            misfit,
            f"the weights average {mean_weight.value:.2f} where they should average 1: the logged propensities do not fit what "
            "was shown",
        ),
        (
            result.num_clipped > 0,
            f"{result.num_clipped:,} weights above {result.clip:g} are cut to it (ips, snips, dr); the greatest is "
            f"{result.max_weight:,.0f}",
        ),
        (result.num_floored > 0, f"{result.num_floored:,} propensities below {result.floor:g} are raised to it"),
        (result.is_level, "the interval of the difference from the logged policy holds 0: this decides nothing"),
    ]
    return tuple(sentence for is_so, sentence in said if is_so), not (thin or unsupported or misfit)
