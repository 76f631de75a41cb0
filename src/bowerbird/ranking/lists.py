"""Makes lists from a model's candidates and the rules: pins first, then place by place the most relevant that no rule forbids.

Relevance is the candidate's rank made linear, 1 - (rank - 1) / C, plus its freshness: so one strength means the same for all
models, whatever their scores look like. A list that quotas leave short is made again from more candidates, up to all items.

Shapes: U users, C candidates, P pins, L places (of the list and those that come next), N items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, PROPENSITY, RANK, SCORE, SOURCE, USER_ID
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.models.base import Model
from bowerbird.models.histories import Histories, HistoryReader
from bowerbird.ranking.diversity import (
    Calibration,
    Cost,
    QuotaCost,
    ValueDiversity,
    VectorDiversity,
    past_values,
    projected_users,
    unit_vectors,
)
from bowerbird.ranking.exploration import explore, probabilities, uniform_draws
from bowerbird.ranking.rules import Shelf, longest_list
from bowerbird.recipe_rules import PINNED, Rules

BLOCK = 4096
BLOCK_CELLS = 2**22
"""The widest array of a block of users holds about so many numbers, to bound the memory."""
GROWTH = 8
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates of a block of users: rows of ``frame`` [U, C] and item codes [U, C], best first, -1 after the last."""

    frame: pd.DataFrame
    rows_UC: Codes
    codes_UC: Codes


class ListMaker:
    """Makes the lists of one model as of one time.

    Parameters
    ----------
    ask
        Gives the model's own lists of some users at some length.
    exclude_seen, history, at
        What ``ask`` asks the model with.
    num_places
        How long lists are made, before any is cut.
    as_policy
        Draw nothing; lists go on with the items that come next, and ``propensity`` is what chance gives each: an item that is
        due at its own place, one that comes next at every place that is left to chance.
    """

    def __init__(
        self,
        model: Model,
        rules: Rules,
        shelf: Shelf,
        *,
        ask: Callable[[list[Any], int], pd.DataFrame],  # Any: see Ids
        exclude_seen: bool | Sequence[str],
        history: Interactions | None,
        num_places: int,
        seed: int,
        at: int,
        as_policy: bool = False,
    ) -> None:
        self.rules, self.shelf, self.ask = rules, shelf, ask
        self.exclude_seen, self.num_places, self.seed, self.at = exclude_seen, num_places, seed, at
        self.as_policy = as_policy
        self.reader = HistoryReader(model.data, history)
        self.longest = min(num_places, longest_list(rules, shelf))
        by_model = rules.diversity is not None and rules.diversity.by == "model"
        self.vectors_ND = self._vectors(model) if by_model else np.zeros((0, 0), np.float32)

    @property
    def depth(self) -> int:
        """Places of a list, and those after it that chance draws from."""
        return self.num_places + (self.rules.exploration.candidates if self.rules.exploration else 0)

    def make(self, users: list[Any], k: int) -> pd.DataFrame:  # Any: see Ids
        """Return ``user_id, item_id, score, rank, source, propensity``, the first ``k`` places of each list.

        ``propensity`` is missing where nothing is left to chance. Pinned items have the source ``pinned`` and the score 0.
        """
        size = max(self.num_places * self.rules.pool, self.depth)
        made = self._make(users, size + self._num_pins)
        return made if self.as_policy else made[made[RANK] <= k].reset_index(drop=True)

    @property
    def _num_pins(self) -> int:
        return len(self.shelf.pins)

    def _make(self, users: list[Any], size: int) -> pd.DataFrame:  # Any: see Ids
        num_cells = max(size * self._width, self.vectors_ND.shape[1] * size, self._num_values)
        block = max(1, min(BLOCK, BLOCK_CELLS // num_cells))
        parts = [self._make_block(users[start : start + block], size) for start in range(0, len(users), block)]
        return pd.concat(parts, ignore_index=True) if parts else self._make_block([], size)

    def _make_block(self, users: list[Any], size: int) -> pd.DataFrame:  # Any: see Ids
        pool = self._pool(users, size)
        histories = self.reader.read(pd.Index(users))
        pinned_UL = self._pinned(users, histories)
        chosen_UL, is_pinned_UL = self._choose(pool, pinned_UL, histories, size)
        lists = self._as_frame(users, pool, chosen_UL, is_pinned_UL)
        is_short_U = ((chosen_UL[:, : self.num_places] >= 0).sum(axis=1) < self.longest) & (pool.rows_UC[:, -1] >= 0)
        if not is_short_U.any():
            return lists
        short = [user for user, is_short in zip(users, is_short_U, strict=True) if is_short]
        longer = self._make(short, min(size * GROWTH, len(self.shelf.item_index) + 1))
        kept = pd.concat([lists[~lists[USER_ID].isin(short)], longer], ignore_index=True)
        order = np.argsort(pd.Index(users).get_indexer(kept[USER_ID]), kind="stable")
        return kept.iloc[order].reset_index(drop=True)

    # ---- candidates

    def _pool(self, users: list[Any], size: int) -> Pool:  # Any: see Ids
        frame = self.ask(users, size)
        rows_UC = np.full((len(users), size), -1, np.int64)
        codes_UC = rows_UC.copy()
        where = pd.Index(users).get_indexer(pd.Index(frame[USER_ID])), frame[RANK].to_numpy() - 1
        rows_UC[where] = np.arange(len(frame))
        codes_UC[where] = self.shelf.item_index.get_indexer(pd.Index(frame[ITEM_ID]))
        return Pool(frame, rows_UC, codes_UC)

    def _pinned(self, users: list[Any], histories: Histories) -> Codes:  # Any: see Ids
        """Tell which pin is in force at each place, -1 for none; [U, L].

        In force is the first that applies to the user of those at the same place or of the same item.
        """
        shelf, ids = self.shelf, pd.Index(users)
        pinned_UL = np.full((len(users), self.depth), -1, np.int64)
        applies_UP = np.zeros((len(users), self._num_pins), bool)
        excluded = self.reader.excluded(histories, self.exclude_seen)
        for place, (pin, code, only) in enumerate(zip(shelf.pins, shelf.pin_codes_P, shelf.segments, strict=True)):
            applies_U = np.full(len(users), bool(shelf.is_allowed_N[code]))
            applies_U &= True if only is None else ids.isin(list(only))
            applies_U[histories.rows[excluded & (histories.items == code)]] = False
            rivals = [n for n, other in enumerate(shelf.pins[:place]) if pin.place == other.place or pin.item == other.item]
            applies_UP[:, place] = applies_U
            pinned_UL[applies_U & ~applies_UP[:, rivals].any(axis=1), pin.place - 1] = place
        return pinned_UL

    # ---- places

    def _choose(self, pool: Pool, pinned_UL: Codes, histories: Histories, size: int) -> tuple[Codes, NDArray[np.bool_]]:
        """Return the columns of the candidates in the order of the list (-1 after its end), and which are pins; each [U, L].

        Pins are columns after the pool's own.
        """
        pins_UP = np.broadcast_to(self.shelf.pin_codes_P, (len(pinned_UL), self._num_pins))
        codes_UC = np.concatenate([pool.codes_UC, pins_UP], axis=1)
        pin_codes_UL = np.where(pinned_UL >= 0, self.shelf.pin_codes_P[pinned_UL], -1) if self._num_pins else pinned_UL
        is_open_UC = codes_UC >= 0
        is_open_UC[:, size:] = False
        for codes_U in pin_codes_UL[:, : self.num_places].T:
            is_open_UC &= (codes_UC != codes_U[:, None]) | (codes_U[:, None] < 0)
        relevance_UC = 1 - np.arange(codes_UC.shape[1]) / size + self.shelf.freshness_N[codes_UC]
        columns_UL = np.where(pinned_UL >= 0, size + pinned_UL, -1)
        chosen_UL = fill_places(codes_UC, relevance_UC, is_open_UC, columns_UL, self._costs(codes_UC, histories))
        return chosen_UL, chosen_UL >= size

    def _costs(self, codes_UC: Codes, histories: Histories) -> list[Cost]:
        rules, values = self.rules, self.shelf.values
        costs: list[Cost] = [QuotaCost(codes_UC, values[quota.column], quota.most) for quota in rules.quotas]
        if rules.diversity is not None and rules.diversity.by == "model":
            costs.append(VectorDiversity(codes_UC, self.vectors_ND, rules.diversity.strength))
        elif rules.diversity is not None:
            costs.append(ValueDiversity(codes_UC, self._diversity_values, rules.diversity.strength))
        if rules.calibration is not None:
            values_NW = values[rules.calibration.column]
            costs.append(Calibration(codes_UC, values_NW, past_values(histories, values_NW), rules.calibration.strength))
        return costs

    @property
    def _diversity_values(self) -> NDArray[np.int32]:
        """The values of all columns that make items alike, side by side, no code in two columns."""
        assert self.rules.diversity is not None
        parts, first = [], 0
        for column in self.rules.diversity.columns:
            codes_NW = self.shelf.values[column]
            parts.append(np.where(codes_NW >= 0, codes_NW + first, -1).astype(np.int32))
            first += int(codes_NW.max(initial=-1)) + 1
        return np.concatenate(parts, axis=1)

    def _vectors(self, model: Model) -> NDArray[np.float32]:
        known_ND = model.item_vectors()
        if known_ND is None:
            known_ND = projected_users(model.data, self.seed)
        num_unknown = len(self.shelf.item_index) - len(known_ND)
        return unit_vectors(np.concatenate([known_ND, np.zeros((num_unknown, known_ND.shape[1]), np.float32)]))

    @property
    def _width(self) -> int:
        return max((values_NW.shape[1] for values_NW in self.shelf.values.values()), default=1)

    @property
    def _num_values(self) -> int:
        return max((int(values_NW.max(initial=0)) + 1 for values_NW in self.shelf.values.values()), default=1)

    # ---- lists

    def _as_frame(
        self,
        users: list[Any],  # Any: see Ids
        pool: Pool,
        chosen_UL: Codes,
        is_pinned_UL: NDArray[np.bool_],
    ) -> pd.DataFrame:
        chosen_UK, propensities_UK = chosen_UL[:, : self.num_places], np.full((len(users), self.num_places), np.nan)
        if self.rules.exploration is not None and self.as_policy:
            share = self.rules.exploration.share
            propensities_UK = probabilities(chosen_UL, is_pinned_UL, num_places=self.num_places, share=share)
            chosen_UK = chosen_UL
        elif self.rules.exploration is not None:
            ids: Ids = np.asarray(users, object)
            draws_UX = uniform_draws(ids, self.depth + self.num_places, seed=self.seed, at=self.at)
            share = self.rules.exploration.share
            chosen_UK, propensities_UK = explore(
                chosen_UL, is_pinned_UL, num_places=self.num_places, share=share, draws_UX=draws_UX
            )
        user, place = np.nonzero(chosen_UK >= 0)
        column = chosen_UK[user, place]
        size = pool.rows_UC.shape[1]
        rows = np.where(column < size, pool.rows_UC[user, np.minimum(column, size - 1)], -1)
        pinned = np.asarray([pin.item for pin in self.shelf.pins] or [""], object)
        is_pin = column >= size

        def told(name: str, instead: Any) -> NDArray[Any]:  # Any: a column
            own = pool.frame[name].to_numpy(object)
            return np.where(is_pin, instead, own[rows] if len(own) else instead)

        return pd.DataFrame(
            {
                USER_ID: np.asarray(users, object)[user],
                ITEM_ID: told(ITEM_ID, pinned[np.where(is_pin, column - size, 0)]),
                SCORE: told(SCORE, 0.0).astype(np.float64),
                RANK: (place + 1).astype(np.int32),
                SOURCE: told(SOURCE, PINNED),
                PROPENSITY: propensities_UK[user, place],
            }
        )


def fill_places(
    codes_UC: Codes,
    relevance_UC: NDArray[np.float64],
    is_open_UC: NDArray[np.bool_],
    columns_UL: Codes,
    costs: Sequence[Cost],
) -> Codes:
    """Give each place to the open candidate with the greatest relevance less costs, ties to the first; [U, L].

    Parameters
    ----------
    columns_UL
        The column of the candidate that a pin puts at a place, -1 where the place is free. Pinned items count, for all rules,
        as listed from the start.

    Returns
    -------
    int64 [U, L]
        Columns of the candidates, -1 after the end of a list: where nothing is left for a place, later pins move up.
    """
    is_open_UC, chosen_UL, users = is_open_UC.copy(), columns_UL.copy(), np.arange(len(codes_UC))
    for column_U in columns_UL.T:
        codes_U = np.where(column_U >= 0, codes_UC[users, column_U], -1)
        for cost in costs if (column_U >= 0).any() else ():
            cost.add(codes_U)
    for place in range(columns_UL.shape[1]):
        gain_UC = np.where(is_open_UC, relevance_UC, -np.inf)
        for cost in costs:
            gain_UC -= cost.costs()
        best_U = gain_UC.argmax(axis=1)
        is_filled_U = (columns_UL[:, place] < 0) & (gain_UC[users, best_U] > -np.inf)
        chosen_UL[is_filled_U, place] = best_U[is_filled_U]
        is_open_UC[users[is_filled_U], best_U[is_filled_U]] = False
        codes_U = np.where(is_filled_U, codes_UC[users, best_U], -1)
        for cost in costs:
            cost.add(codes_U)
    order_UL = np.argsort(chosen_UL < 0, axis=1, kind="stable")
    return np.take_along_axis(chosen_UL, order_UL, axis=1)
