"""Small SVG charts, drawn by hand: they take the page's colours, and their text stays readable on a phone.

All are drawn on a canvas 400 units wide and shown at 300 to 500 pixels. Every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 40
MOST_LETTERS = 23
"""Of a name beside a picture."""
POINT = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>')
LINE = Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
PATH = Markup('<path class="{}" d="{}"/>')
BAR = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2"/>')
TEXT = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')


@dataclass(frozen=True)
class Caption:
    """What a chart says to those who do not see it; ``key`` is unique on the page."""

    key: str
    title: str
    description: str


@dataclass(frozen=True)
class Series:
    """A line; ``style`` is a class of the page's style sheet."""

    points: Sequence[tuple[float, float]]
    style: str = "first"


@dataclass(frozen=True)
class Interval:
    """A row of a forest plot."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    is_marked: bool = False
    is_bad: bool = False
    bound: float | None = None
    """What the interval is held against, a mark in its row."""


@dataclass(frozen=True)
class Scale:
    """Maps values from ``low`` to ``high`` onto units from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def ticks(low: float, high: float, *, target: int = 4) -> list[float]:
    """Choose round values that enclose ``low`` to ``high``, about ``target`` steps of 1, 2 or 5 times a power of ten."""
    span = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(span / target))
    step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= target)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, max(last, first + 1) + 1)]


def short(value: float) -> str:
    """Spell a number for an axis: 0.05, 12, 1.5 k, 3 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{unit}"
    return f"{value:.4g}"


def line_chart(
    series: Sequence[Series],
    *,
    caption: Caption,
    x_label: str,
    percent: bool = False,
    from_zero: bool = False,
    marked: tuple[float, float] | None = None,
) -> Markup:
    """Draw lines over a common x; ``marked`` puts a dot at one point, ``percent`` spells both axes as shares."""
    height = 240
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points] + ([0.0] if from_zero else [])
    across, up = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    if not percent:
        across = [x for x in across if min(xs) <= x <= max(xs) and x == int(x)]
    x_at = Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_at = Scale(up[0], up[-1], height - BOTTOM, TOP)
    spell = _percent if percent else short
    parts = [*_levels(up, y_at, spell), *(TEXT.format("tick middle", x_at(x), height - BOTTOM + 18, spell(x)) for x in across)]
    parts += [PATH.format(f"line {line.style}", _path(line.points, x_at, y_at)) for line in series]
    parts += [
        POINT.format(f"dot {line.style}", x_at(x), y_at(y), 3.5)
        for line in series
        if len(line.points) == 1
        for x, y in line.points
    ]
    if marked is not None:
        parts.append(POINT.format("marked", x_at(marked[0]), y_at(marked[1]), 5))
    parts.append(TEXT.format("label end", WIDTH - RIGHT, height - 4, x_label))
    return _svg(parts, caption, height)


def forest_plot(rows: Sequence[Interval], *, caption: Caption, reference: float | None = None) -> Markup:
    """Draw a value with its interval for each row.

    Behind them lies a line at ``reference``, or, where there is none, the marked row's interval as a band.
    """
    row_height = 34
    gutter = 18 + 7.4 * min(MOST_LETTERS, max(len(row.name) for row in rows))
    bottom = TOP + row_height * len(rows)
    ends = [end for row in rows for end in (row.value, row.low, row.high, row.bound, reference) if end is not None]
    across = ticks(min(0.0, *ends), max(ends))
    x_at = Scale(across[0], across[-1], gutter, WIDTH - RIGHT)
    parts = [LINE.format("grid", x_at(x), TOP, x_at(x), bottom) for x in across]
    parts += [TEXT.format("tick middle", x_at(x), bottom + 18, short(x)) for x in across]
    if reference is not None:
        parts.append(LINE.format("reference", x_at(reference), TOP - 6, x_at(reference), bottom + 4))
    for row in rows:
        if reference is None and row.is_marked and row.low is not None and row.high is not None:
            parts.append(BAR.format("band", x_at(row.low), TOP, max(x_at(row.high) - x_at(row.low), 1), bottom - TOP))
    for place, row in enumerate(rows):
        y = TOP + row_height * (place + 0.5)
        style = "bad" if row.is_bad else "first" if row.is_marked else "other"
        parts.append(TEXT.format("name strong" if row.is_marked else "name", 0, y + 4.5, _shorten(row.name, MOST_LETTERS)))
        if row.low is not None and row.high is not None:
            parts.append(LINE.format(f"whisker {style}", x_at(row.low), y, x_at(row.high), y))
        if row.bound is not None:
            parts.append(LINE.format("bound", x_at(row.bound), y - 11, x_at(row.bound), y + 11))
        parts.append(POINT.format(f"dot {style}", x_at(row.value), y, 5))
    return _svg(parts, caption, bottom + 26)


def reliability_plot(points: Sequence[tuple[float, float]], *, caption: Caption) -> Markup:
    """Draw shares that came true over foretold probabilities, both on a logarithmic scale, and the diagonal of perfection.

    A share of 0 has no place on such a scale: its dot is hollow and lies on the lower edge.
    """
    height = 320
    values = [value for point in points for value in point if value > 0]
    low, high = math.floor(math.log10(min(values)) - 0.05), math.ceil(math.log10(max(values)))
    powers = range(low, max(high, low + 1) + 1)
    x_at, y_at = Scale(low, powers[-1], LEFT + 20, WIDTH - RIGHT), Scale(low, powers[-1], height - BOTTOM, TOP)
    parts = [LINE.format("grid", LEFT + 20, y_at(power), WIDTH - RIGHT, y_at(power)) for power in powers]
    parts += [TEXT.format("tick end", LEFT + 14, y_at(power) + 4, _percent_of_ten(power)) for power in powers]
    parts += [TEXT.format("tick middle", x_at(x), height - BOTTOM + 18, _percent_of_ten(x)) for x in powers[1:-1]]
    parts.append(PATH.format("line second", _path([(low, low), (powers[-1], powers[-1])], x_at, y_at)))
    for point in points:
        x, y = (math.log10(value) if value > 0 else low for value in point)
        parts.append(POINT.format("dot first" if point[1] > 0 else "marked", x_at(x), y_at(y), 5))
    parts.append(TEXT.format("label end", WIDTH - RIGHT, height - 4, "foretold probability"))
    return _svg(parts, caption, height)


def paired_bars(groups: Sequence[tuple[str, float, float]], *, caption: Caption) -> Markup:
    """Draw two shares for each named group, one bar above the other."""
    row_height, gutter, margin = 44, 84, 58
    longest = max([max(one, other) for _, one, other in groups] or [1.0]) or 1.0
    x_at = Scale(0.0, longest, gutter, WIDTH - margin)
    parts: list[Markup] = []
    for place, (name, one, other) in enumerate(groups):
        y = TOP + row_height * place
        parts.append(TEXT.format("name", 0, y + 21, name))
        for offset, value, style in ((0, one, "first"), (17, other, "second")):
            parts.append(BAR.format(f"bar {style}", gutter, y + offset, max(x_at(value) - gutter, 1), 14))
            parts.append(TEXT.format("tick", x_at(value) + 6, y + offset + 12, _percent(value)))
    return _svg(parts, caption, TOP + row_height * len(groups))


def day_bars(values: Sequence[float], *, caption: Caption, first: str, last: str) -> Markup:
    """Draw one thin bar a day, with the first and the last day named."""
    height = 160
    up = ticks(0.0, max([*values, 1.0]), target=3)
    y_at = Scale(0.0, up[-1], height - BOTTOM, TOP)
    step = (WIDTH - RIGHT - LEFT) / max(len(values), 1)
    parts = list(_levels(up, y_at, short))
    for place, value in enumerate(values):
        parts.append(
            BAR.format("bar first", LEFT + step * place, y_at(value), max(step * 0.8, 0.5), height - BOTTOM - y_at(value))
        )
    parts += [
        TEXT.format("tick", LEFT, height - BOTTOM + 18, first),
        TEXT.format("tick end", WIDTH - RIGHT, height - BOTTOM + 18, last),
    ]
    return _svg(parts, caption, height - 14)


def age_chart(points: Sequence[tuple[float, float, float, float]], *, ends: Sequence[float], caption: Caption) -> Markup:
    """Draw days, share, low and high of each point, from a fresh model at 0 on; ``ends`` are the values that the scale holds."""
    height = 220
    up = ticks(100 * min(0.0, *ends), 100 * max(0.0, *ends))
    x_at = Scale(0.0, max(days for days, *_ in points) * 1.04, LEFT + 8, WIDTH - RIGHT)
    y_at = Scale(up[0], up[-1], height - BOTTOM, TOP)
    parts = list(_levels(up, y_at, lambda y: f"{y:+g} %" if y else "fresh"))
    parts.append(LINE.format("reference", LEFT, y_at(0), WIDTH - RIGHT, y_at(0)))
    parts += [TEXT.format("tick middle", x_at(days), height - BOTTOM + 18, f"{days:.3g}") for days, *_ in points]
    for days, _, low, high in points:
        parts.append(LINE.format("whisker other", x_at(days), y_at(100 * low), x_at(days), y_at(100 * high)))
    course = [(0.0, 0.0), *((days, 100 * share) for days, share, *_ in points)]
    parts.append(PATH.format("line first", _path(course, x_at, y_at)))
    parts += [POINT.format("dot first", x_at(x), y_at(y), 4.5) for x, y in course]
    parts.append(TEXT.format("label end", WIDTH - RIGHT, height - 4, "days since the fit"))
    return _svg(parts, caption, height)


def _levels(up: Iterable[float], y_at: Scale, spell: Callable[[float], str]) -> Iterable[Markup]:
    """Draw the horizontal grid with its values."""
    for y in up:
        yield LINE.format("grid", LEFT, y_at(y), WIDTH - RIGHT, y_at(y))
        yield TEXT.format("tick end", LEFT - 8, y_at(y) + 4, spell(y))


def _path(points: Sequence[tuple[float, float]], x_at: Scale, y_at: Scale) -> str:
    return "M" + " L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y in points)


def _percent_of_ten(exponent: int) -> str:
    return f"{10.0 ** (exponent + 2):g} %"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 0.001 or share == 0 else "<0.1 %"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _svg(parts: Iterable[Markup], caption: Caption, height: float) -> Markup:
    frame = Markup(
        '<svg viewBox="0 0 {} {:.0f}" role="img" aria-labelledby="{key}-title {key}-text">'
        '<title id="{key}-title">{}</title><desc id="{key}-text">{}</desc>{}</svg>'
    )
    return frame.format(WIDTH, height, caption.title, caption.description, Markup("").join(parts), key=caption.key)
