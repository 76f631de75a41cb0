"""How the gate spells numbers, differences and metrics for people."""

from __future__ import annotations

import math

from bowerbird.evaluation.decision import Evidence, GuardResult, OffPolicyResult, SliceResult
from bowerbird.evaluation.statistics import Difference, minimum_detectable, users_needed
from bowerbird.recipe_gate import Gate

METRIC_NAMES = {
    "ndcg": "NDCG",
    "recall": "recall",
    "precision": "precision",
    "mrr": "MRR",
    "map": "MAP",
    "hit_rate": "hit rate",
    "r_precision": "R-precision",
}


def metric_in_words(policy: Gate) -> str:
    """Spell the gate's metric for people, as in ``NDCG@10``."""
    return f"{METRIC_NAMES[policy.metric]}@{policy.k}"


def level_in_words(policy: Gate) -> str:
    """Spell the level of the intervals, as in ``95 %``."""
    return f"{100 * policy.confidence:g} %"


def difference_in_words(evidence: Evidence, policy: Gate, whose: str, other: str, difference: Difference) -> str:
    """Tell how one model's metric stands to another's, as a clause whose subject is ``whose``."""
    ours, theirs = evidence.models[whose].value, evidence.models[other].value
    return (
        f"its {metric_in_words(policy)} of {number(ours)} is {_place(difference)} the {number(theirs)} of {other} over "
        f"{difference.num_users:,} users ({_interval(difference, policy)})"
    )


def guard_in_words(guard: GuardResult, policy: Gate) -> str:
    """Tell how far a guarded metric is from the champion's, and how far it may be."""
    return (
        f"its {METRIC_NAMES[guard.metric]}@{guard.k} is {_place(guard)} that of {guard.other} "
        f"({_interval(guard, policy)}), which may reach down to {signed(guard.bound)}"
    )


def slice_in_words(one: SliceResult, policy: Gate) -> str:
    """Tell how the nominee stands on a slice, as a clause whose subject is the nominee."""
    theirs = f"the {number(one.nominee - one.mean)} of {one.other} ({_interval(one, policy)})"
    where = f"on {one.num_users:,} users of the slice {one.column}: {one.value}"
    return f"{where}, its {metric_in_words(policy)} of {number(one.nominee)} is {_place(one)} {theirs}"


def _place(difference: Difference | GuardResult | SliceResult) -> str:
    side = "above" if difference.mean > 0 else "below"
    return "the same as" if difference.mean == 0 else f"{number(abs(difference.mean))} {side}"


def _interval(difference: Difference | GuardResult | SliceResult, policy: Gate) -> str:
    return f"{level_in_words(policy)} interval of the difference {signed(difference.low)} to {signed(difference.high)}"


def users_in_words(difference: Difference, policy: Gate, *, floor: float = 0.0, min_users: int = 0) -> str:
    """Say how many users would prove that a difference of this size is above ``floor``, ``min_users`` of them differing."""
    lead = difference.mean - floor
    proof = users_needed(difference.deviation, lead, level=policy.confidence) if lead > 0 else None
    if proof is None:
        return "more users alone will not prove it, since it is not measurably ahead"
    share = difference.num_differing / difference.num_users
    needed = max(proof, math.ceil(min_users / share)) if share else proof
    return f"about {needed:,} users would be needed to prove a difference of {signed(difference.mean)}" + (
        f" to be above {signed(floor)}" if floor else ""
    )


def detectable_in_words(difference: Difference, policy: Gate) -> str:
    """Say how small a difference could not have been seen, which "not proven" alone leaves open."""
    least = minimum_detectable(difference.deviation, difference.num_users, level=policy.confidence)
    return f"a difference below {number(least)} could not have been seen over {difference.num_users:,} users"


def estimate_in_words(result: OffPolicyResult, policy: Gate) -> str:
    """Tell what an applicable off-policy result estimates, as a clause whose subject is the nominee's lists."""
    main, logged = result.main, result.logged_value
    assert logged is not None
    return (
        f"its lists would have earned {number(main.value)} an impression by {main.estimator}, where what was shown earned "
        f"{number(logged)} ({level_in_words(policy)} interval of the difference {signed(main.difference_low)} to "
        f"{signed(main.difference_high)}, {result.num_impressions:,} impressions of {result.num_units:,} {result.unit}s)"
    )


def number(value: float) -> str:
    """Four decimals, and two significant digits for what would vanish."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"


def signed(value: float) -> str:
    """Spell a difference with its sign."""
    return ("+" if value > 0 else "") + number(value)


def runs(count: int) -> str:
    """Spell "run" or "3 runs"."""
    return "run" if count == 1 else f"{count} runs"
