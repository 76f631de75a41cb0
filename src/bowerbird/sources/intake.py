"""What an ingest reports: how many rows came in, and what became of each."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from bowerbird.errors import StoppedError


@dataclass
class TableIntake:
    """What became of the rows of one table; ``read`` is the sum of accepted, quarantined and duplicates."""

    read: int = 0
    accepted: int = 0
    """New events; of items and users, the rows that count (the last one of each id)."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Rows by the first rule that they break, in declared order; every rule is there."""
    broken: dict[str, int] = field(default_factory=dict)
    """Rows by every rule that they break."""
    duplicates: int = 0
    by_event: dict[str, int] = field(default_factory=dict)
    """The accepted rows of the event log by type."""
    late: int = 0
    """Accepted events that are older than the newest one that was there before."""
    new_columns: list[str] = field(default_factory=list)
    """Columns of the source that were not there before and that the recipe does not map."""
    files: dict[str, int] = field(default_factory=dict)
    """Rows by file."""
    max_rejected_share: float = 1.0

    @property
    def num_quarantined(self) -> int:
        """The rows that were rejected."""
        return sum(self.quarantined.values())

    @property
    def rejected_share(self) -> float:
        """The share of the rows read that was rejected."""
        return self.num_quarantined / self.read if self.read else 0.0

    def check_sum(self, table: str) -> None:
        """Assert that every row is counted, once."""
        total = self.accepted + self.num_quarantined + self.duplicates
        assert total == self.read, f"{table}: {self.read} rows read, but {total} accounted for"

    def sentence(self, table: str) -> str:
        """Say what became of the rows, with the sum."""
        return (
            f"{table}: {self.read:,} rows read = {self.accepted:,} accepted + {self.num_quarantined:,} quarantined"
            f" + {self.duplicates:,} duplicates"
        )


@dataclass
class IngestReport:
    """The outcome of an ingest."""

    run_id: str
    tables: dict[str, TableIntake] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    """Version of each Delta table after the ingest."""
    committed: list[str] = field(default_factory=list)
    """The tables that got a commit."""
    messages: list[str] = field(default_factory=list)
    """What a person should know, in words."""
    seconds: dict[str, float] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:  # Any: JSON
        """Return plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, content: dict[str, Any]) -> IngestReport:  # Any: JSON
        """Read back what ``dump`` returned."""
        tables = {name: TableIntake(**table) for name, table in content["tables"].items()}
        return cls(**{**content, "tables": tables})


class TooManyRejectsError(StoppedError):
    """More rows were rejected than the recipe allows; the report says which."""

    def __init__(self, message: str, *, next_step: str, report: IngestReport) -> None:
        super().__init__(message, next_step=next_step)
        self.report = report
