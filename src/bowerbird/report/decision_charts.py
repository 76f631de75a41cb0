"""The pictures of a decision: differences, slices and off-policy estimates, each with its interval and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bowerbird.report.charts import MOST_LETTERS, Caption, Interval, forest_plot
from bowerbird.report.content_decision import Contrast, DecisionView, Guard, OffPolicy, Slice
from bowerbird.report.words import signed

MOST_SLICES = 12
RANDOM = "random"


@dataclass(frozen=True)
class Picture:
    """A chart and the line above it."""

    title: str
    chart: Markup


@dataclass(frozen=True)
class Pictures:
    """What there is to draw of a decision."""

    differences: tuple[Picture, ...] = ()
    slices: Picture | None = None
    off_policy: Markup | None = None


def draw(view: DecisionView | None) -> Pictures:
    """Draw what was measured."""
    if view is None:
        return Pictures()
    return Pictures(
        differences=tuple(_differences(view)),
        slices=_slices(view) if view.slices else None,
        off_policy=_off_policy(view.off_policy) if view.off_policy and view.off_policy.estimates else None,
    )


def _differences(view: DecisionView) -> list[Picture]:
    """Draw the models that stand against the nominee, the closest first, and the guards on a scale of their own."""
    rivals = [one for one in view.contrasts if one.name != RANDOM] or list(view.contrasts)
    level = f"{100 * view.confidence:g} % intervals"
    found = []
    if rivals:
        less = ", without the sanity check random" if len(rivals) < len(view.contrasts) else ""
        rows = [
            _row(one.name, one, is_marked=one.is_champion, is_bad=one.high < 0)
            for one in sorted(rivals, key=lambda one: one.mean)
        ]
        found.append(_forest("differences", f"{view.metric}, differences with {level}{less}", rows))
    if view.guards:
        others = sorted({one.other for one in view.guards})
        names = [one.metric if len(others) == 1 else f"{one.metric} to {one.other}" for one in view.guards]
        rows = [_row(name, one, is_bad=one.blocks) for name, one in zip(names, view.guards, strict=True)]
        title = f"Metrics that must not get worse than those of {' and '.join(others)}, with {level}"
        found.append(_forest("guards", title, sorted(rows, key=lambda row: row.value)))
    return found


def _slices(view: DecisionView) -> Picture:
    """Draw the parts that may decide, or all where none may: the intervals of tiny ones would squeeze the others."""
    judged = [one for one in view.slices if not one.shown_only] or list(view.slices)
    names = _names(judged[:MOST_SLICES])
    rows = [_row(name, one, is_bad=one.blocks) for name, one in zip(names, judged, strict=False)]
    first = f"the {MOST_SLICES} worst of {len(judged)} slices" if len(judged) > MOST_SLICES else f"{len(judged)} slices"
    left_out = len(view.slices) - len(judged)
    small = f"; {left_out} with too few users stand in the table alone" if left_out else ""
    level = f"{100 * view.confidence:g} % intervals"
    return _forest("slices", f"{view.metric}, differences on {first}, with {level}{small}", rows)


def _names(slices: Sequence[Slice]) -> list[str]:
    """Name slices in full where there is room, else by their value alone where that is not ambiguous."""
    values = [one.value for one in slices]
    return [one.name if len(one.name) <= MOST_LETTERS or values.count(one.value) > 1 else one.value for one in slices]


def _off_policy(found: OffPolicy) -> Markup:
    rows = [Interval(one.estimator, one.value, one.low, one.high) for one in found.estimates]
    return _forest("off-policy", "Reward an impression, by estimator", rows, reference=found.logged_value).chart


def _row(name: str, one: Contrast | Guard | Slice, *, is_marked: bool = False, is_bad: bool = False) -> Interval:
    bound = None if isinstance(one, Contrast) else one.bound
    return Interval(name, one.mean, one.low, one.high, is_marked=is_marked, is_bad=is_bad, bound=bound)


def _forest(key: str, title: str, rows: Sequence[Interval], *, reference: float | None = 0.0) -> Picture:
    spell = signed if reference == 0.0 else "{:.4f}".format
    told = [f"{row.name} {spell(row.value)} ({spell(row.low or 0.0)} to {spell(row.high or 0.0)})" for row in rows]
    title += "; the mark in a row is the bound" if any(row.bound is not None for row in rows) else ""
    return Picture(title, forest_plot(rows, caption=Caption(key, title, "; ".join(told) + "."), reference=reference))
