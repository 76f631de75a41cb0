"""From what a run has written down to what the report tells of the decision; what was not measured is left out."""

from __future__ import annotations

from typing import Any, TypeVar

from bowerbird.evaluation.statistics import Difference
from bowerbird.report.content import Metric
from bowerbird.report.content_decision import Answer, Check, Contrast, DecisionView, Estimate, Guard, OffPolicy, Slice
from bowerbird.report.page import metric_name
from bowerbird.report.record import Record

Part = TypeVar("Part", bound=Record)
ESTIMATORS = {
    "ips": "IPS",
    "snips": "self-normalised IPS",
    "dr": "doubly robust",
    "switch_dr": "switch",
    "dr_optimistic": "shrunk, optimistic",
    "dr_pessimistic": "shrunk, pessimistic",
}
DEFAULT_CONFIDENCE = 0.95
"""Of runs of older versions, which do not say it."""


def decision_view(evaluation: dict[str, Any]) -> DecisionView:  # Any: JSON
    """Read the evidence of ``evaluation.json``."""
    return DecisionView(
        nominee=evaluation["nominee"],
        metric=in_words(*evaluation["metric"].split("@")),
        confidence=evaluation.get("confidence", DEFAULT_CONFIDENCE),
        contrasts=tuple(_contrast(label, one, evaluation) for label, one in evaluation["differences"].items()),
        guards=tuple(_guard(one) for one in evaluation.get("guards", ())),
        slices=tuple(_part(Slice, one) for one in evaluation.get("slices", ())),
        checks=tuple(_part(Check, one) for one in evaluation.get("behaviour", ())),
        leaks=tuple(_part(Check, one) for one in evaluation.get("leaks", ())),
        off_policy=_off_policy(evaluation.get("off_policy")),
    )


def answer(manifest: dict[str, Any]) -> Answer | None:  # Any: JSON
    """Read a person's answer, where there is one."""
    found = manifest.get("answer")
    return _part(Answer, found) if found else None


def in_words(name: str, k: str | int | None = None) -> str:
    """Spell a metric as people do: NDCG@10."""
    return metric_name(Metric(name=name, k=None if k is None else int(k), value=0.0))


def _contrast(label: str, one: dict[str, Any], evaluation: dict[str, Any]) -> Contrast:  # Any: JSON
    found = Difference(**one)
    return Contrast(
        name=label,
        mean=found.mean,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        num_users=found.num_users,
        num_differing=found.num_differing,
        users_needed=found.users_needed,
        detectable=found.detectable,
        is_champion=label == evaluation["champion"],
    )


def _guard(one: dict[str, Any]) -> Guard:  # Any: JSON
    return _part(Guard, one | {"metric": in_words(one["metric"], one.get("k"))})


def _off_policy(found: dict[str, Any] | None) -> OffPolicy | None:  # Any: JSON
    if found is None:
        return None
    estimates = tuple(
        _part(Estimate, one | {"estimator": ESTIMATORS.get(one["estimator"], one["estimator"])})
        for one in found.get("estimates", ())
    )
    return _part(OffPolicy, found | {"estimates": estimates})


def _part(kind: type[Part], found: dict[str, Any]) -> Part:  # Any: JSON
    """Take from a dictionary what the report tells of it."""
    return kind(**{name: found[name] for name in kind.model_fields if name in found})
