"""A set that breaks its contract is seen by the library's checks and by the contract in Great Expectations alike."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bowerbird.errors import UserError
from bowerbird.pipeline import whole
from bowerbird.pipeline.approval import approve
from bowerbird.pipeline.prepare import Plan, reading
from bowerbird.pipeline.release import Prepared, check_lists, prepare_lists
from bowerbird.pipeline.run import Run
from bowerbird.store.home import Home
from bowerbird.store.published import history
from bowerbird.warehouse.recommendation_checks import Check
from data_contracts.recommendations import validate_recommendations
from tests.conftest import shop_recipe


def test_a_broken_set_is_not_published_and_its_contract_says_why(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Check]] = []
    verdicts: list[bool] = []

    def prepare_and_break(*arguments: object) -> Prepared:
        prepared = prepare_lists(*arguments)  # type: ignore[arg-type] # handed through
        lists = pd.read_parquet(prepared.lists)
        lists.loc[1, "item_id"] = lists.loc[0, "item_id"]
        lists.to_parquet(prepared.lists, index=False)
        return prepared

    def check_and_keep(run: Run, prepared: Prepared, plan: Plan) -> list[Check]:
        seen.append(check_lists(run, prepared, plan))
        with reading(run) as con:
            verdicts.append(validate_recommendations(con, seen[-1]).success)
        return seen[-1]

    monkeypatch.setattr(whole.release, "prepare_lists", prepare_and_break)
    monkeypatch.setattr(whole.release, "check_lists", check_and_keep)

    outcome = whole.run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)

    assert outcome["outcome"] == "rejected"
    said = "cooccurrence is rejected: its lists break their contract: the items of a list differ: 1 failure, such as user 'u"
    assert outcome["sentence"].startswith(said), outcome["sentence"]
    assert verdicts == [False]
    assert history(home) == []
    with pytest.raises(UserError, match="cannot be published: its lists break their contract"):
        approve(home, outcome["run_id"], accept=True, by="ann", reason="looks fine to me", force=True)
    assert history(home) == []
