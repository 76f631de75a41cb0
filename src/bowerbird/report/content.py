"""What a report tells: small frozen records that the steps of a run fill in; whatever may be missing is optional."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from bowerbird.report.content_decision import Answer, DecisionView, Drift, ListChanges
from bowerbird.report.record import Record

Outcome = Literal["published", "unchanged", "ingested", "rejected", "held", "stopped", "failed"]
Role = Literal["nominee", "candidate", "champion", "rival", "published"]


class Step(Record):
    """How long one step of the run took."""

    name: str
    seconds: float
    is_cached: bool = False
    """Whether the result of an earlier run was used."""


class RunFacts(Record):
    """What is needed to tell this run from others and to do it again."""

    run_id: str
    recipe: str
    seed: int
    started: datetime
    now: datetime | None = None
    """Time of the newest accepted event, which the run takes for now."""
    recipe_digest: str | None = None
    code_commit: str | None = None
    num_threads: int | None = None
    cut_offs: dict[str, datetime] = Field(default_factory=dict)
    """What a point in time is called, and when it is: "fit ends", "selection ends"."""
    table_versions: dict[str, int] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()


class Reason(Record):
    """Why rows were rejected, and how many; each row stands under one reason."""

    name: str
    rows: int
    explanation: str = ""


class TableIngest(Record):
    """What came into one table: read = accepted + quarantined + duplicates."""

    table: str
    read: int
    accepted: int
    duplicates: int = 0
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    """What was noticed but is no reason to reject, such as late events or new columns."""

    @property
    def quarantined(self) -> int:
        """Rows under all reasons together."""
        return sum(reason.rows for reason in self.reasons)

    @property
    def adds_up(self) -> bool:
        """Whether each row that was read is accounted for once."""
        return self.read == self.accepted + self.quarantined + self.duplicates


class ColumnProfile(Record):
    """What a column holds; values are already in words."""

    name: str
    kind: str
    missing_share: float
    num_distinct: int | None = None
    lowest: str | None = None
    highest: str | None = None


class TableProfile(Record):
    """What a table holds after ingest."""

    table: str
    num_rows: int
    columns: tuple[ColumnProfile, ...]


class Day(Record):
    """How many accepted events a day has."""

    day: str
    num_events: int


class Metric(Record):
    """A measured figure with its interval (95 %, over users) where it has one."""

    name: str
    k: int | None = None
    value: float
    low: float | None = None
    high: float | None = None


class ModelResult(Record):
    """How one model did in the test windows; ``metrics`` has the primary one first."""

    name: str
    roles: tuple[Role, ...] = ()
    metrics: tuple[Metric, ...]
    repeat: Metric | None = None
    """The primary metric over targets that the user had before."""
    novel: Metric | None = None
    """The primary metric over targets that are new to the user."""
    beyond: dict[str, Metric] = Field(default_factory=dict)
    """What the lists are like, by the figure's name; what is not known of the items is missing."""


class Evaluation(Record):
    """One protocol and what the models reached under it."""

    title: str
    results: tuple[ModelResult, ...]
    num_users: int
    num_repeat_users: int | None = None
    num_novel_users: int | None = None
    note: str = ""
    """What to keep in mind, such as that leave-last-out leaks global statistics."""


class Rule(Record):
    """One rule of the gate: what it asks, what was found; ``passed`` is None where it was not needed."""

    name: str
    asked: str
    found: str
    passed: bool | None
    to_pass: str = ""
    """What would have to change, where it failed."""


class CurvePoint(Record):
    """One epoch of a training."""

    epoch: int
    loss: float
    validation: float | None = None


class TrainingCurve(Record):
    """How the training of one model went."""

    model: str
    points: tuple[CurvePoint, ...]
    best_epoch: int | None = None
    validation_name: str = "validation NDCG@10"


class Trial(Record):
    """One try of a search for settings."""

    number: int
    settings: str
    score: float | None
    state: str
    """``best``, ``complete``, ``pruned``, or why it failed."""


class Search(Record):
    """The search for one model's settings, on the selection window."""

    model: str
    metric: str
    trials: tuple[Trial, ...]


class ReliabilityBin(Record):
    """Candidates with like probabilities; each bin holds as many expected positives."""

    num_pairs: int
    expected: float
    observed: int
    mean_probability: float
    positive_rate: float


class Reliability(Record):
    """Whether one model's probabilities came true in the test windows, over all items for all users."""

    model: str
    bins: tuple[ReliabilityBin, ...]
    ece: float
    """Mean over candidates of the gap between probability and share of positives."""
    relative_error: float | None
    """The gaps' sum over the observed positives; None where there are none."""
    horizon_note: str = ""
    """Where the model foretells another stretch of time than the windows have."""


class Tier(Record):
    """A part of the catalogue by popularity; shares of all that was chosen, and of all that is recommended."""

    name: str
    chosen_share: float
    recommended_share: float


class Reach(Record):
    """How the lists spread over the catalogue; ``reach.measure_reach`` makes it from counts."""

    num_items: int
    num_recommended: int
    num_chosen: int
    recommended_curve: tuple[float, ...]
    """Share of all places taken by the most recommended 0, 1, ..., 100 % of the items."""
    chosen_curve: tuple[float, ...]
    tiers: tuple[Tier, ...]


class PastEvent(Record):
    """One event of a user's history, newest first."""

    title: str
    event: str
    when: datetime | None = None


class ListedItem(Record):
    """One place of a user's list."""

    rank: int
    title: str
    why: str = ""
    before: int | None = None
    """Its place in the published list; None where it is not there, or no list is."""


class ExampleUser(Record):
    """A user whose history and list a person can judge."""

    user_id: str
    label: str = ""
    """What kind of user this is an example of, such as "buys weekly"."""
    num_events: int = 0
    history: tuple[PastEvent, ...] = ()
    items: tuple[ListedItem, ...]


class TestWindow(Record):
    """A test window and every run that has used it; a window that is used often proves less."""

    __test__ = False  # no test for pytest to collect

    start: datetime
    end: datetime
    num_users: int
    num_uses: int
    used_by: tuple[str, ...] = ()


class Published(Record):
    """The set that readers see after the run."""

    version: int
    model: str
    num_users: int
    k: int
    run_id: str


class ReportContent(Record):
    """All that a report tells."""

    facts: RunFacts
    outcome: Outcome
    sentence: str
    """Why the run ended as it did: the gate's sentence, or that of the step that stopped it."""
    notes: tuple[str, ...] = ()
    """What a reader must know first, such as that the data is simulated."""
    next_steps: tuple[str, ...] = ()
    """Commands to try next."""
    published: Published | None = None
    tables: tuple[TableIngest, ...] = ()
    days: tuple[Day, ...] = ()
    profiles: tuple[TableProfile, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    """The first is the one that the gate judged."""
    decision: tuple[Rule, ...] = ()
    view: DecisionView | None = None
    answer: Answer | None = None
    changes: ListChanges | None = None
    drift: Drift | None = None
    curves: tuple[TrainingCurve, ...] = ()
    searches: tuple[Search, ...] = ()
    reliability: tuple[Reliability, ...] = ()
    reach: Reach | None = None
    examples: tuple[ExampleUser, ...] = ()
    test_windows: tuple[TestWindow, ...] = ()
