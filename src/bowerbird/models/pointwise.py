"""What pointwise rankers share: they learn whether a pair of user and item comes true within a horizon.

    y(u, i)     = 1 where u has a target event on i within horizon_days after a cut-off
    score(u, i) = p(y = 1 | features of u, of i, and of both, as of the request)

The last ``horizon_days`` of the data are held out to calibrate on; the model learns from up to ``num_cut_offs`` horizons before,
one behind the other. At the beginning of each, features are taken of nothing later (``pair_features``) and pairs are drawn,
``num_negatives`` negatives for each positive in the mean, at one rate for all cut-offs (``pair_samples``). Then (``calibrate``)

    log odds = log odds in the sample + log(rate of negatives), the rate of positives being 1
    p        = 1 / (1 + exp(-curve(log odds))), the curve isotonic, or Platt's line where there are fewer than 100 positives

After that, features are taken anew on all data. Target events are those with a label above 0; where events have no labels, those
with a weight above 0. Weights enter as evidence (above 0 or not) and as features. Where a log is too
short or has one class only, nothing is learned and lists are left to popularity. p speaks of users with a history; for others
there is none. P pairs, F features, B users of a block, N items.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from bowerbird.columns import ITEM_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.errors import CapabilityError
from bowerbird.models.base import Arrays, Histories, Model, ModelConfig, logger, unprefixed
from bowerbird.models.calibrate import curve, prior_corrected, probabilities
from bowerbird.models.pair_features import PairFeatures
from bowerbird.models.pair_samples import CutOff, Scheme, item_shares
from bowerbird.models.topk import Scores

BLOCK_PAIRS = 2**19
"""So many pairs are described at a time, to bound the memory."""
CALIBRATION_DRAWS = 100_000
"""Drawn by popularity whatever the scheme, since high probabilities would hardly occur in even draws."""
UNBENT = np.array([[-1000.0, 1000.0], [-1000.0, 1000.0]])
"""The curve where no horizon could be held out."""


class PointwiseConfig(ModelConfig):
    """What is to be foretold, and from which pairs it is learned."""

    horizon_days: Annotated[float, Field(gt=0, le=3650)] = 28.0
    """A target event within so many days makes a pair come true."""
    num_cut_offs: Annotated[int, Field(ge=1, le=100)] = 4
    """So many horizons, before the one that is held out, are learned from."""
    num_negatives: Annotated[int, Field(ge=1, le=1000)] = 20
    """So many negatives are drawn for each positive."""
    negatives: Scheme = "uniform"
    """How the item of a negative is drawn: evenly, or in proportion to 1 + its events with evidence."""


class Pointwise(Model):
    """A model that writes ``_train`` and ``_log_odds``."""

    Config: ClassVar[type[ModelConfig]] = PointwiseConfig
    foretells_targets: ClassVar[bool] = True
    config: PointwiseConfig

    @abstractmethod
    def _train(self, x_PF: NDArray[np.float32], labels_P: NDArray[np.bool_]) -> Arrays:
        """Learn from a sample that has both classes; return what ``_log_odds`` reads from ``_learned``."""

    @abstractmethod
    def _log_odds(self, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log odds in a sample as ``_train`` was given; float64 [P]."""

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is not None:
            data = data.with_items(items[ITEM_ID].to_numpy())
            self._accept(data)
        generator = np.random.default_rng(self.seed)
        cut_offs = self._cut_offs(data, items, users, generator)
        training = cut_offs[1:] or cut_offs
        self._learned = self._learn(training, generator)
        if not self._learned:
            logger.info("%s: no event to learn from within %s days of a cut-off", self.name, self.config.horizon_days)
            return
        self._curve = self._calibrate(cut_offs[0], generator) if len(cut_offs) > 1 else UNBENT
        self._features = PairFeatures.fit(data, items, users)
        self._rates_N = self._rates(data, np.arange(data.num_items))

    def _cut_offs(
        self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None, generator: np.random.Generator
    ) -> list[CutOff]:
        """Look back, horizon by horizon; the latest, which is held out, comes first."""
        horizon = int(self.config.horizon_days * MICROSECONDS_A_DAY)
        end, first = data.last_timestamp + 1, int(data.timestamps.min())
        moments = [end - back * horizon for back in range(1, self.config.num_cut_offs + 2)]
        return [
            CutOff.at(data, moment, horizon, items=items, users=users, generator=generator)
            for moment in moments
            if moment > first
        ]

    def _learn(self, cut_offs: list[CutOff], generator: np.random.Generator) -> Arrays:
        """Draw at one rate and train; nothing where a class is missing."""
        num_candidates = sum(map(len, cut_offs))
        num_positives = sum(len(cut_off.positives[0]) for cut_off in cut_offs)
        if num_positives == 0:
            return {}
        self._rate = self.config.num_negatives * num_positives / num_candidates
        samples = [c.draw(round(self._rate * len(c)), self.config.negatives, generator) for c in cut_offs]
        labels_P = np.concatenate([sample.labels_P for sample in samples])
        return {} if labels_P.all() else self._train(np.concatenate([sample.x_PF for sample in samples]), labels_P)

    def _rates(self, data: Interactions, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how often each candidate item would be drawn for a user; float64 [items]."""
        return self._rate * len(items) * item_shares(data, items, self.config.negatives)

    def _calibrate(self, held_out: CutOff, generator: np.random.Generator) -> NDArray[np.float64]:
        sample = held_out.draw(CALIBRATION_DRAWS, "popularity", generator)
        rates_N = np.ones(held_out.before.num_items)
        rates_N[held_out.items] = self._rates(held_out.before, held_out.items)
        log_odds_P = prior_corrected(self._log_odds(sample.x_PF), rates_N[sample.items_P])
        return curve(log_odds_P, sample.labels_P, 1 / sample.rates_P)

    def _score(self, histories: Histories, at: int) -> Scores:
        num_users, num_items = len(histories.users), self.data.num_items
        p_BN = np.full((num_users, num_items), -np.inf)
        if not self._learned:
            return p_BN
        block = self._features.block(history_before(histories, at), at)
        has_past = np.flatnonzero(np.diff(histories.indptr))
        size = max(1, BLOCK_PAIRS // num_items)
        for start in range(0, len(has_past), size):
            users = has_past[start : start + size]
            pairs = np.repeat(users, num_items), np.tile(np.arange(num_items), len(users))
            log_odds_P = prior_corrected(self._log_odds(block.of(*pairs)), self._rates_N[pairs[1]])
            p_BN[users] = probabilities(log_odds_P, self._curve).reshape(len(users), num_items)
        return p_BN

    def predict_proba(self, pairs: pd.DataFrame) -> NDArray[np.float64]:
        """Return p(a target event within the horizon) of pairs ``user_id, item_id``; NaN for unknown users and items.

        Raises CapabilityError where there was nothing to learn from.
        """
        if not self._learned:
            raise CapabilityError(
                f"{self.name!r} found no events within {self.config.horizon_days} days of a cut-off, so it has no probabilities",
                next_step="fit it on a longer log, or set a shorter horizon_days",
            )
        return self.score(pairs)

    def _arrays(self) -> Arrays:
        if not self._learned:
            return {}
        kept = {f"learned.{name}": array for name, array in self._learned.items()}
        kept |= {f"features.{name}": array for name, array in self._features.arrays().items()}
        return kept | {"curve": self._curve, "rates": self._rates_N}

    def _restore(self, arrays: Arrays) -> None:
        self._learned = unprefixed(arrays, "learned.")
        if self._learned:
            self._features = PairFeatures.restore(unprefixed(arrays, "features."))
            self._curve, self._rates_N = arrays["curve"], arrays["rates"]


def history_before(histories: Histories, at: int) -> Histories:
    """Move a history that reaches beyond ``at`` back as a whole: what a caller gives is known at the request."""
    ends = histories.indptr[1:][np.diff(histories.indptr) > 0]
    back_B = np.zeros(len(histories.users), np.int64)
    back_B[np.diff(histories.indptr) > 0] = np.maximum(histories.timestamps[ends - 1] - (at - 1), 0)
    return replace(histories, timestamps=histories.timestamps - back_B[histories.rows])
