"""What a report tells of a decision: the evidence behind it, who answered, and what changes for users and in the data.

A part that was not measured is empty or None, and the page does not mention it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from bowerbird.report.record import Record


class Contrast(Record):
    """The nominee's figure minus another model's over the same users; ``name`` is the other model."""

    name: str
    mean: float
    low: float
    high: float
    p_value: float | None = None
    num_users: int | None = None
    num_differing: int | None = None
    """Users whose two values differ."""
    users_needed: int | None = None
    """Users that would prove a true difference of this size in four of five runs."""
    detectable: float | None = None
    """The smallest true difference that these users would prove in four of five runs."""
    is_champion: bool = False


class Guard(Record):
    """A further metric that must not get worse; nominee minus ``other``."""

    metric: str
    other: str
    mean: float
    low: float
    high: float
    p_value: float | None = None
    adjusted_p: float | None = None
    bound: float | None = None
    """The interval must not reach below it."""
    blocks: bool


class Slice(Record):
    """The gate's metric in one part of the users; nominee minus ``other``."""

    column: str
    value: str
    num_users: int
    shown_only: bool
    """Too few users to decide anything."""
    other: str
    nominee: float
    mean: float
    low: float
    high: float
    p_value: float | None = None
    adjusted_p: float | None = None
    bound: float | None = None
    """The gate blocks what is significantly below it."""
    blocks: bool

    @property
    def name(self) -> str:
        return f"{self.column}: {self.value}"


class Check(Record):
    """A behavioural check or a leak check; ``passed`` is None where it does not apply."""

    name: str
    asked: str = ""
    found: str
    passed: bool | None
    severity: Literal["block", "show"] = "block"
    """A broken check that is shown decides nothing."""


class Estimate(Record):
    """What the target policy would have earned by one estimator, from logged impressions."""

    estimator: str
    value: float
    low: float
    high: float
    difference: float | None = None
    """Value minus what the logged policy earned, with its own interval."""
    difference_low: float | None = None
    difference_high: float | None = None


class OffPolicy(Record):
    """What logged exploration says of lists that were never shown."""

    applicable: bool
    reason: str = ""
    estimator: str = ""
    """The one that the gate listens to."""
    num_impressions: int | None = None
    estimates: tuple[Estimate, ...] = ()
    logged_value: float | None = None
    effective_sample_size: float | None = None
    warnings: tuple[str, ...] = ()
    decides: bool = False


class Answer(Record):
    """What a person answered to a held run, or until when one may."""

    accepted: bool | None = None
    """None while nobody has answered."""
    by: str = ""
    reason: str = ""
    at: datetime | None = None
    kind: str = ""
    """``approve``, ``force``, or ``deadline`` where nobody answered in time."""
    approvers: tuple[str, ...] = ()
    """Who may answer; anybody where empty."""
    deadline: datetime | None = None
    without_answer: str = ""
    """What happens at the deadline where nobody answers."""


class ListChange(Record):
    """How one example user's list differs from the published one."""

    user_id: str
    entered: tuple[str, ...]
    left: tuple[str, ...]
    moved: int
    unmoved: int


class ListChanges(Record):
    """How the lists differ from those that were published when the run began."""

    version: int
    overlap: float | None
    """Mean share of a list in common with the published one, over all users."""
    users: tuple[ListChange, ...]


class DriftFigure(Record):
    """One figure of the log before and since the last published run; values are in words."""

    name: str
    before: str
    since: str
    note: str = ""
    is_over: bool


class ColumnDrift(Record):
    """How far a column's values have moved (population stability index), beside what chance alone would give."""

    table: str
    column: str
    missing_before: float
    missing_since: float
    psi: float
    noise: float
    """The index that one of twenty comparisons exceeds where nothing has changed, rows taken as independent."""
    is_over: bool


class MixShare(Record):
    """How often one type of event is among all."""

    event: str
    before: float
    since: float


class Drift(Record):
    """How the input differs from what the last published run was made from; shown, and decides nothing."""

    run_id: str
    num_before: int
    num_since: int
    days_before: float
    days_since: float
    figures: tuple[DriftFigure, ...] = ()
    mix: tuple[MixShare, ...] = ()
    columns: tuple[ColumnDrift, ...] = ()
    psi_limit: float


class DecisionView(Record):
    """All that stands behind a decision."""

    nominee: str
    metric: str
    """The gate's, in words: NDCG@10."""
    confidence: float = 0.95
    contrasts: tuple[Contrast, ...] = ()
    guards: tuple[Guard, ...] = ()
    slices: tuple[Slice, ...] = ()
    checks: tuple[Check, ...] = ()
    leaks: tuple[Check, ...] = ()
    off_policy: OffPolicy | None = None

    @property
    def worst_slice(self) -> Slice | None:
        """The first that may decide, or the first of all where none may."""
        return next((one for one in self.slices if not one.shown_only), self.slices[0] if self.slices else None)

    @property
    def broken(self) -> tuple[Check, ...]:
        """The behavioural checks that did not pass."""
        return tuple(check for check in self.checks if check.passed is False)
