"""Two stages: generators draw candidates, a ranker that has seen what later became of such candidates orders them.

    cut         newest event less horizon_days
    candidates  of generators fitted on the events before cut: the best num_candidates of each
    x(u, i)     1 / rank of i in each generator's list (0: not in it), and pair_features of user, item and both as of cut
    y(u, i)     1 where u has a target event on i from cut on (``Interactions.is_target``)
    score(u, i) = ranker(x(u, i)) + 1e-6 * sum over generators of 1 / (60 + rank)

So the ranker learns from what happened after all that the generators had seen. Then generators, with what their first fits
chose, and features are fitted on everything; since ranks and not scores of generators enter, the ranker still fits. Where fewer
than ``min_users`` users have both a candidate that came true and one that did not, there is no ranker, and the sum alone orders
(Cormack et al., SIGIR 2009). Weights enter as evidence and as the generators say. Covington, Adams and Sargin, "Deep neural
networks for YouTube recommendations", RecSys 2016, for the two stages. B users, N items, C candidates, P pairs, F features.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from bowerbird.columns import ITEM_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.errors import RecipeError, did_you_mean
from bowerbird.models import build_model, check_config, validate
from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Arrays, Histories, ModelConfig, logger, unprefixed
from bowerbird.models.composite import Composite, CompositeConfig, Drawn, Table
from bowerbird.models.histories import HistoryReader
from bowerbird.models.lambdamart import LambdaMart, LambdaMartConfig
from bowerbird.models.pair_features import PairFeatures
from bowerbird.models.pointwise import Pointwise, history_before
from bowerbird.models.topk import Scores

RANKERS = ("decision_tree", "lambdamart", "linear_svm", "naive_bayes")
RANK_CONSTANT = 60
TIE_BREAK = 1e-6
MAX_USERS = 5000
BLOCK_USERS = 256


def checked_ranker(table: Table) -> Table:
    """Check a ranker's table ``name`` and settings, and write all settings out. Raises RecipeError."""
    name, settings = table.get("name"), {key: value for key, value in table.items() if key != "name"}
    if name not in RANKERS:
        closest = did_you_mean(str(name), list(RANKERS))
        raise RecipeError(f"there is no ranker {name!r}; known: {', '.join(RANKERS)}{closest}", next_step="name one of these")
    config = validate(LambdaMartConfig, name, settings) if name == "lambdamart" else check_config(name, settings)
    return {"name": name} | config.model_dump(mode="json")


class TwoStageConfig(CompositeConfig):
    """Who draws candidates, who orders them, and what that is learned from."""

    ranker: Annotated[
        Table, Field(default_factory=lambda: {"name": "lambdamart"}, validate_default=True), AfterValidator(checked_ranker)
    ]
    """A table: ``name`` of a ranker, and its settings; those of pointwise models on cut-offs and negatives do not count here."""
    horizon_days: Annotated[float, Field(gt=0, le=3650)] = 28.0
    """The ranker learns from so many days at the end of the data."""
    exclude_seen: bool = True
    """Whether a user's past items are no candidates when the ranker learns: false where repeats are welcome."""
    min_users: Annotated[int, Field(ge=1)] = 50
    """So many users must have a candidate that came true, and one that did not, for a ranker to learn."""


class TwoStage(Composite):
    """Candidates of several models, ordered by a ranker."""

    name: ClassVar[str] = "two_stage"
    Config: ClassVar[type[ModelConfig]] = TwoStageConfig
    config: TwoStageConfig

    def __init__(self, config: ModelConfig, *, seed: int = 1) -> None:
        super().__init__(config, seed=seed)
        settings: dict[str, Any] = {**self.config.ranker}  # Any: the ranker's config decides the types
        name = settings.pop("name")
        self._ranker: LambdaMart | Pointwise
        if name == "lambdamart":
            self._ranker = LambdaMart(LambdaMartConfig.model_validate(settings), seed=seed)
        else:
            model = build_model(name, seed=seed, **settings)
            assert isinstance(model, Pointwise)
            self._ranker = model

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is not None:
            data = data.with_items(items[ITEM_ID].to_numpy())
        cut = data.last_timestamp + 1 - int(self.config.horizon_days * MICROSECONDS_A_DAY)
        self._ranker._learned = {}
        chosen = [build_model(**table, seed=self.seed) for table in self.config.generators]
        if len(data.before(cut)):
            early = self._build(data.before(cut), items, users)
            self._take(early, data)
            self._learn(cut, items, users)
            chosen = [build_model(part.name, seed=self.seed, **part.frozen_config()) for part in early]
        if not self._ranker._learned:
            logger.info("two_stage: under %d users to learn a ranker from, reciprocal ranks order", self.config.min_users)
        self._take(self._fit_all(chosen, data, items, users, stage="last"), data)
        self._features = PairFeatures.fit(self.data, items, users)

    def _learn(self, cut: int, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        """Let the ranker learn from the candidates that generators fitted before ``cut`` draw, and what became of them."""
        before, later = self.data.before(cut), self.data.select((self.data.timestamps >= cut) & self.data.is_target)
        asked = np.intersect1d(before.users, later.users)
        if len(asked) > MAX_USERS:
            asked = np.sort(np.random.default_rng(self.seed).choice(asked, MAX_USERS, replace=False))
        came_true = np.unique(later.users.astype(np.int64) * later.num_items + later.items)
        features, reader = PairFeatures.fit(self.data, items, users, at=cut), HistoryReader(before, None)
        xs, labels, sizes = [], [], []
        for start in range(0, len(asked), BLOCK_USERS):
            block = asked[start : start + BLOCK_USERS]
            histories = reader.read(before.user_index[block])
            excluded = np.full(len(histories.items), self.config.exclude_seen)
            rows, codes, ranks_PG = self._candidates(histories, cut, Barrier.of(histories, excluded, None))
            if len(rows) == 0:
                continue
            x_PF = np.concatenate([ranks_PG.astype(np.float32), features.of(histories, rows, codes, cut)], axis=1)
            is_true = np.isin(block[rows].astype(np.int64) * later.num_items + codes, came_true)
            num_true, num_all = (np.bincount(of, minlength=len(block)) for of in (rows[is_true], rows))
            teaches_B = (num_true > 0) & (num_true < num_all)
            xs.append(x_PF[teaches_B[rows]])
            labels.append(is_true[teaches_B[rows]])
            sizes.append(num_all[teaches_B])
        if sum(map(len, sizes)) < self.config.min_users:
            return
        self._ranker._learned = self._train(np.concatenate(xs), np.concatenate(labels), np.concatenate(sizes))

    def _train(self, x_PF: NDArray[np.float32], labels_P: NDArray[np.bool_], sizes_Q: NDArray[np.int64]) -> Arrays:
        if isinstance(self._ranker, LambdaMart):
            self._ranker._booster = None
            return self._ranker.train(x_PF, labels_P, sizes_Q)
        return self._ranker._train(x_PF, labels_P)

    def _candidates(
        self, histories: Histories, at: int, bar: Barrier
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Draw candidates: places of users in the block, item codes, and 1 / rank by generator [P, G]; by user and item."""
        points_GBN = list(self._all_points(self._draw(histories, at=at, bar=bar)))
        rows, codes = np.nonzero(np.maximum.reduce(points_GBN) > 0)
        return rows, codes, np.stack([np.maximum(points_BN[rows, codes], 0) for points_BN in points_GBN], axis=1)

    def _points(self, drawn: Drawn, generator: int) -> NDArray[np.float64]:
        return np.broadcast_to(1 / np.arange(1, drawn[0].shape[1] + 1), drawn[0].shape)

    def _score_among(self, histories: Histories, at: int, bar: Barrier) -> Scores:
        rows, codes, ranks_PG = self._candidates(histories, at, bar)
        with np.errstate(divide="ignore"):
            scores_P = (1 / (RANK_CONSTANT + 1 / ranks_PG)).sum(axis=1)
        if self._ranker._learned and len(rows):
            described = self._features.of(history_before(histories, at), rows, codes, at)
            scores_P = self._rank(np.concatenate([ranks_PG.astype(np.float32), described], axis=1)) + TIE_BREAK * scores_P
        scores_BN = np.full((len(histories.users), self.data.num_items), -np.inf)
        scores_BN[rows, codes] = scores_P
        return scores_BN

    def _rank(self, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
        return self._ranker.score(x_PF) if isinstance(self._ranker, LambdaMart) else self._ranker._log_odds(x_PF)

    def _arrays(self) -> Arrays:
        kept = {f"features.{name}": array for name, array in self._features.arrays().items()}
        return kept | {f"ranker.{name}": array for name, array in self._ranker._learned.items()}

    def _restore(self, arrays: Arrays) -> None:
        super()._restore(arrays)
        self._features = PairFeatures.restore(unprefixed(arrays, "features."))
        self._ranker._learned = unprefixed(arrays, "ranker.")
