"""The recipe's [gate]: the policy by which a candidate may be published."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bowerbird.errors import RecipeError
from bowerbird.recipe_values import Duration, Section, Share, Text, require_known

Metric = Literal["ndcg", "recall", "precision", "mrr", "map", "hit_rate", "r_precision"]


Places = Annotated[int, Field(ge=1, le=1000)]


class Guard(Section):
    """A further metric that must not get worse: than the champion's or, before the first publication, the best rival's."""

    metric: Metric
    k: Places | None = None
    """Places of a list that count for it; as many as for the gate's metric where absent."""
    max_loss: Share = 0.02
    """The interval of nominee minus the other must not reach below minus this share of the other's figure."""


class Slices(Section):
    """Parts of the users and of the items on which a change must not lose too much.

    Always there: new and returning users, users by activity, items by popularity and by age.
    """

    users: tuple[Text, ...] = ()
    """Further columns of the users' table, each value a slice."""
    items: tuple[Text, ...] = ()
    """Further columns of the catalogue, each value a slice of what is to be found."""
    max_loss: Share = 0.1
    """A change is rejected where it is significantly more than this share below the champion on a slice, a refresh held where
    it is below its own earlier runs."""
    min_users: Annotated[int, Field(ge=2)] = 100
    """Slices with fewer users are shown and decide nothing."""

    def check(self, *, users: Collection[str] | None, items: Collection[str] | None) -> None:
        """Raise ValueError for a column that the users or the catalogue lack; None: no source."""
        for table, columns, known in (("users", self.users, users), ("items", self.items, items)):
            for column in columns:
                if known is None:
                    raise ValueError(
                        f"gate.slices.{table} reads the column {column!r}, and there is no [source.{table}] to have it"
                    )
                require_known(column, known, f"gate.slices.{table} reads the column that source.{table}.columns lacks,")


class Approval(Section):
    """How a person answers a held run."""

    approvers: tuple[Text, ...] = ()
    """Who may answer, by name; anybody where empty."""
    deadline: Duration | None = None
    """A held run that nobody has answered for so long is decided without an answer."""
    on_deadline: Literal["reject", "publish"] = "reject"
    """What is decided then."""

    @model_validator(mode="after")
    def _has_a_deadline(self) -> Self:
        if self.deadline is None and self.on_deadline == "publish":
            raise ValueError("on_deadline is 'publish', and there is no deadline; write one, as in deadline = '3d'")
        return self


Estimator = Literal["ips", "snips", "dr", "switch_dr", "dr_optimistic", "dr_pessimistic"]
"""Ways to judge a policy by another's log; ``evaluation.off_policy`` holds their formulas."""


class OffPolicy(Section):
    """How logged impressions with propensities judge the nominee's lists, and whether the gate listens."""

    mode: Literal["show", "guard"] = "show"
    """``guard``: the nominee is held where its estimated reward is significantly below what the logged policy earned."""
    estimator: Estimator = "dr"
    """The one that the gate listens to; all are shown."""
    clip: Annotated[float, Field(ge=1)] = 100.0
    """Weights of ``ips``, ``snips`` and ``dr`` above this are cut to it; the others choose their own bound."""
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.0001
    """Logged propensities below this are raised to it."""
    min_effective_sample_size: Annotated[float, Field(ge=1)] = 100.0
    """With fewer impressions' worth of evidence an estimate decides nothing."""


class Behaviour(Section):
    """What the behavioural checks ask of the nominee, and what follows where one fails."""

    num_users: Annotated[int, Field(ge=1, le=100_000)] = 500
    """So many users of the newest test window are drawn for it."""
    bounds: dict[Text, float] = {}  # noqa: RUF012 - pydantic copies it
    """Bounds by their names, in place of the checks' own."""
    severity: dict[Text, Literal["block", "show", "off"]] = {}  # noqa: RUF012 - pydantic copies it
    """What follows where a check fails, by the check's name, in place of its own."""
    folder: Text | None = None
    """Python files with checks of your own, relative to the recipe."""
    files: dict[Text, str] = {}  # noqa: RUF012 - pydantic copies it
    """The content of those files; filled in when the recipe is read, so that a changed check is another recipe."""


def with_check_files(content: dict[str, Any], *, where: Path) -> dict[str, Any]:  # Any: what TOML holds
    """Fill in ``gate.behaviour.files`` from the folder that is named beside the recipe ``where``. Raises RecipeError."""
    gate = content.get("gate")
    behaviour = gate.get("behaviour") if isinstance(gate, dict) else None
    folder = behaviour.get("folder") if isinstance(behaviour, dict) else None
    if not isinstance(folder, str):
        return content
    paths = sorted((where.parent / folder).glob("*.py"))
    if not paths:
        raise RecipeError(
            f"recipe {where.name}: gate.behaviour.folder is {folder!r}, and no Python file is there",
            next_step="name a folder with checks, relative to the recipe",
        )
    files = {path.name: path.read_text(encoding="utf-8") for path in paths}
    return content | {"gate": {**content["gate"], "behaviour": {**content["gate"]["behaviour"], "files": files}}}


class Gate(Section):
    """When a candidate may be published."""

    metric: Metric = "ndcg"
    k: Places = 10
    confidence: Annotated[float, Field(ge=0.8, le=0.995)] = 0.95
    """Level of all intervals; a difference is significant where its p value is below one minus this."""
    min_gain: Share = 0.0
    """A change is better where the lower bound of its gain lies above this share of the champion's figure."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """A refresh is held when it is significantly more than this share below its own last five runs."""
    min_coverage: Share = 0.0
    """Share of the catalogue that the lists must reach."""
    min_users: Annotated[int, Field(ge=1)] = 50
    """So many users must differ before a change counts as proven."""
    min_refit_overlap: Share = 0.05
    """Mean share of a list that evaluated and refitted model must have in common."""
    overlap_band: tuple[Share, Share] = (0.0, 1.0)
    """Share of a list that a refresh has in common with the published one."""
    guards: tuple[Guard, ...] = ()
    """Further metrics that must not get worse."""
    slices: Slices = Slices()
    approval: Approval = Approval()
    off_policy: OffPolicy = OffPolicy()
    behaviour: Behaviour = Behaviour()

    @model_validator(mode="after")
    def _band_rises(self) -> Self:
        low, high = self.overlap_band
        if low > high:
            raise ValueError(f"overlap_band begins at {low:g}, above its end at {high:g}")
        return self

    @model_validator(mode="after")
    def _guards_each_metric_once(self) -> Self:
        asked = [(guard.metric, self.places_of(guard)) for guard in self.guards]
        for metric, k in asked:
            if asked.count((metric, k)) > 1:
                raise ValueError(f"guards names the metric {metric!r} twice at k = {k}; keep one of them")
        return self

    def places_of(self, guard: Guard) -> int:
        """Return how many places of a list count for a guard."""
        return guard.k or self.k

    @property
    def num_places(self) -> int:
        """Places of the lists that are evaluated: as many as the gate's metric or any guard reads."""
        return max([self.k, *map(self.places_of, self.guards)])

    @property
    def significance(self) -> float:
        """The p value below which a difference is significant; rounded, so that 0.95 gives 0.05 to the last bit."""
        return round(1 - self.confidence, 12)


class PolicyFile(Section):
    """A policy in a file of its own, which a recipe's ``gate.policy`` names."""

    gate: Gate
