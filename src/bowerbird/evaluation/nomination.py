"""Who goes into the proof: the best model on the selection window, in doubt the champion's recipe."""

from __future__ import annotations

from collections.abc import Mapping

from bowerbird.evaluation.statistics import LEVEL, NUM_SAMPLES, Values, bootstrap_interval


def nominate(
    values: Mapping[str, Values],
    *,
    champion: str | None = None,
    seed: int,
    level: float = LEVEL,
    num_samples: int = NUM_SAMPLES,
) -> tuple[str, str]:
    """Return the nominee's label, and that of the model with the highest mean; of equal ones the first.

    The two are one, except where the champion's recipe takes part and the best is not surely better than it: then the
    champion's recipe stays. Without that preference two models that are as good as each other would take turns, and each
    turn would have to be proven as a change.

    Parameters
    ----------
    values : mapping of label to float [U]
        The gate's metric, one value for each user of the selection window.
    champion : str, optional
        Label of the champion's recipe, where it is among them.
    level, num_samples, seed
        See ``bootstrap_intervals``.
    """
    best = max(values, key=lambda label: float(values[label].mean()))
    if champion is None or champion == best:
        return best, best
    difference = bootstrap_interval(values[best] - values[champion], level=level, num_samples=num_samples, seed=seed)
    return (best if difference.low > 0 else champion), best
