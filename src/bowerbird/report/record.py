"""What every part of a report is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A part of the report: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
