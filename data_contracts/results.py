"""What holding a table against its contract gives: one row for each expectation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ContractRow:
    """One expectation and what was found."""

    expectation: str
    """In words, with the rule's name where it comes from one."""
    column: str
    success: bool
    observed: str = ""
    unexpected: int = 0
    """Rows that break it."""


@dataclass(frozen=True)
class ContractResult:
    """A table and all expectations it was held against."""

    table: str
    rows: tuple[ContractRow, ...] = field(default_factory=tuple)

    @property
    def success(self) -> bool:
        """Whether every expectation is met."""
        return all(row.success for row in self.rows)

    @property
    def broken(self) -> list[ContractRow]:
        """The expectations that are not met."""
        return [row for row in self.rows if not row.success]

    def dump(self) -> dict[str, Any]:  # Any: JSON
        """Return plain JSON types."""
        return {"table": self.table, "success": self.success, "rows": [dataclasses.asdict(row) for row in self.rows]}

    def sentence(self) -> str:
        """Say the outcome in words."""
        if self.success:
            return f"{self.table}: all {len(self.rows)} expectations are met"
        named = "; ".join(f"{row.expectation} ({row.unexpected:,} rows)" for row in self.broken[:5])
        return f"{self.table}: {len(self.broken)} of {len(self.rows)} expectations are broken: {named}"
