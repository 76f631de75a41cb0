"""The part of the conformance suite on what a model keeps: seeds, saving, updating, explaining."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import ITEM_ID, SOURCE, TIMESTAMP, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.errors import CapabilityError, DataError, HomeError
from bowerbird.models.base import Model
from bowerbird.testing.datasets import renamed, small_log
from bowerbird.testing.lists import Subject, check_lists, same_lists

IDS: dict[str, tuple[list[Any], list[Any]]] = {  # Any: texts or whole numbers
    "texts": ([f"user {n}" for n in range(7)], [f"item {n}" for n in range(8)]),
    "whole numbers": (list(range(10, 17)), list(range(-4, 4))),
    "huge whole numbers": ([2**62 + n for n in range(7)], [2**63 + n for n in range(8)]),
    "unicode": (["é", "中文", "ß", "🐦", "Ω", "ı", "\u202e"], ["ñ", "日本", "🦜", "Å", "A\u030a", "я", "ø", "ﬁ"]),
    "punctuation": (
        ["'", '"', "; drop table events; --", "a\nb", "a\tb", "\\", ""],
        ["'", "''", '"', "a,b", "a\r\nb", "${x}", "%s", " "],
    ),
    "very long": (["u" * 100_000 + str(n) for n in range(7)], ["i" * 100_000 + str(n) for n in range(8)]),
}


class StateConformance(Subject):
    """What a model keeps from ``fit`` on."""

    can_update: ClassVar[bool] = False
    """Whether ``update`` works; where not, it must raise CapabilityError."""
    update_is_exact: ClassVar[bool] = True
    """Whether ``update`` gives the lists of a full fit; where not, a test of the model's own says how near it comes."""
    can_explain: ClassVar[bool] = False
    """Whether ``explain`` works; where not, it must raise CapabilityError."""

    def test_the_same_seed_gives_the_same_lists(self, fitted: Model) -> None:
        users = small_log()[USER_ID].unique()
        same_lists(fitted.recommend(users, k=8), self.fit(small_log()).recommend(users, k=8))

    def test_asking_twice_gives_the_same_lists(self, fitted: Model) -> None:
        users = small_log()[USER_ID].unique()
        same_lists(fitted.recommend(users, k=8), fitted.recommend(users, k=8))

    def test_recommending_leaves_the_events_alone(self, fitted: Model) -> None:
        before = fitted.data.to_frame()
        fitted.recommend(["ann"], history=small_log()[[USER_ID, ITEM_ID]])
        pd.testing.assert_frame_equal(before, fitted.data.to_frame())

    @pytest.mark.parametrize("kind", IDS)
    def test_a_loaded_model_gives_the_same_lists(self, tmp_path: Path, kind: str) -> None:
        users, items = IDS[kind]
        model = self.fit(renamed(renamed(small_log(), USER_ID, users), ITEM_ID, items))
        lists = model.recommend([*users, "nobody"], k=5)
        check_lists(lists, users=[*users, "nobody"], k=5)
        assert set(lists[ITEM_ID]) <= set(items)
        model.save(tmp_path / "é 中文" / "model")
        loaded = self.load(tmp_path / "é 中文" / "model")
        same_lists(lists, loaded.recommend([*users, "nobody"], k=5))
        assert loaded.frozen_config() == model.frozen_config()
        assert loaded.seed == model.seed

    def test_a_folder_that_exists_is_not_overwritten(self, fitted: Model, tmp_path: Path) -> None:
        with pytest.raises(HomeError, match="exists already"):
            fitted.save(tmp_path)

    def test_a_frozen_config_builds_the_same_kind_of_model(self, fitted: Model) -> None:
        assert type(fitted.config).model_validate(fitted.frozen_config()).model_dump(mode="json") == fitted.frozen_config()

    def test_an_update_gives_what_a_full_fit_gives(self) -> None:
        log = small_log()
        if not self.can_update:
            with pytest.raises(CapabilityError, match="cannot be updated"):
                self.fit(log).update(Interactions.from_frame(log))
            return
        late = pd.DataFrame({USER_ID: ["bob", "new", "new", "ann"], ITEM_ID: ["kite", "kite", "saw", "glue"]})
        late[TIMESTAMP] = [1_700_000_000, 1_800_000_000, 1_800_000_001, 1_700_007_200]  # one before, one amid, two after
        for old, new in ((log.iloc[:15], log.iloc[15:]), (log.iloc[::2], log.iloc[1::2]), (log, late)):
            full = Interactions.from_frame(pd.concat([old, new], ignore_index=True).fillna({"event": "buy", "weight": 1.0}))
            new = new.assign(event=new.get("event", "buy"), weight=new.get("weight", 1.0))
            updated = self.fit(old).update(Interactions.from_frame(new))
            self._check_equal(updated, self.build().fit(full))

    def _check_equal(self, updated: Model, full: Model) -> None:
        users = [*full.data.user_ids, "nobody"]
        assert updated.data.to_frame().equals(full.data.to_frame())
        if not self.update_is_exact:
            check_lists(updated.recommend(users, k=20), users=users, k=20)
            return
        for exclude_seen in (True, False):
            first = updated.recommend(users, k=20, exclude_seen=exclude_seen)
            second = full.recommend(users, k=20, exclude_seen=exclude_seen)
            assert first.drop(columns="score").equals(second.drop(columns="score"))
            np.testing.assert_allclose(first["score"], second["score"], rtol=1e-9)

    def test_an_explanation_names_a_past_item(self, fitted: Model) -> None:
        lists = fitted.recommend(small_log()[USER_ID].unique(), k=8, exclude_seen=False)
        pairs = lists[lists[SOURCE] == self.name][[USER_ID, ITEM_ID]].reset_index(drop=True)
        if not self.can_explain:
            with pytest.raises(CapabilityError, match="contributions"):
                fitted.explain(pairs)
            return
        why = fitted.explain(pairs)
        assert list(why.columns) == [USER_ID, ITEM_ID, "because", "share"]
        assert why[[USER_ID, ITEM_ID]].equals(pairs)
        past = small_log()[[USER_ID, ITEM_ID]].rename(columns={ITEM_ID: "because"}).drop_duplicates()
        assert len(why.merge(past, on=[USER_ID, "because"])) == len(why)
        assert why["share"].between(0, 1 + 1e-9, inclusive="right").all()

    def test_pairs_without_evidence_have_no_explanation(self, fitted: Model) -> None:
        if self.can_explain:
            why = fitted.explain(pd.DataFrame({USER_ID: ["nobody", "ann"], ITEM_ID: ["saw", "comet"]}))
            assert why["because"].isna().all()
            assert why["share"].isna().all()

    def test_attributes_have_shares_or_the_model_says_that_it_names_none(self, fitted: Model) -> None:
        pairs = pd.DataFrame({USER_ID: ["ann", "bob", "nobody", "ann"], ITEM_ID: ["plum", "fig", "saw", "comet"]})
        try:
            why = fitted.explain_attributes(pairs)
        except CapabilityError:
            return
        assert list(why.columns) == [USER_ID, ITEM_ID, "attribute", "share"]
        assert why["attribute"].isna().equals(why["share"].isna())
        assert why["share"].dropna().between(0, 1 + 1e-9, inclusive="right").all()
        assert why["attribute"].isna().tolist()[2:] == [True, True], "nobody has a past, and nobody knows a comet"

    def test_pairs_without_ids_are_an_error(self, fitted: Model) -> None:
        with pytest.raises(DataError, match="item_id"):
            fitted.score(pd.DataFrame({USER_ID: ["ann"]}))
