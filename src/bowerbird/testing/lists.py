"""The part of the conformance suite that says what a list is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import EVENT, ITEM_ID, RANK, SCORE, SOURCE, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.errors import CapabilityError, DataError
from bowerbird.models import build_model, load_model
from bowerbird.models.base import FALLBACK, Model
from bowerbird.testing.datasets import small_log

COLUMNS = [USER_ID, ITEM_ID, SCORE, RANK, SOURCE]


def list_of(lists: pd.DataFrame, user: Any) -> list[Any]:  # Any: user and item ids
    """Return one user's items by rank."""
    return list(lists[lists[USER_ID] == user].sort_values(RANK)[ITEM_ID])


def check_lists(lists: pd.DataFrame, *, users: Iterable[Any], k: int) -> None:  # Any: user ids
    """Check the contract of a set of lists: columns, finite scores, ranks without gaps, different items, falling scores."""
    assert list(lists.columns) == COLUMNS
    assert set(lists[USER_ID]) <= set(users)
    assert np.isfinite(lists[SCORE]).all()
    assert not lists.duplicated([USER_ID, ITEM_ID]).any()
    for user, own in lists.groupby(USER_ID, sort=False):
        assert own[RANK].tolist() == list(range(1, len(own) + 1)), f"ranks of {user!r} have gaps or are not in order"
        assert len(own) <= k
        for _, part in own.groupby(SOURCE):
            assert (np.diff(part[SCORE]) <= 0).all(), f"scores of {user!r} rise within one source"
        assert own[SOURCE].eq(FALLBACK).is_monotonic_increasing, f"{user!r} has a fallback before an item of the model"


def same_lists(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Check that two sets have the same lists, with scores equal within 1e-6 relative."""
    for column in (USER_ID, ITEM_ID, RANK, SOURCE):
        assert first[column].tolist() == second[column].tolist(), f"{column} differs"
    np.testing.assert_allclose(first[SCORE], second[SCORE], rtol=1e-6, atol=1e-9)


class Subject:
    """The model under test: a subclass names it, or builds it."""

    name: ClassVar[str]
    """The model's name, as ``build_model`` knows it and as ``source`` shows it."""
    config: ClassVar[dict[str, Any]] = {}  # Any: the model's config checks the values

    def build(self, *, seed: int = 1) -> Model:
        """Make a model that is not fitted; override it for a model that ``build_model`` does not know."""
        return build_model(self.name, seed=seed, **self.config)

    def load(self, folder: Any) -> Model:  # Any: a path
        """Read a model back; override it for a model that ``load_model`` does not know."""
        return load_model(folder)

    def fit(self, frame: pd.DataFrame, *, seed: int = 1) -> Model:
        """Fit the model to a frame of events."""
        return self.build(seed=seed).fit(Interactions.from_frame(frame))

    @pytest.fixture(scope="class")
    def fitted(self) -> Model:
        """The model, fitted once to the small log; tests must not change it."""
        return self.fit(small_log())


class ListConformance(Subject):
    """Lists: shape, what is left out, whose history counts."""

    def test_lists_have_the_agreed_columns_and_ranks_without_gaps(self, fitted: Model) -> None:
        users = sorted(set(small_log()[USER_ID]))
        lists = fitted.recommend(users, k=3)
        check_lists(lists, users=users, k=3)
        assert lists[USER_ID].drop_duplicates().tolist() == users, "users keep the order in which they were asked for"
        assert (lists.groupby(USER_ID).size() == 3).all()

    def test_seen_items_are_left_out(self, fitted: Model) -> None:
        seen = small_log()
        lists = fitted.recommend(seen[USER_ID].unique(), k=8)
        assert lists.merge(seen, on=[USER_ID, ITEM_ID]).empty
        catalogue = seen[ITEM_ID].nunique()
        assert len(list_of(lists, "ann")) == catalogue - 4

    def test_seen_items_may_be_recommended_where_repeats_are_welcome(self, fitted: Model) -> None:
        lists = fitted.recommend(["ann", "gus"], k=8, exclude_seen=False)
        assert sorted(list_of(lists, "ann")) == sorted(small_log()[ITEM_ID].unique())

    def test_only_items_with_the_named_events_are_left_out(self, fitted: Model) -> None:
        log = small_log()
        lists = fitted.recommend(["ann", "cem"], k=8, exclude_seen=["buy"])
        bought = log[log[EVENT] == "buy"]
        for user in ("ann", "cem"):
            assert set(list_of(lists, user)) == set(log[ITEM_ID]) - set(bought[bought[USER_ID] == user][ITEM_ID])

    def test_only_candidates_are_recommended(self, fitted: Model) -> None:
        lists = fitted.recommend(["ann", "bob", "nobody"], k=8, candidates=["saw", "glue", "fig", "unknown"])
        assert set(list_of(lists, "ann")) == {"saw", "glue"}
        assert set(list_of(lists, "bob")) == {"saw", "glue", "fig"}
        assert set(list_of(lists, "nobody")) == {"saw", "glue", "fig"}

    def test_no_candidates_give_no_list(self, fitted: Model) -> None:
        lists = fitted.recommend(["ann", "nobody"], candidates=["unknown"])
        assert lists.empty
        assert list(lists.columns) == COLUMNS

    def test_history_stands_in_and_defines_what_is_seen(self, fitted: Model) -> None:
        history = pd.DataFrame({USER_ID: ["ann", "ann", "new"], ITEM_ID: ["saw", "nail", "saw"]})
        lists = fitted.recommend(["ann", "new", "bob"], k=8, history=history)
        everything = set(small_log()[ITEM_ID])
        assert set(list_of(lists, "ann")) == everything - {"saw", "nail"}
        assert set(list_of(lists, "new")) == everything - {"saw"}
        assert list_of(lists, "bob") == list_of(fitted.recommend(["bob"], k=8), "bob")

    def test_unknown_items_of_a_history_are_skipped_and_counted(self, fitted: Model) -> None:
        history = pd.DataFrame({USER_ID: ["new"] * 4, ITEM_ID: ["comet", "saw", "quark", "nail"]})
        with_unknown = fitted.recommend(["new"], k=8, history=history)
        assert fitted.num_skipped == 2
        same_lists(with_unknown, fitted.recommend(["new"], k=8, history=history.iloc[[1, 3]]))
        assert fitted.num_skipped == 0

    def test_cold_user_gets_popular_items(self, fitted: Model) -> None:
        lists = fitted.recommend(["nobody"], k=3)
        assert lists[SOURCE].tolist() == [FALLBACK] * 3
        assert list_of(lists, "nobody")[0] == "apple", "the item with the most evidence comes first"

    def test_user_with_a_history_of_unknown_items_is_cold(self, fitted: Model) -> None:
        lists = fitted.recommend(["ann"], k=3, history=pd.DataFrame({USER_ID: ["ann"], ITEM_ID: ["comet"]}))
        assert lists[SOURCE].tolist() == [FALLBACK] * 3

    def test_unknown_users_do_not_disturb_known_ones(self, fitted: Model) -> None:
        mixed = fitted.recommend(["nobody", "ann", 7, "bob"], k=3)
        check_lists(mixed, users=["nobody", "ann", 7, "bob"], k=3)
        for user in ("ann", "bob"):
            assert list_of(mixed, user) == list_of(fitted.recommend([user], k=3), user)

    def test_a_batch_gives_what_single_requests_give(self, fitted: Model) -> None:
        users = [*small_log()[USER_ID].unique(), "nobody"]
        single = pd.concat([fitted.recommend([user], k=4) for user in users], ignore_index=True)
        same_lists(fitted.recommend(users, k=4), single)

    def test_a_user_asked_for_twice_is_answered_once(self, fitted: Model) -> None:
        same_lists(fitted.recommend(["ann", "bob", "ann"], k=3), fitted.recommend(["ann", "bob"], k=3))

    def test_nobody_asked_gives_an_empty_frame(self, fitted: Model) -> None:
        lists = fitted.recommend([])
        assert lists.empty
        assert list(lists.columns) == COLUMNS

    def test_k_beyond_the_catalogue_gives_what_there_is(self, fitted: Model) -> None:
        lists = fitted.recommend(["ann", "nobody"], k=1000)
        check_lists(lists, users=["ann", "nobody"], k=1000)
        assert set(list_of(lists, "nobody")) == set(small_log()[ITEM_ID])

    @pytest.mark.parametrize("k", [0, -1, 2.5, True])
    def test_k_that_is_no_count_is_an_error(self, fitted: Model, k: Any) -> None:  # Any: wrong on purpose
        with pytest.raises(DataError, match="k is"):
            fitted.recommend(["ann"], k=k)

    def test_one_text_instead_of_a_list_of_ids_is_an_error(self, fitted: Model) -> None:
        with pytest.raises(DataError, match="one text"):
            fitted.recommend("ann")

    def test_score_agrees_with_recommend(self, fitted: Model) -> None:
        lists = fitted.recommend(["ann", "bob", "dia"], k=8, exclude_seen=False)
        own = lists[lists[SOURCE] == self.name].sample(frac=1, random_state=1)
        np.testing.assert_allclose(fitted.score(own[[USER_ID, ITEM_ID]]), own[SCORE], rtol=1e-6, atol=1e-9)

    def test_score_of_an_unknown_item_is_missing(self, fitted: Model) -> None:
        assert np.isnan(fitted.score(pd.DataFrame({USER_ID: ["ann"], ITEM_ID: ["comet"]}))).all()

    def test_a_model_that_is_not_fitted_says_so(self) -> None:
        with pytest.raises(CapabilityError, match="not fitted"):
            self.build().recommend(["ann"])
