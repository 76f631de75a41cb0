"""What the gate reads and what it says: evidence, the result of each rule, and the decision; all of them plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bowerbird.evaluation.statistics import Difference, Interval
from bowerbird.recipe_gate import Estimator

RANDOM = "random"
"""The label of the sanity rival."""
Kind = Literal["first", "change", "refresh"]
Outcome = Literal["promote", "hold", "reject"]


class Record(BaseModel):
    """Frozen, and an unknown key is an error; ``model_dump(mode="json")`` and ``model_validate`` go there and back."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GuardResult(Record):
    """Nominee minus another model in a metric that must not get worse."""

    metric: str
    k: int
    other: str
    """Label of the champion or, before the first publication, of the best rival."""
    mean: float
    low: float
    high: float
    p_value: float
    adjusted_p: float | None = None
    """By Holm, over all guards and slices; None where it was not adjusted."""
    bound: float
    """The interval must not reach below it."""
    blocks: bool


class OffPolicyEstimate(Record):
    """What one estimator says the target policy would have earned an impression, and how that stands to the logged policy."""

    estimator: Estimator
    value: float
    low: float
    high: float
    difference: float
    """Value minus what the logged policy earned on the same impressions, with its own interval."""
    difference_low: float
    difference_high: float
    setting: float | None = None
    """The bound that ``switch_dr`` and the shrinking ones have chosen; None where nothing is cut or nothing is to choose."""


class OffPolicyResult(Record):
    """What logged impressions say about lists that were never shown."""

    applicable: bool
    reason: str = ""
    """Why it is not applicable."""
    estimator: Estimator = "dr"
    """The one of ``estimates`` that decides."""
    estimates: tuple[OffPolicyEstimate, ...] = ()
    logged_value: float | None = None
    """Mean reward of the impressions as they were logged."""
    num_impressions: int = 0
    num_units: int = 0
    unit: Literal["user", "impression"] = "impression"
    """What the intervals take as independent of each other."""
    effective_sample_size: float = 0.0
    """(sum of weights)^2 / sum of their squares, after floor and clip: so many impressions of its own the estimate is worth."""
    mean_weight: float = 0.0
    """Before the clip; 1 where the log supports all that the target policy shows."""
    max_weight: float = 0.0
    """Before the clip."""
    clip: float = 0.0
    floor: float = 0.0
    num_clipped: int = 0
    num_floored: int = 0
    warnings: tuple[str, ...] = ()
    is_sound: bool = False
    """Whether there is evidence enough, and the log supports what the target policy shows."""
    decides: bool = False
    """Whether it is sound, and tells the target policy from the logged one."""

    @model_validator(mode="after")
    def _holds_what_decides(self) -> OffPolicyResult:
        if self.applicable and self.estimator not in [one.estimator for one in self.estimates]:
            raise ValueError(f"the estimates lack {self.estimator!r}, which decides")
        return self

    @property
    def main(self) -> OffPolicyEstimate:
        """The estimate that decides, of an applicable result."""
        return next(one for one in self.estimates if one.estimator == self.estimator)

    @property
    def is_level(self) -> bool:
        """Whether the estimate may as well be what the logged policy earned."""
        return self.main.difference_low <= 0 <= self.main.difference_high


class CheckResult(Record):
    """What one behavioural check asked and found of the nominee."""

    name: str
    asked: str
    found: str
    value: float | None
    """The figure that is held against the bound, where there is one."""
    passed: bool | None
    """None where it cannot be judged on this data."""
    severity: Literal["block", "show"]
    """What follows where it fails: the nominee is rejected, or the report says so."""


class LeakResult(Record):
    """What a check for one kind of leak found; ``passed`` is None where the data cannot tell."""

    name: str
    found: str
    passed: bool | None


class SliceResult(Record):
    """Nominee minus another model on some of the users, or on the targets among some of the items."""

    column: str
    value: str
    num_users: int
    shown_only: bool
    """Too few users to test anything."""
    nominee: float
    """The nominee's figure."""
    deviation: float | None = None
    """Standard deviation of the nominee's figure from user to user; None in runs of older versions."""
    other: str
    """Label of the model that it is compared with, or how the recipe's own earlier runs are called."""
    mean: float
    low: float
    high: float
    p_value: float | None = None
    """Of being worse than the bound, one-sided; None where it was not tested."""
    adjusted_p: float | None = None
    """By Holm, over all slices and guards."""
    blocks: bool = False


class Evidence(Record):
    """What was measured on the pooled test windows, and what is in production.

    Every model was fitted from scratch on the events before the same cut-offs and scored on the same users.
    """

    nominee: str
    """Label of the model that was chosen on the selection window, or named by a person."""
    named_by_person: bool = False
    champion: str | None = None
    """Label of the recipe behind the published set; None before the first publication."""
    is_refresh: bool = False
    """The nominee's recipe is the champion's, on newer data; the two are one."""
    rivals: tuple[str, ...]
    """Labels, ``random`` among them; the nominee may be one."""
    models: dict[str, Interval]
    """The gate's metric by label: nominee, champion and rivals."""
    coverage: dict[str, float] = {}
    """Share of the catalogue that a model's lists reach, by label."""
    differences: dict[str, Difference]
    """Nominee minus the model of that label."""
    rivals_minus_random: dict[str, Difference] = {}
    """Rival minus ``random``, by label; read before the first publication only."""
    own_runs: tuple[float, ...] = ()
    """The metric of the champion recipe's own earlier runs, oldest first; the last five count."""
    overlap: float | None = None
    """Mean share of a list that it has in common with the published one; None where there is none."""
    guards: tuple[GuardResult, ...] = ()
    """What the policy's further metrics say of a change, or of a first nominee."""
    off_policy: OffPolicyResult | None = None
    """What logged impressions say about the nominee's lists; None where it was not measured."""
    behaviour: tuple[CheckResult, ...] = ()
    """What the behavioural checks found of the nominee's lists on the newest test window; empty: not measured."""
    behaviour_of_rival: tuple[CheckResult, ...] = ()
    """The same of the best rival, where it would be published in the nominee's place."""
    slices: tuple[SliceResult, ...] = ()
    """The gate's metric on slices of users and of targets, the worst first; empty where it was not measured."""
    own_slices: tuple[SliceResult, ...] = ()
    """Of a refresh: the same slices beside what its recipe's earlier runs reached on them."""

    @model_validator(mode="after")
    def _fits_together(self) -> Evidence:
        if self.is_refresh and self.champion is None:
            raise ValueError("a refresh needs a champion")
        if RANDOM not in self.rivals:
            raise ValueError(f"the rivals {list(self.rivals)} lack {RANDOM!r}")
        compared = {*self.rivals, *([self.champion] if self.champion and not self.is_refresh else [])}
        for label in sorted(compared | {self.nominee}):
            if label not in self.models:
                raise ValueError(f"models lacks {label!r}")
            if label != self.nominee and label not in self.differences:
                raise ValueError(f"differences lacks {label!r}")
        if self.champion == self.nominee and not self.is_refresh:
            raise ValueError(f"a change needs a champion other than the nominee {self.nominee!r}")
        return self

    @property
    def kind(self) -> Kind:
        """Which of the gate's three questions is asked."""
        if self.champion is None:
            return "first"
        return "refresh" if self.is_refresh else "change"

    @property
    def best_rival(self) -> str | None:
        """The rival with the highest metric, other than ``random`` and the nominee; equals go by name."""
        return best_rival({label: self.models[label].value for label in self.rivals}, nominee=self.nominee)


def best_rival(values: Mapping[str, float], *, nominee: str) -> str | None:
    """Return the label with the highest value, other than ``random`` and the nominee; equals go by name."""
    others = sorted(label for label in values if label not in (RANDOM, nominee))
    return max(others, key=lambda label: values[label], default=None)


class RuleResult(Record):
    """What one rule asked and found."""

    rule: int = Field(ge=1, le=8)
    """Its number in docs/reference/gate.md; 7 and 8 are asked after the refit."""
    name: str
    asked: str
    found: str
    passed: bool | None
    """None where the rule does not apply to this run."""
    if_failed: Literal["reject", "hold", "unproven"]
    to_pass: str = ""
    """What would have to change, where it failed."""


class Decision(Record):
    """What happens to the nominee, and why."""

    outcome: Outcome
    nominee: str
    publish: str | None
    """Label of the model to publish: the nominee, a rival in its place, or None."""
    sentence: str
    rules: tuple[RuleResult, ...]
    """In the order in which they decide."""
    unproven: bool = False
    """Published on too few users to prove anything."""

    @property
    def is_replaced(self) -> bool:
        """A rival is published in the nominee's place."""
        return self.publish is not None and self.publish != self.nominee
