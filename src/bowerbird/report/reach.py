"""How lists spread over the catalogue, beside how users' own choices do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bowerbird.report.content import Reach, Tier

Counts = NDArray[np.int64]
TIERS = (("Top 1 %", 0.01), ("Next 4 %", 0.05), ("Next 15 %", 0.20), ("Next 30 %", 0.50), ("Other half", 1.0))
"""Names of the tiers, and the share of the catalogue at which each ends."""


def measure_reach(chosen: Counts, recommended: Counts) -> Reach:
    """Compare how often items were chosen with how often they are recommended.

    Parameters
    ----------
    chosen
        Target events of each item of the catalogue before the cut-off; int64 [N].
    recommended
        Places of each item in the lists, in the same order; int64 [N].
    """
    assert chosen.shape == recommended.shape
    order = np.argsort(-chosen, kind="stable")
    ends = [round(share * len(chosen)) for _, share in TIERS]
    starts = [0, *ends[:-1]]
    return Reach(
        num_items=len(chosen),
        num_recommended=int(np.count_nonzero(recommended)),
        num_chosen=int(np.count_nonzero(chosen)),
        recommended_curve=concentration(recommended),
        chosen_curve=concentration(chosen),
        tiers=tuple(
            Tier(
                name=name,
                chosen_share=_share(chosen[order[start:end]], chosen),
                recommended_share=_share(recommended[order[start:end]], recommended),
            )
            for (name, _), start, end in zip(TIERS, starts, ends, strict=True)
            if end > start
        ),
    )


def concentration(counts: Counts) -> tuple[float, ...]:
    """Return the share of the total that the most frequent 0, 1, ..., 100 % of the items hold: 101 values from 0 to 1."""
    running = np.concatenate([[0], np.cumsum(np.sort(counts)[::-1])]) / max(int(counts.sum()), 1)
    places = np.linspace(0, 1, len(running))
    return tuple(float(share) for share in np.interp(np.linspace(0, 1, 101), places, running))


def _share(part: Counts, whole: Counts) -> float:
    return float(part.sum()) / max(int(whole.sum()), 1)
