"""Recommendation lists as a policy: with which probability a user is shown an item at a place, chance's share included.

A list without exploration shows its item with probability 1. With it, ``ranking.exploration`` says how probable the item that is
due is at its place, and how probable each of those that come next is at every place that chance may decide.

Shapes: N impressions, U users, K places, M items that come next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, PROPENSITY, RANK, USER_ID
from bowerbird.evaluation.off_policy import Impressions
from bowerbird.evaluation.reward_model import NUM_FOLDS, RewardModel

Values = NDArray[np.float64]
Codes = NDArray[np.int64]
BLOCK = 1 << 17


@dataclass(frozen=True, eq=False)
class ListPolicy:
    """Item codes are -1 where there is none.

    Attributes
    ----------
    due_UK, chances_UK
        The item that is due at each place, and how probable it is there.
    next_UM, drawn_U
        The items that come next, and how probable each is at a place that is left to chance.
    """

    due_UK: Codes
    chances_UK: Values
    next_UM: Codes
    drawn_U: Values

    @classmethod
    def of(cls, lists: pd.DataFrame, users: pd.Index[Any], items: pd.Index[Any], *, k: int) -> ListPolicy:  # Any: ids
        """Lay lists out by user.

        Parameters
        ----------
        lists : DataFrame
            ``user_id, item_id, rank, propensity``; ranks above ``k`` are the items that come next. Without ``propensity``, or
            where it is missing, it is 1.
        users, items : Index
            The ids that codes stand for. All users of the lists are among them; an item that is not has the code I, as one of
            which no log says anything.
        """
        rows, places = users.get_indexer(pd.Index(lists[USER_ID])), lists[RANK].to_numpy(np.int64) - 1
        codes = items.get_indexer(pd.Index(lists[ITEM_ID]))
        codes = np.where(codes < 0, len(items), codes)
        chances = lists[PROPENSITY].fillna(1.0).to_numpy(np.float64) if PROPENSITY in lists else np.ones(len(lists))
        table_UL = np.full((len(users), max(int(places.max(initial=-1)) + 1, k)), -1, np.int64)
        chances_UL = np.zeros(table_UL.shape)
        table_UL[rows, places], chances_UL[rows, places] = codes, chances
        drawn_U = chances_UL[:, k:].max(axis=1, initial=0.0)
        return cls(table_UL[:, :k], chances_UL[:, :k], table_UL[:, k:], drawn_U)

    def impressions(
        self,
        model: RewardModel,
        *,
        users: Codes,
        positions: Codes,
        items: Codes,
        rewards: Values,
        propensities: Values,
        units: Codes,
    ) -> Impressions:
        """Put the policy beside logged impressions; positions count from 0, ``users`` are rows of the tables."""
        folds = units % NUM_FOLDS
        due, chances = self.due_UK[users, positions], self.chances_UK[users, positions]
        is_left_to_chance = (due >= 0) & (chances < 1)
        drawn = np.where(is_left_to_chance, self.drawn_U[users], 0.0)
        due_rewards = np.where(due >= 0, chances * model.predict(folds, positions, due), 0.0)
        next_rewards = drawn * model.rates_FP[folds, positions] * self._next_lifts(model, users, folds)[users]
        return Impressions(
            rewards=rewards,
            propensities=propensities,
            targets=np.where(items == due, chances, np.where(self._is_next(users, items), drawn, 0.0)),
            predicted=model.predict(folds, positions, items),
            baselines=due_rewards + next_rewards,
            units=units,
        )

    def _next_lifts(self, model: RewardModel, users: Codes, folds: Codes) -> Values:
        """Sum the lifts of the items that come next, in each user's own fold; float64 [U]."""
        folds_U = np.zeros(len(self.due_UK), np.int64)
        folds_U[users] = folds
        lifts_UM = model.lifts_FI[folds_U[:, None], self.next_UM]
        lifts_U: Values = np.where(self.next_UM >= 0, lifts_UM, 0.0).sum(axis=1)
        return lifts_U

    def _is_next(self, users: Codes, items: Codes) -> NDArray[np.bool_]:
        found = [
            (self.next_UM[users[start : start + BLOCK]] == items[start : start + BLOCK, None]).any(axis=1)
            for start in range(0, len(users), BLOCK)
        ]
        return np.concatenate(found) if found else np.zeros(0, bool)
