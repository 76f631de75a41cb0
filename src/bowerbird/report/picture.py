"""Drawings that stand alone, outside the report: they carry their own colours."""

from __future__ import annotations

from bowerbird.report.charts import Caption, Series, line_chart
from bowerbird.report.content import TrainingCurve

STYLE = (
    "<style>svg{background:#fff}text{font:13px sans-serif;fill:#444}.grid{stroke:#ddd}.middle{text-anchor:middle}"
    ".end{text-anchor:end}.line{fill:none;stroke:#1f5f8b;stroke-width:2.25}.marked{fill:#1f5f8b}</style>"
)


def curve_picture(curve: TrainingCurve) -> str:
    """Draw the validation metric of a training, or its loss where nothing was validated, as one SVG document."""
    measured = [(float(point.epoch), point.validation) for point in curve.points if point.validation is not None]
    losses = [(float(point.epoch), point.loss) for point in curve.points]
    what = curve.validation_name if measured else "training loss"
    drawing = line_chart(
        [Series(measured or losses)], caption=Caption("curve", f"{what} of {curve.model}", ""), x_label=f"epoch, {what}"
    )
    opening, rest = str(drawing).split(">", 1)
    return f'{opening} xmlns="http://www.w3.org/2000/svg">{STYLE}{rest}'
