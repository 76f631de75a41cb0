"""How the gate spells numbers, differences and metrics for people."""

from __future__ import annotations

import math

from bowerbird.evaluation.decision import Evidence
from bowerbird.evaluation.statistics import Difference
from bowerbird.recipe_gate import Gate

METRIC_NAMES = {"ndcg": "NDCG", "recall": "recall", "mrr": "MRR", "map": "MAP", "hit_rate": "hit rate"}


def metric_in_words(policy: Gate) -> str:
    """Spell the gate's metric for people, as in ``NDCG@10``."""
    return f"{METRIC_NAMES[policy.metric]}@{policy.k}"


def difference_in_words(evidence: Evidence, policy: Gate, whose: str, other: str, difference: Difference) -> str:
    """Tell how one model's metric stands to another's, as a clause whose subject is ``whose``."""
    ours, theirs = evidence.models[whose].value, evidence.models[other].value
    place = "the same as" if difference.mean == 0 else f"{number(abs(difference.mean))} {_side(difference.mean)}"
    return (
        f"its {metric_in_words(policy)} of {number(ours)} is {place} the {number(theirs)} of {other} over "
        f"{difference.num_users:,} users (95 % interval of the difference {signed(difference.low)} to "
        f"{signed(difference.high)})"
    )


def _side(difference: float) -> str:
    return "above" if difference > 0 else "below"


def users_in_words(difference: Difference, min_users: int = 0) -> str:
    """Say how many users would prove a difference of this size, ``min_users`` of them with a difference."""
    proof = difference.users_needed if difference.mean > 0 else None
    if proof is None:
        return "more users alone will not prove it, since it is not measurably ahead"
    share = difference.num_differing / difference.num_users
    needed = max(proof, math.ceil(min_users / share)) if share else proof
    return f"about {needed:,} users would be needed to prove a difference of {signed(difference.mean)}"


def detectable_in_words(difference: Difference) -> str:
    """Say how small a difference could not have been seen, which "not proven" alone leaves open."""
    return f"a difference below {number(difference.detectable)} could not have been seen over {difference.num_users:,} users"


def number(value: float) -> str:
    """Four decimals, and two significant digits for what would vanish."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2g}"


def signed(value: float) -> str:
    """Spell a difference with its sign."""
    return ("+" if value > 0 else "") + number(value)


def runs(count: int) -> str:
    """Spell "run" or "3 runs"."""
    return "run" if count == 1 else f"{count} runs"
