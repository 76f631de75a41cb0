"""The part of the conformance suite on odd and wrong data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from bowerbird.data.interactions import Interactions
from bowerbird.errors import DataError
from bowerbird.models.base import FALLBACK
from bowerbird.testing.datasets import small_log
from bowerbird.testing.lists import Subject, check_lists, list_of


class EdgeConformance(Subject):
    """Odd data gives lists, wrong data gives an error that says what is wrong."""

    def _check_everybody(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Fit, and check the lists of all users with and without what they have seen."""
        model = self.fit(frame)
        users = [*frame[USER_ID].unique(), "nobody"]
        catalogue = set(frame[ITEM_ID])
        lists = model.recommend(users, k=10, exclude_seen=False)
        check_lists(lists, users=users, k=10)
        assert (lists.groupby(USER_ID).size() == min(10, len(catalogue))).all()
        unseen = model.recommend(users, k=10)
        check_lists(unseen, users=users, k=10)
        assert unseen.merge(frame, on=[USER_ID, ITEM_ID]).empty
        return unseen

    def test_one_user(self) -> None:
        lists = self._check_everybody(small_log().query("user_id == 'ann'"))
        assert set(lists[USER_ID]) == {"nobody"}, "ann has seen all there is"

    def test_one_item(self) -> None:
        lists = self._check_everybody(small_log().query("item_id == 'apple'"))
        assert list_of(lists, "nobody") == ["apple"]

    def test_one_event(self) -> None:
        self._check_everybody(small_log().head(1))

    def test_one_event_a_user(self) -> None:
        self._check_everybody(small_log().drop_duplicates(USER_ID))

    def test_one_event_an_item(self) -> None:
        self._check_everybody(small_log().drop_duplicates(ITEM_ID))

    def test_zero_weights_are_seen_without_evidence(self) -> None:
        self._check_everybody(small_log().assign(weight=0.0))

    def test_some_zero_weights(self) -> None:
        self._check_everybody(small_log().assign(weight=[0.0, 1.0] * 11))

    def test_tiny_and_large_weights(self) -> None:
        self._check_everybody(small_log().assign(weight=[1e-12, 1e12] * 11))

    def test_constant_timestamps(self) -> None:
        self._check_everybody(small_log().assign(timestamp=1_700_000_000))

    def test_times_before_1970(self) -> None:
        self._check_everybody(small_log().assign(timestamp=range(-22, 0)))

    def test_the_same_event_many_times(self) -> None:
        self._check_everybody(pd.concat([small_log().head(1)] * 50))

    def test_a_user_with_a_thousand_times_the_events_of_others(self) -> None:
        items = [f"item {place % 40}" for place in range(3000)]
        busy = pd.DataFrame({USER_ID: "busy", ITEM_ID: items, TIMESTAMP: range(3000), WEIGHT: 1.0, "event": "view"})
        lists = self._check_everybody(pd.concat([small_log(), busy]))
        assert len(list_of(lists, "busy")) == 8

    def test_items_that_only_the_catalogue_has_may_fill_a_list(self) -> None:
        log = small_log().query("user_id == 'ann'")
        data = Interactions.from_frame(log, item_ids=np.asarray(["apple", "kite"], object))
        lists = self.build().fit(data).recommend(["ann"], k=5)
        assert list_of(lists, "ann") == ["kite"]

    def test_users_whose_events_were_selected_away_are_cold(self) -> None:
        data = Interactions.from_frame(small_log())
        model = self.build().fit(data.select(data.user_ids[data.users] != "ann"))
        assert set(model.recommend(["ann"], k=3)["source"]) == {FALLBACK}

    def test_no_events_are_an_error(self) -> None:
        with pytest.raises(DataError, match="no events"):
            self.fit(small_log().head(0))

    @pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
    def test_weights_that_are_no_evidence_are_an_error(self, weight: float) -> None:
        with pytest.raises(DataError, match="negative or not finite"):
            self.fit(small_log().assign(weight=[weight] + [1.0] * 21))

    def test_a_missing_column_is_an_error(self) -> None:
        with pytest.raises(DataError, match="no column 'item_id'"):
            self.fit(small_log().drop(columns=ITEM_ID))
