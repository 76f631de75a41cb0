"""The part of the conformance suite that measures: the checkerboard, and MovieLens small."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import ITEM_ID, RANK, USER_ID
from bowerbird.testing.datasets import checkerboard, leave_last_out, movielens_events
from bowerbird.testing.lists import Subject


def ndcg_of_one(lists: pd.DataFrame, targets: pd.Series[Any]) -> float:  # Any: item ids
    """Return the mean of 1 / log2(1 + rank) where the one target of a user is listed, 0 where it is not."""
    return float((1 / np.log2(1 + _hits(lists, targets)[RANK])).sum() / len(targets))


def recall_of_one(lists: pd.DataFrame, targets: pd.Series[Any]) -> float:  # Any: item ids
    """Return the share of users whose one target is listed."""
    return len(_hits(lists, targets)) / len(targets)


def _hits(lists: pd.DataFrame, targets: pd.Series[Any]) -> pd.DataFrame:  # Any: item ids
    return lists.merge(targets.rename(ITEM_ID).rename_axis(USER_ID).reset_index(), on=[USER_ID, ITEM_ID])


class AccuracyConformance(Subject):
    """Whether the model finds what it should."""

    solves_checkerboard: ClassVar[bool] = True
    """Whether the withheld item of the checkerboard comes first for everybody."""
    expected_ndcg: ClassVar[float | None] = None
    """NDCG@10 on MovieLens small, each user's last rating from 3.5 up held out; measured once, then kept."""
    tolerance: ClassVar[float] = 0.05
    """How far the metric may be off, relative; 0.001 is allowed in any case."""

    def movielens_folder(self, root: Path) -> Path:
        """Say where MovieLens latest-small lies, given pytest's root folder."""
        return root.parent / "shared" / "data" / "ml-latest-small"

    def test_the_withheld_item_is_the_only_right_answer(self) -> None:
        if not self.solves_checkerboard:
            pytest.skip(f"{self.name} does not look at what users have in common")
        log = checkerboard()
        lists = self.fit(log).recommend(range(20), k=1)
        assert lists[ITEM_ID].tolist() == list(range(20))

    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        folder = self.movielens_folder(request.config.rootpath)
        if self.expected_ndcg is None:
            pytest.skip(f"no expected metric is set for {self.name}")
        if not (folder / "ratings.csv").is_file():
            pytest.skip(f"MovieLens latest-small is not at {folder}")
        events, targets = leave_last_out(movielens_events(folder))
        lists = self.fit(events).recommend(targets.index, k=10)
        assert ndcg_of_one(lists, targets) == pytest.approx(self.expected_ndcg, rel=self.tolerance, abs=0.001)
