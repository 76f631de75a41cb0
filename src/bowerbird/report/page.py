"""Writes the report of a run: one HTML file that needs no network, for the people who decide and for those who look closer."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from bowerbird.report.charts import Caption, Interval, Series, day_bars, forest_plot, line_chart, paired_bars, reliability_plot
from bowerbird.report.content import Day, Evaluation, Metric, ModelResult, Reach, Reliability, ReportContent, TrainingCurve
from bowerbird.report.decision_charts import draw
from bowerbird.report.words import signed

FOLDER = Path(__file__).parent
METRICS = {
    "ndcg": ("NDCG", "how high the right items stand in the list; 1 is perfect"),
    "recall": ("Recall", "the share of a user's right items that the list holds"),
    "mrr": ("MRR", "1 divided by the place of the first right item"),
    "map": ("MAP", "the precision at each right item, averaged"),
    "hit_rate": ("Hit rate", "the share of users whose list holds at least one right item"),
    "precision": ("Precision", "the share of the list's places that hold a right item"),
    "r_precision": ("R-precision", "the share of right items among as many first places as the user has right items"),
    "coverage": ("Coverage", "the share of the catalogue that the lists reach"),
    "novelty": ("Novelty", "how rare the listed items are, in bits"),
    "gini": ("Gini", "how unevenly the lists use the catalogue; 0 is even, 1 is one item for all"),
    "average_popularity": ("Popularity", "the share of all events that a listed item has, on average"),
    "serendipity": ("Serendipity", "the share of places with a right item that is none of the most popular"),
    "intra_list_diversity": ("Diversity", "how unlike the items of one list are; 0 is all alike, 1 is nothing in common"),
    "miscalibration": ("Miscalibration", "how far the mix of categories is from that of the user's past; 0 is the same mix"),
    "age_days": ("Age in days", "how long ago the listed items came, on average"),
    "price_spread": ("Price spread", "the standard deviation of a list's prices over their mean"),
    "rank_biased_overlap": ("Agreement", "how far the lists agree with those published, early places first; 1 is the same lists"),
}
OUTCOMES = {
    "published": ("Published", "good", "✓"),
    "unchanged": ("Unchanged", "calm", "="),
    "ingested": ("Ingested", "calm", "↓"),
    "rejected": ("Rejected", "bad", "✕"),
    "held": ("Held for a person to decide", "warn", "?"),
    "stopped": ("Stopped", "bad", "✕"),
    "failed": ("Failed", "bad", "✕"),
}


def write_report(content: ReportContent, path: Path) -> None:
    """Write the report to ``path``; a reader sees the whole page or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(render_report(content), encoding="utf-8")
    unfinished.replace(path)


def render_report(content: ReportContent) -> str:
    """Return the page; all that comes from data is escaped."""
    word, tone, sign = OUTCOMES[content.outcome]
    judged = content.evaluations[0] if content.evaluations else None
    level = f"{100 * content.view.confidence:g} % intervals" if content.view else "95 % intervals"
    return _template().render(
        content=content,
        facts=content.facts,
        outcome={"word": word, "tone": tone, "sign": sign},
        judged=judged,
        nominee=_in_front(judged) if judged else None,
        fronts=[_in_front(evaluation) for evaluation in content.evaluations],
        against=_best_other(judged) if judged else None,
        level=level,
        forests=[_forest(evaluation, level, place) for place, evaluation in enumerate(content.evaluations)],
        curves=[_curve_charts(curve, place) for place, curve in enumerate(content.curves)],
        reliability_charts=[_reliability_chart(one, place) for place, one in enumerate(content.reliability)],
        pictures=draw(content.view),
        sections=_sections(content),
        left={user.user_id: user.left for user in content.changes.users} if content.changes else {},
        reach_charts=_reach_charts(content.reach) if content.reach else [],
        days_chart=_days_chart(content.days) if content.days else None,
        metric_words=_metric_words(content.evaluations),
    )


@cache
def _template() -> Template:
    pages = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {
        "count": lambda number: f"{number:,}",
        "figure": figure,
        "share": share,
        "duration": duration,
        "moment": moment,
        "metric_name": metric_name,
        "spaced": lambda name: name.replace("_", " "),
        "signed": signed,
        "chance": chance,
        "days": days,
    }
    return pages.get_template("page.html")


def figure(value: float) -> str:
    """Spell a metric: four places below 10, one above."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def share(part: float) -> str:
    """Spell a share as percent; what is there never reads as nothing."""
    if 0 < part < 0.001:
        return "<0.1 %"
    return f"{100 * part:.1f} %"


def duration(seconds: float) -> str:
    """Spell a duration in the two units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def days(number: float) -> str:
    """Spell a number of days; hours where it is less than two."""
    return f"{24 * number:.0f} hours" if number < 2 else f"{number:.0f} days"


def chance(p_value: float) -> str:
    """Spell a p-value; a small one never reads as nothing."""
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def moment(when: datetime) -> str:
    """Spell a time to the minute, in UTC; a time without a zone is taken as UTC."""
    return (when.astimezone(UTC) if when.tzinfo else when).strftime("%Y-%m-%d %H:%M UTC")


def metric_name(metric: Metric) -> str:
    """Spell a metric as people do: NDCG@10."""
    word = METRICS.get(metric.name, (metric.name, ""))[0]
    return f"{word}@{metric.k}" if metric.k is not None else word


def _sections(content: ReportContent) -> list[tuple[str, str]]:
    """List the parts that the page has, by their ids."""
    parts = [
        ("decision", "Decision", content.decision or content.view or content.answer),
        ("changes", "Changes in the lists", content.changes),
        ("drift", "Changes in the data", content.drift),
        ("next", "Next", content.next_steps),
        ("metrics", "Models", content.evaluations),
        ("examples", "Example users", content.examples),
        ("reliability", "Probabilities", content.reliability),
        ("reach", "Catalogue", content.reach),
        ("training", "Training", content.curves),
        ("searches", "Searches", content.searches),
        ("ingest", "Rows", content.tables),
        ("profile", "Tables", content.profiles),
        ("windows", "Test windows", content.test_windows),
        ("facts", "This run", True),
    ]
    return [(key, name) for key, name, part in parts if part]


def _metric_words(evaluations: tuple[Evaluation, ...]) -> list[tuple[str, str]]:
    """Explain each metric that the page shows, in the order shown."""
    results = [result for evaluation in evaluations for result in evaluation.results]
    metrics = [metric for result in results for metric in (*result.metrics, *result.beyond.values())]
    shown = {metric.name: metric_name(metric) for metric in metrics}
    return [(word, METRICS[name][1]) for name, word in shown.items() if name in METRICS]


def _in_front(evaluation: Evaluation) -> ModelResult | None:
    """Find the model that the gate judged."""
    return next((result for result in evaluation.results if {"nominee", "candidate"} & set(result.roles)), None)


def _best_other(evaluation: Evaluation) -> ModelResult | None:
    """Find the champion, or the best rival where there is none."""
    others = [result for result in evaluation.results if result is not _in_front(evaluation)]
    champions = [result for result in others if "champion" in result.roles]
    return max(champions or others, key=lambda result: result.metrics[0].value, default=None)


def _forest(evaluation: Evaluation, level: str, place: int) -> Markup | None:
    if not evaluation.results:
        return None
    front = _in_front(evaluation)
    name = metric_name(evaluation.results[0].metrics[0])
    rows = [
        Interval(r.name, r.metrics[0].value, r.metrics[0].low, r.metrics[0].high, is_marked=r is front)
        for r in evaluation.results
    ]
    best = max(rows, key=lambda row: row.value)
    text = f"{len(rows)} models; the highest value is {figure(best.value)}, of {best.name}. All values stand in the table below."
    return forest_plot(rows, caption=Caption(f"forest-{place}", f"{name} by model, with {level}", text))


def _curve_charts(curve: TrainingCurve, place: int) -> dict[str, object]:
    """Draw loss and validation apart, for their scales have nothing in common."""
    losses = [(float(point.epoch), point.loss) for point in curve.points]
    measured = [(float(point.epoch), point.validation) for point in curve.points if point.validation is not None]
    best = next((point for point in measured if point[0] == curve.best_epoch), None)
    text = f"From {figure(losses[0][1])} to {figure(losses[-1][1])} in {len(losses)} epochs." if losses else ""
    charts = []
    if losses:
        caption = Caption(f"loss-{place}", f"Training loss of {curve.model}", text)
        charts.append(("Training loss", line_chart([Series(losses)], caption=caption, x_label="epoch")))
    if measured:
        text = f"Highest at epoch {curve.best_epoch}." if best else f"From {measured[0][1]:.4f} to {measured[-1][1]:.4f}."
        caption = Caption(f"validation-{place}", f"{curve.validation_name} of {curve.model}", text)
        name = curve.validation_name[:1].upper() + curve.validation_name[1:]
        charts.append((name, line_chart([Series(measured, "second")], caption=caption, x_label="epoch", marked=best)))
    return {
        "model": curve.model,
        "best_epoch": curve.best_epoch,
        "charts": charts,
        "points": curve.points,
        "validation_name": curve.validation_name,
    }


def _reliability_chart(found: Reliability, place: int) -> Markup:
    expected, observed = sum(one.expected for one in found.bins), sum(one.observed for one in found.bins)
    text = f"{expected:,.0f} expected, {observed:,} observed, in {len(found.bins)} groups. All values stand in the table."
    caption = Caption(f"reliability-{place}", f"Foretold and observed by {found.model}", text)
    return reliability_plot([(one.mean_probability, one.positive_rate) for one in found.bins], caption=caption)


def _reach_charts(reach: Reach) -> list[tuple[str, Markup]]:
    """Draw how concentrated the lists are, and which tiers of the catalogue they take from."""
    half = sum(value < 0.5 for value in reach.recommended_curve)
    curves = [
        Series([(place / 100, value) for place, value in enumerate(reach.chosen_curve)], "second"),
        Series([(place / 100, value) for place, value in enumerate(reach.recommended_curve)], "first"),
    ]
    text = f"The most recommended {half} % of the items take half of all places."
    lines = line_chart(
        curves,
        caption=Caption("reach-curve", "How much the top items take", text),
        x_label="items, most frequent first",
        percent=True,
        from_zero=True,
    )
    groups = [(tier.name, tier.recommended_share, tier.chosen_share) for tier in reach.tiers]
    text = "; ".join(f"{name}: {share(listed)} recommended, {share(chosen)} chosen" for name, listed, chosen in groups)
    bars = paired_bars(groups, caption=Caption("reach-tiers", "Shares by popularity of the items", text))
    return [("How much the top items take", lines), ("Where the lists go, by popularity", bars)]


def _days_chart(days: tuple[Day, ...]) -> Markup:
    most = max(days, key=lambda day: day.num_events)
    text = f"{len(days)} days from {days[0].day} to {days[-1].day}; the most, {most.num_events:,}, on {most.day}."
    caption = Caption("days", "Accepted events by day", text)
    return day_bars([day.num_events for day in days], caption=caption, first=days[0].day, last=days[-1].day)
