"""Who loses by a refresh: the gate's metric on a slice now, beside what the same recipe's earlier runs reached there.

A refresh has no other model beside it, for nominee and champion are one recipe; its earlier runs were asked about other windows.
So this is a test of two samples. With m and M the means of the users' values of a slice now and in all earlier runs together, n
and N their numbers, and s the standard deviation pooled over all runs:

    z = (m - (1 - max_loss) M) / (s sqrt(1/n + (1 - max_loss)^2 / N))

and p is the normal chance of a z so low, corrected over the slices by Holm. Where the same people come again, what is peculiar to
them cancels out of the difference, so the test holds its level then, too. The deviation is pooled, for where hardly anybody finds
anything a low mean comes with a low deviation of its own, and would prove itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from bowerbird.evaluation.decision import SliceResult
from bowerbird.evaluation.statistics import holm


def compare_with_past(
    now: Sequence[SliceResult],
    past: Sequence[Sequence[SliceResult]],
    *,
    other: str,
    max_loss: float,
    level: float,
    significance: float,
) -> tuple[SliceResult, ...]:
    """Hold the slices of a refresh against those of its recipe's earlier runs; the worst first.

    Slices that no earlier run had by that name, and those that are shown only, are left out. ``other`` is how the earlier runs
    are called.
    """
    found = []
    for one in now:
        before = [each for run in past for each in run if (each.column, each.value) == (one.column, one.value)]
        if all(each.deviation is not None and not each.shown_only for each in (one, *before)) and before:
            found.append(_compared(one, before, other=other, max_loss=max_loss, level=level))
    adjusted = holm([one.p_value for one in found if one.p_value is not None])
    judged = [
        one.model_copy(update={"adjusted_p": p_value, "blocks": p_value < significance})
        for one, p_value in zip(found, adjusted, strict=True)
    ]
    return tuple(sorted(judged, key=lambda one: (one.p_value, one.column, one.value)))


def _compared(now: SliceResult, before: Sequence[SliceResult], *, other: str, max_loss: float, level: float) -> SliceResult:
    """Compare a slice with its past, not yet adjusted for the other slices."""
    num_past = sum(one.num_users for one in before)
    mean_past = math.fsum(one.num_users * one.nominee for one in before) / num_past
    variance = math.fsum(one.num_users * (one.deviation or 0.0) ** 2 for one in (now, *before)) / (now.num_users + num_past)
    error, error_of_loss = (math.sqrt(variance * (1 / now.num_users + kept**2 / num_past)) for kept in (1.0, 1 - max_loss))
    difference, lead = now.nominee - mean_past, now.nominee - (1 - max_loss) * mean_past
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    return now.model_copy(
        update={
            "other": other,
            "mean": difference,
            "low": difference - half,
            "high": difference + half,
            "p_value": NormalDist().cdf(lead / error_of_loss) if error_of_loss else float(lead >= 0),
        }
    )
