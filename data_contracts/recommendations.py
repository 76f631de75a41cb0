"""The contract of a recommendation set: the library's checks count what is broken, the suite demands that nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bowerbird.warehouse.recommendation_checks import Check
from data_contracts.results import ContractResult, ContractRow

if TYPE_CHECKING:
    import duckdb

NAMES = (
    "ranks run from 1 without gaps",
    "the items of a list differ",
    "lists are as long as the catalogue allows",
    "items may be recommended",
    "nothing is recommended that is excluded",
    "scores are finite",
    "scores fall within user and source where no rule reorders",
    "user, item and source are named",
    "quotas are kept",
    "pins stand in their places",
    "propensities stand where chance decides",
)


def validate_recommendations(con: duckdb.DuckDBPyConnection, checks: Sequence[Check]) -> ContractResult:
    """Hold what ``bowerbird.warehouse.recommendation_checks`` counted against the contract: every check, no failures."""
    from data_contracts.engine import Demand, database, validate
    from data_contracts.great import gxe

    frame = pd.DataFrame({"check": [one["name"] for one in checks], "failures": [one["failures"] for one in checks]})
    con.register("list_checks", frame)
    demands = [
        Demand("every check was made", "check", gxe.ExpectColumnDistinctValuesToEqualSet(column="check", value_set=list(NAMES))),
        Demand("no check fails", "failures", gxe.ExpectColumnValuesToBeInSet(column="failures", value_set=[0])),
    ]
    with database(con, {"checks": ('select "check", failures from list_checks', {})}) as path:
        whole = validate(path, "checks", demands)
    con.unregister("list_checks")
    each = [ContractRow(one["name"], "", one["failures"] == 0, one["example"] or "", one["failures"]) for one in checks]
    return ContractResult("recommendations", (*whole, *each))
