"""The part of the conformance suite on tables that describe items and users, which may be thin, odd or wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import CATEGORIES, DESCRIPTION, ITEM_ID, PRICE, TITLE, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.errors import DataError
from bowerbird.models.base import Model
from bowerbird.testing.datasets import renamed, small_log
from bowerbird.testing.lists import Subject, check_lists, list_of, same_lists


def small_items() -> pd.DataFrame:
    """Describe the eight items of the small log, and a kite that nobody has touched."""
    items = ["apple", "bolt", "fig", "glue", "kite", "nail", "pear", "plum", "saw"]
    is_fruit = [item in ("apple", "fig", "pear", "plum") for item in items]
    kinds = ["toy" if item == "kite" else "fruit" if fruit else "tool" for item, fruit in zip(items, is_fruit, strict=True)]
    prices = [1.0 if fruit else 5.0 for fruit in is_fruit]
    titles = [f"{kind} {item}" for kind, item in zip(kinds, items, strict=True)]
    return pd.DataFrame({ITEM_ID: items, TITLE: titles, CATEGORIES: [[kind] for kind in kinds], PRICE: prices})


def small_users() -> pd.DataFrame:
    """Describe the seven users of the small log, and one who has done nothing."""
    users = ["ann", "bob", "cem", "dia", "eva", "fay", "gus", "hal"]
    return pd.DataFrame({USER_ID: users, "country": ["FR", "DE"] * 4, "age": range(20, 28)})


class TableConformance(Subject):
    """Whatever is said of items and users, there are lists, or an error that says what is wrong."""

    def _check(self, items: pd.DataFrame | None, users: pd.DataFrame | None = None, *, log: pd.DataFrame | None = None) -> Model:
        """Fit with tables; check the lists of known, unknown and silent users with and without what they have seen."""
        log = small_log() if log is None else log
        model = self.build().fit(Interactions.from_frame(log), items=items, users=users)
        asked = [*log[USER_ID].unique(), "hal", "nobody"]
        known = {*log[ITEM_ID], *(() if items is None else items[ITEM_ID].dropna())}
        for exclude_seen in (True, False):
            lists = model.recommend(asked, k=20, exclude_seen=exclude_seen)
            check_lists(lists, users=asked, k=20)
            assert set(lists[ITEM_ID]) <= known
            if not exclude_seen:
                assert (lists.groupby(USER_ID)[ITEM_ID].agg(set) >= set(log[ITEM_ID])).all(), "each list reaches all of the log"
        return model

    def test_tables_that_describe_items_and_users_are_welcome(self) -> None:
        self._check(small_items(), small_users())

    def test_items_without_text_or_category(self) -> None:
        items = small_items()
        items[DESCRIPTION] = None
        blank = items[ITEM_ID].isin(["apple", "saw"])
        items.loc[blank, [TITLE, PRICE]] = [None, np.nan]
        items[CATEGORIES] = [None if is_blank else kinds for is_blank, kinds in zip(blank, items[CATEGORIES], strict=True)]
        items.loc[items[ITEM_ID] == "bolt", TITLE] = "   "
        self._check(items)

    def test_no_item_is_described(self) -> None:
        self._check(small_items()[[ITEM_ID]])
        self._check(small_items().head(0))

    def test_items_of_the_log_that_the_catalogue_lacks(self) -> None:
        self._check(small_items().head(3), small_users().head(2))

    def test_a_category_that_was_never_seen(self) -> None:
        items = small_items()
        model = self._check(items[items[ITEM_ID] != "kite"])
        history = pd.DataFrame({USER_ID: ["new"], ITEM_ID: ["kite"]})  # what it is came too late
        assert len(model.recommend(["new"], k=3, history=history)) == 3
        self._check(items)  # its category has no event

    def test_all_features_are_constant(self) -> None:
        items = small_items().assign(title="thing", price=3.0, categories=pd.Series([["x"]] * 9))
        self._check(items, small_users().assign(country="FR", age=30))

    def test_everybody_had_everything_so_there_is_one_class_only(self) -> None:
        log = small_log()
        everything = log[[USER_ID]].drop_duplicates().merge(log[[ITEM_ID]].drop_duplicates(), how="cross")
        everything = everything.assign(timestamp=[1_700_000_000 + 3600 * place for place in range(len(everything))], label=1.0)
        self._check(small_items(), small_users(), log=everything)
        self._check(small_items(), small_users(), log=everything.assign(label=0.0, weight=0.0))

    def test_of_items_and_users_that_are_described_twice_the_last_counts(self) -> None:
        wrong = small_items().assign(title="nonsense", categories=pd.Series([["wrong"]] * 9), price=99.0)
        items = pd.concat([wrong, small_items()], ignore_index=True)
        users = pd.concat([small_users().assign(country="XX"), small_users()], ignore_index=True)
        twice, once = self._check(items, users), self._check(small_items(), small_users())
        asked = small_log()[USER_ID].unique()
        same_lists(twice.recommend(asked, k=5), once.recommend(asked, k=5))

    def test_ids_that_are_named_twice_count_once(self, fitted: Model) -> None:
        once = fitted.recommend(["ann", "bob"], k=3, candidates=["saw", "nail"])
        same_lists(fitted.recommend(["bob", "ann", "bob"][1:], k=3, candidates=["saw", "nail", "saw"]), once)
        pairs = pd.DataFrame({USER_ID: ["ann", "bob", "ann"], ITEM_ID: ["saw", "saw", "saw"]})
        scores = fitted.score(pairs)
        np.testing.assert_array_equal(scores[[0]], scores[[2]])

    @pytest.mark.parametrize("column", [USER_ID, ITEM_ID])
    @pytest.mark.parametrize("other", [7, 7.5, b"x", None])
    def test_ids_of_mixed_types_are_an_error(self, column: str, other: Any) -> None:  # Any: wrong on purpose
        frame = small_log().astype({column: object})
        frame.loc[3, column] = other
        with pytest.raises(DataError, match=f"{column} mixes types|have no {column}"):
            self.fit(frame)

    def test_a_catalogue_with_ids_of_another_type_is_an_error_or_tells_nothing(self) -> None:
        data = Interactions.from_frame(small_log())
        items = small_items().assign(item_id=range(9))
        try:
            model = self.build().fit(data, items=items, users=small_users().assign(user_id=range(8)))
        except DataError as error:
            assert "item_id holds" in str(error)
            return
        assert set(model.recommend(["ann", "nobody"], k=20, exclude_seen=False)[ITEM_ID]) == set(small_log()[ITEM_ID])

    def test_asking_with_ids_of_another_type_is_asking_for_strangers(self) -> None:
        log = renamed(renamed(small_log(), USER_ID, range(7)), ITEM_ID, range(8))
        model = self.fit(log)
        lists = model.recommend(["0", 0, None, "x"], k=3, candidates=[1, "1", 2, None, 3, 4, 5, 6, 7])
        assert len(list_of(lists, 0)) == 3
        assert set(lists.loc[lists[USER_ID].isin(["0", "x"]), "source"]) == {"fallback"}
        assert set(lists[ITEM_ID]) <= set(range(8))
