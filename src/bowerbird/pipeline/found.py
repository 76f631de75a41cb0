"""The share of all targets that each model found: every target counts alike, and users are what its interval counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bowerbird.columns import USER_ID
from bowerbird.evaluation.mean_intervals import clustered_interval
from bowerbird.evaluation.sessions import OWNER
from bowerbird.pipeline.prepare import Window, load_targets
from bowerbird.pipeline.prove import Scored
from bowerbird.pipeline.run import Run


def targets_found(
    run: Run, windows: Sequence[Window], tested: Mapping[str, Sequence[Scored]]
) -> dict[str, tuple[float, float, float]]:
    """Return the share of the windows' targets that stand in a model's lists, with its bounds, by the model's label."""
    targets = {window.name: load_targets(run, window) for window in windows}
    num_targets = {name: one[OWNER if OWNER in one else USER_ID].value_counts() for name, one in targets.items()}
    found = {}
    for label, scored in tested.items():
        recalls = [pd.read_parquet(one.users, columns=["recall"])["recall"] for one in scored]
        counts = [num_targets[one.window].reindex(recall.index) for one, recall in zip(scored, recalls, strict=True)]
        hits = [recall * count for recall, count in zip(recalls, counts, strict=True)]
        totals, sizes = (pd.concat(parts).groupby(level=0).sum() for parts in (hits, counts))
        interval = clustered_interval(totals, sizes, level=run.recipe.gate.confidence)
        found[label] = (interval.value, interval.low, interval.high)
    return found
