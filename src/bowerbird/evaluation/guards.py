"""Further metrics that a change must not make worse: nominee minus champion, user by user, against what the policy allows.

A guard asks for proof that nothing is lost (non-inferiority): it blocks unless the whole interval of the difference lies at or
above the bound. All guards have to let a change through, so their number makes it no likelier that a loss goes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bowerbird.evaluation.decision import GuardResult
from bowerbird.evaluation.statistics import paired_difference
from bowerbird.recipe_gate import Gate


def measure_guards(
    policy: Gate, users: Mapping[str, pd.DataFrame], *, nominee: str, champion: str | None, seed: int
) -> list[GuardResult]:
    """Compare a change with the champion in each guarded metric; nothing on a refresh and before the first publication.

    ``users`` has one row a user and a column a metric, by the model's label.
    """
    if champion is None or champion == nominee:
        return []
    found = []
    for guard in policy.guards:
        ours, theirs = users[nominee][guard.metric], users[champion][guard.metric]
        difference = paired_difference(ours, theirs, level=policy.confidence, seed=seed)
        bound = -guard.max_loss * float(theirs.mean())
        found.append(
            GuardResult(
                metric=guard.metric,
                k=policy.k,
                other=champion,
                mean=difference.mean,
                low=difference.low,
                high=difference.high,
                p_value=difference.p_value,
                bound=bound,
                blocks=difference.low < bound,
            )
        )
    return found
