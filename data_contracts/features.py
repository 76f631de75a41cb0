"""The contract of the features: keys that are there and unique, counts and weights that are finite and not negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bowerbird.errors import CheckError
from bowerbird.warehouse.rules import RowRule
from data_contracts.results import ContractResult
from data_contracts.rows import SAMPLE_ROWS, unique, validate_sample

if TYPE_CHECKING:
    import duckdb

    from data_contracts.engine import Demand


@dataclass(frozen=True)
class Contract:
    """What a feature table must be: columns that are filled, that are not negative, and a key that is unique."""

    filled: tuple[str, ...]
    not_negative: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


CONTRACTS = {
    "interactions": Contract(("user_id", "item_id", "timestamp", "event", "weight", "is_target"), ("weight",)),
    "user_sequences": Contract(("user_id", "item_ids", "events", "timestamps"), key=("user_id",)),
    "item_popularity": Contract(
        ("item_id", "num_events", "weight"),
        ("num_events_1d", "num_events_7d", "num_events_28d", "num_events", "weight_1d", "weight_7d", "weight_28d", "weight"),
        ("item_id",),
    ),
    "user_profiles": Contract(
        ("user_id", "first_timestamp", "last_timestamp"),
        ("num_events", "num_evidence", "num_targets", "num_items", "num_sessions", "weight", "days_since_last", "mean_gap_days"),
        ("user_id",),
    ),
    "item_profiles": Contract(
        ("item_id", "has_catalogue"), ("num_events", "num_evidence", "num_targets", "num_users", "weight"), ("item_id",)
    ),
    "cooccurrence": Contract(
        ("item_id", "next_item_id", "num_pairs", "weight"), ("num_pairs", "weight"), ("item_id", "next_item_id")
    ),
}


def validate_features(
    con: duckdb.DuckDBPyConnection, paths: Sequence[Path], *, sample_rows: int = SAMPLE_ROWS
) -> list[ContractResult]:
    """Hold feature files, each named for its feature, against their contracts.

    Raises
    ------
    CheckError
        For a file whose feature has no contract.
    """
    return [_validate(con, path, sample_rows) for path in paths]


def _validate(con: duckdb.DuckDBPyConnection, path: Path, sample_rows: int) -> ContractResult:
    contract = CONTRACTS.get(path.stem)
    if contract is None:
        raise CheckError(f"the feature {path.stem!r} has no contract; known: {', '.join(CONTRACTS)}", next_step="write one")
    con.from_parquet([str(path)]).create_view("feature", replace=True)
    rules = [RowRule("missing", name, "not_null") for name in contract.filled]
    rules += [RowRule("negative", name, "at_least", 0.0) for name in contract.not_negative]
    key = contract.key[0] if contract.key else "user_id"
    rows = validate_sample(con, "feature", key=key, rules=rules, further=_unique(contract.key), sample_rows=sample_rows)
    return ContractResult(path.stem, tuple(rows))


def _unique(key: tuple[str, ...]) -> Sequence[Demand]:
    """Demand that the key is unique; a sample by the hash of its first column keeps all rows of a key together."""
    from data_contracts.engine import Demand
    from data_contracts.great import gxe

    if len(key) < 2:
        return [unique(name) for name in key]
    together = gxe.ExpectCompoundColumnsToBeUnique(column_list=list(key))
    return [Demand(f"{' and '.join(key)} are unique together", ", ".join(key), together)]
