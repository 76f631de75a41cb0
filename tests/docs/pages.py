"""Reads the project's pages: sections by heading, and the names in the first column of their tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def sections(page: str) -> dict[str, str]:
    """Cut a reference page at its second-level headings."""
    parts = re.split(r"^## (.+)$", (REFERENCE / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> dict[str, list[str]]:
    """Return the tables' rows whose first cell is code, by that name."""
    found = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip("`"): cells[1:] for cells in found}
