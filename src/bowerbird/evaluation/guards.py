"""Further metrics that must not get worse: nominee minus another model, user by user, against what the policy allows.

A change stands against the champion, a first nominee against the best rival. A guard asks for proof that nothing is lost
(non-inferiority): it blocks unless the whole interval of the difference lies at or above the bound. All guards have to let a
nominee through, so their number makes it no likelier that a loss goes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bowerbird.evaluation.decision import GuardResult
from bowerbird.evaluation.statistics import paired_difference
from bowerbird.recipe_gate import Gate


def measure_guards(
    policy: Gate, users: Mapping[str, pd.DataFrame], *, nominee: str, other: str | None, seed: int
) -> list[GuardResult]:
    """Compare the nominee with another model in each guarded metric; nothing where there is none.

    ``users`` has one row a user and a column a metric, by the model's label; as in ``recall@50`` where the guard has places of
    its own.
    """
    if other is None:
        return []
    found = []
    for guard in policy.guards:
        k = policy.places_of(guard)
        column = guard.metric if k == policy.k else f"{guard.metric}@{k}"
        ours, theirs = users[nominee][column], users[other][column]
        difference = paired_difference(ours, theirs, level=policy.confidence, seed=seed)
        bound = -guard.max_loss * float(theirs.mean())
        found.append(
            GuardResult(
                metric=guard.metric,
                k=k,
                other=other,
                mean=difference.mean,
                low=difference.low,
                high=difference.high,
                p_value=difference.p_value,
                bound=bound,
                blocks=difference.low < bound,
            )
        )
    return found
