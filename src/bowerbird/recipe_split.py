"""The recipe's [split]: how time is cut, and what evaluated models are asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from bowerbird.recipe_values import Duration, Section


class Split(Section):
    """How time is cut into fit, selection and test."""

    kind: Literal["global_time", "leave_last_out", "session_next_item"] = "global_time"
    horizon: Duration = timedelta(days=7)
    """How long lists live, and so how long a test window is."""
    selection: Duration | None = None
    """Length of the selection window; the horizon where absent."""
    test: Annotated[int, Field(ge=1, le=52)] = 4
    """At most so many consecutive test windows are pooled until there are 1,000 users or a tenth of the events."""
    session_gap: Duration = timedelta(minutes=30)
    """A pause longer than this begins a new session, of events without a ``session_id``."""
    ties: Literal["kept", "shuffled"] = "kept"
    """``shuffled`` puts a user's events of one moment in random order, and shows figures in the source's order beside."""
    candidates: Literal["available", "all", "unseen"] = "available"
    """What evaluated lists choose from: what the rules allow at the time, all that was there, or of the former what is new to
    the user."""
