"""What the contracts of the source tables have in common: the counts of rules at any size, and a sample of accepted rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bowerbird.sources.intake import TableIntake
from bowerbird.warehouse.rules import RowRule
from data_contracts.results import ContractResult, ContractRow

if TYPE_CHECKING:
    import duckdb

    from data_contracts.engine import Demand

SAMPLE_ROWS = 100_000
"""Every row has been through the predicates, which agree with the suite; more rows (up to a million) only take longer."""


def validate_intake(con: duckdb.DuckDBPyConnection, table: str, intake: TableIntake) -> list[ContractRow]:
    """Hold what an ingest counted against its contract: the sum, the share of rejects, and one row for each rule."""
    from data_contracts.engine import Demand, database, validate
    from data_contracts.great import gxe

    sums = pd.DataFrame(
        {
            "rows_read": [intake.read],
            "rows_accounted_for": [intake.accepted + intake.num_quarantined + intake.duplicates],
            "rejected_share": [intake.rejected_share],
        }
    )
    rules = pd.DataFrame(
        {
            "rule": list(intake.quarantined),
            "num_counted": list(intake.quarantined.values()),
            "num_broken": [intake.broken[name] for name in intake.quarantined],
        }
    )
    con.register("intake_sums", sums)
    con.register("intake_rules", rules)
    with database(con, {"sums": ("select * from intake_sums", {}), "rules": ("select * from intake_rules", {})}) as path:
        whole = validate(
            path,
            "sums",
            [
                Demand(
                    "accepted + quarantined + duplicates = read",
                    "rows_read",
                    gxe.ExpectColumnPairValuesToBeEqual(column_A="rows_read", column_B="rows_accounted_for"),
                ),
                Demand(
                    f"at most {intake.max_rejected_share:.1%} of the rows are rejected (found {intake.rejected_share:.1%})",
                    "rejected_share",
                    gxe.ExpectColumnValuesToBeBetween(column="rejected_share", min_value=0, max_value=intake.max_rejected_share),
                ),
            ],
        )
        by_rule = validate(
            path,
            "rules",
            [
                Demand(
                    "a row is counted under one of the rules that it breaks",
                    "num_counted",
                    gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="num_broken", column_B="num_counted", or_equal=True),
                ),
                Demand("each rule is counted once", "rule", gxe.ExpectColumnValuesToBeUnique(column="rule")),
            ],
        )
    con.unregister("intake_sums")
    con.unregister("intake_rules")
    counted = [
        ContractRow(f"{name}: rejected rows are in quarantine", "", True, f"{num:,} counted, {intake.broken[name]:,} broken")
        for name, num in intake.quarantined.items()
        if intake.broken[name]
    ]
    return whole + by_rule + counted


def validate_sample(
    con: duckdb.DuckDBPyConnection,
    view: str,
    *,
    key: str | None,
    rules: Sequence[RowRule],
    further: Sequence[Demand] = (),
    sample_rows: int = SAMPLE_ROWS,
    only: tuple[str, Mapping[str, object]] | None = None,
) -> list[ContractRow]:
    """Put accepted rows through the whole suite: all of them, or a sample by the key's hash, the same in each run.

    Parameters
    ----------
    view
        The name of the view that holds the rows.
    key
        The column that tells rows apart; None: all rows are taken.
    only
        A predicate for the rows to take, with its parameters.
    """
    from data_contracts.engine import database, validate
    from data_contracts.expectations import PATTERNS, demands_of, helper_columns, patterns_of

    types = {str(row[0]): str(row[1]) for row in con.execute(f"describe {view}").fetchall()}
    as_text = [f'"{name}"::varchar as "{name}"' for name, kind in types.items() if kind.endswith("]")]
    everything = f"* replace ({', '.join(as_text)})" if as_text else "*"  # Great Expectations reads no lists
    condition, bound = only or ("true", dict[str, object]())
    num_rows = int(con.execute(f"select count(*) from {view} where {condition}", dict(bound)).fetchall()[0][0])  # noqa: S608 - ours
    share = min(1.0, sample_rows / max(num_rows, 1))
    chosen = "true" if key is None or share == 1.0 else f"hash({key}) < ($share * 18446744073709551615)::uhugeint"
    query = f"select {everything}{helper_columns(rules, list(types))} from {view} where {condition} and {chosen}"  # noqa: S608
    values = {**bound, **({"share": share} if "$share" in query else {})}
    with database(con, {"sampled": (query, values), PATTERNS: patterns_of(rules)}) as path:
        return validate(path, "sampled", [*demands_of(rules), *further])


def unique(column: str) -> Demand:
    """Demand that no value of a column comes twice."""
    from data_contracts.engine import Demand
    from data_contracts.great import gxe

    return Demand(f"{column} is unique", column, gxe.ExpectColumnValuesToBeUnique(column=column))


def result(table: str, *parts: Sequence[ContractRow]) -> ContractResult:
    """Put the parts of a table's contract together."""
    return ContractResult(table, tuple(row for part in parts for row in part))
