"""Where propensities and target probabilities come from when no log states them: Thompson sampling by simulation, and counting.

A Bernoulli Thompson sampler draws a success rate for each item from its Beta distribution and shows the items with the greatest
draws, from the first position on (Chapelle and Li, An empirical evaluation of Thompson sampling, NeurIPS 2011). The probability
that an item stands at a position has no closed form, so it is counted over many draws. Shapes: I items, P positions, S draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bowerbird.errors import DataError
from bowerbird.evaluation.off_policy import Impressions
from bowerbird.evaluation.reward_model import NUM_FOLDS, fit_rewards

Values = NDArray[np.float64]
Codes = NDArray[np.int64]
CELLS = 2_000_000
"""Random numbers held at a time: 16 MB."""


def thompson_propensities(alphas: Values, betas: Values, *, num_positions: int, num_samples: int = 100_000, seed: int) -> Values:
    """Return how probable it is that a Bernoulli Thompson sampler shows an item at a position; float64 [I, P].

    Parameters
    ----------
    alphas, betas : float [I]
        Parameters of the items' Beta distributions: successes and failures so far, plus the prior.
    num_positions : int
        Length of the list, at most I.
    num_samples : int
        Draws. A probability p is off by about sqrt(p (1 - p) / S); what was never drawn gets 1 / (2 S), the floor, so that no
        item that can be shown has the propensity 0.
    seed : int
        The same seed gives the same numbers.

    Raises
    ------
    DataError
        For parameters that are not above 0, or more positions than items.
    """
    if len(alphas) != len(betas) or not (np.all(alphas > 0) and np.all(betas > 0)):
        raise DataError(
            "a Beta distribution needs an alpha and a beta above 0", next_step="add a prior, such as 1, to the counts"
        )
    num_items = len(alphas)
    if not 1 <= num_positions <= num_items:
        raise DataError(f"{num_positions} positions for {num_items} items", next_step="ask for at most as many as items")
    rng = np.random.default_rng(seed)
    counts_PI = np.zeros((num_positions, num_items))
    block = max(1, CELLS // num_items)
    for start in range(0, num_samples, block):
        draws_SI = rng.beta(alphas, betas, (min(block, num_samples - start), num_items))
        for counts_I in counts_PI:
            best_S = draws_SI.argmax(axis=1)
            counts_I += np.bincount(best_S, minlength=num_items)
            draws_SI[np.arange(len(best_S)), best_S] = -1.0
    return np.maximum(counts_PI.T / num_samples, 1 / (2 * num_samples))


def share_by_position(positions: Codes, items: Codes, *, num_positions: int, num_items: int) -> Values:
    """Return how often each item stood at each position of a log, as a policy that is the same for everybody; float64 [P, I].

    A position that the log does not have gets an even share.
    """
    counts_PI = np.bincount(positions * num_items + items, minlength=num_positions * num_items).reshape(num_positions, num_items)
    totals_P1 = counts_PI.sum(axis=1, keepdims=True)
    return np.where(totals_P1 > 0, counts_PI / np.maximum(totals_P1, 1), 1 / num_items)


def same_for_all(
    table_PI: Values, positions: Codes, items: Codes, rewards: Values, propensities: Values, *, units: Codes | None = None
) -> Impressions:
    """Put a policy that is the same for everybody beside logged impressions, with the reward model cross-fitted on them.

    Parameters
    ----------
    table_PI : float [P, I]
        The target policy's probability of each item at each position.
    positions, items : int [N]
        What was shown where; codes from 0 on.
    rewards, propensities, units
        See ``Impressions``.
    """
    folds = (np.arange(len(rewards)) if units is None else units) % NUM_FOLDS
    num_positions, num_items = table_PI.shape
    model = fit_rewards(folds, positions, items, rewards, num_positions=num_positions, num_items=num_items)
    return Impressions(
        rewards=rewards,
        propensities=propensities,
        targets=table_PI[positions, items],
        predicted=model.predict(folds, positions, items),
        baselines=model.baseline(table_PI)[folds, positions],
        units=units,
    )
