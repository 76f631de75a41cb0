"""A report with everything in it, as a run on a shop would fill it in, and one with the least."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from bowerbird.report.content import (
    ColumnProfile,
    CurvePoint,
    Day,
    Evaluation,
    ExampleUser,
    ListedItem,
    Metric,
    ModelResult,
    PastEvent,
    Published,
    Reach,
    Reason,
    Reliability,
    ReliabilityBin,
    ReportContent,
    Role,
    Rule,
    RunFacts,
    Step,
    TableIngest,
    TableProfile,
    TestWindow,
    TrainingCurve,
)
from bowerbird.report.content_decision import (
    Answer,
    Check,
    ColumnDrift,
    Contrast,
    DecisionView,
    Drift,
    DriftFigure,
    Estimate,
    Guard,
    ListChange,
    ListChanges,
    MixShare,
    OffPolicy,
    Slice,
)
from bowerbird.report.reach import measure_reach

TO_PASS = "raise the lower bound by more than 0.0019; about 4,120 users would be needed to prove a difference of +0.0021"
NOW = datetime(2026, 3, 1, 22, 15, tzinfo=UTC)


def least() -> ReportContent:
    """A run that ended before anything was read."""
    facts = RunFacts(run_id="20260302-031500-5f2c", recipe="sample", seed=1, started=NOW)
    return ReportContent(facts=facts, outcome="failed", sentence="There is no file 'events.csv'.")


def stopped() -> ReportContent:
    """A run that ended with the contracts."""
    return full().model_copy(
        update={
            "outcome": "stopped",
            "sentence": "21 % of the events were rejected, and the recipe allows 10 %. Nothing was trained or published.",
            "evaluations": (),
            "decision": (),
            "view": None,
            "changes": None,
            "drift": None,
            "curves": (),
            "reach": None,
            "examples": (),
            "test_windows": (),
            "published": None,
        }
    )


def held() -> ReportContent:
    """A run that a person must decide on, with a rule not passed."""
    rules = full().decision
    failed = rules[1].model_copy(update={"found": "0.0021, 95 % from -0.0019 to 0.0061", "passed": False, "to_pass": TO_PASS})
    return full().model_copy(
        update={
            "outcome": "held",
            "sentence": "The new recipe looks a little better, but that may be chance. The old lists stay until you decide.",
            "next_steps": (
                "bowerbird approve 20260302-031500-5f2c",
                "bowerbird approve 20260302-031500-5f2c --reject --reason '...'",
            ),
            "decision": (rules[0], failed, *rules[2:]),
            "view": _view().model_copy(update={"off_policy": OffPolicy(applicable=False, reason="no exploration was logged.")}),
            "answer": Answer(approvers=("Ada", "Grace"), deadline=NOW + timedelta(days=3), without_answer="the old lists stay"),
            "published": None,
        }
    )


def full() -> ReportContent:
    """A run that published."""
    return ReportContent(
        facts=_facts(),
        outcome="published",
        sentence=(
            "The new recipe sasrec is published: in the last four weeks it put the right item higher for users than the one in "
            "production (NDCG@10 0.1124 against 0.1019), and the difference is more than chance."
        ),
        notes=("The data is simulated: a made-up shop with hidden tastes. No figure here says anything about a real one.",),
        next_steps=("bowerbird recommend u00042 -k 10", "bowerbird history", "bowerbird rollback"),
        published=Published(version=7, model="sasrec", num_users=2000, k=10, run_id="20260302-031500-5f2c"),
        tables=_tables(),
        days=tuple(
            Day(day=f"2026-{1 + d // 31:02}-{1 + d % 31:02}", num_events=2300 + int(700 * math.sin(d / 3.5))) for d in range(59)
        ),
        profiles=(_profile(),),
        evaluations=(_evaluation(), _leave_last_out()),
        decision=_decision(),
        view=_view(),
        answer=Answer(accepted=True, by="Ada", reason="Checked twenty lists by hand.", at=NOW, kind="approve", deadline=NOW),
        changes=_changes(),
        drift=_drift(),
        curves=(_curve(),),
        reliability=(_reliability(),),
        reach=_reach(),
        examples=_examples(),
        test_windows=_windows(),
    )


def _reliability() -> Reliability:
    rates = [(41_210, 3), (9_120, 6), (3_050, 11), (1_010, 9), (402, 0), (120, 12)]
    bins = tuple(
        ReliabilityBin(num_pairs=n, expected=9.5, observed=seen, mean_probability=9.5 / n, positive_rate=seen / n)
        for n, seen in rates
    )
    note = "It foretells 28 days, and a test window has 7: set horizon_days = 7 in the recipe."
    return Reliability(model="naive_bayes", bins=bins, ece=4.2e-4, relative_error=0.56, horizon_note=note)


def _facts() -> RunFacts:
    steps = [("ingest", 6.21, False), ("validate", 2.4, False), ("features", 3.83, False), ("train sasrec", 41.7, False)]
    steps += [("train cooccurrence", 0.9, True), ("evaluate", 4.12, False), ("publish", 0.31, False)]
    return RunFacts(
        run_id="20260302-031500-5f2c",
        recipe="sample",
        recipe_digest="9d1c5e0ab7f34c21",
        seed=1,
        started=datetime(2026, 3, 2, 3, 15, tzinfo=UTC),
        now=NOW,
        code_commit="79fb3cc",
        num_threads=2,
        cut_offs={"fit ends": NOW - timedelta(days=35), "selection ends": NOW - timedelta(days=28)},
        table_versions={"events": 12, "items": 3, "recommendations": 7},
        packages={"torch": "2.13.0", "duckdb": "2.0.0", "deltalake": "1.6.6", "numpy": "2.4.6"},
        steps=tuple(Step(name=name, seconds=seconds, is_cached=cached) for name, seconds, cached in steps),
    )


def _tables() -> tuple[TableIngest, ...]:
    reasons = (
        Reason(name="missing_user", rows=1204, explanation="The row names no customer, so it can teach nothing about one."),
        Reason(name="unknown_event", rows=310, explanation="The event type has no weight in the recipe."),
        Reason(name="not_a_product", rows=96, explanation="The stock code is postage, a fee or a correction."),
        Reason(name="unreadable_time", rows=12, explanation="The time fits none of the recipe's formats."),
    )
    events = TableIngest(
        table="events",
        read=152431,
        accepted=148225,
        duplicates=2584,
        reasons=reasons,
        notes=("418 events came later than the last run's newest.", "A new column, 'campaign', was added to the table."),
    )
    return events, TableIngest(table="items", read=1500, accepted=1500)


def _profile() -> TableProfile:
    columns = (
        ColumnProfile(name="user_id", kind="text", missing_share=0.0, num_distinct=2000, lowest="u00001", highest="u02000"),
        ColumnProfile(name="item_id", kind="text", missing_share=0.0, num_distinct=1488, lowest="i0001", highest="i1500"),
        ColumnProfile(name="timestamp", kind="time", missing_share=0.0, lowest="2026-01-01 00:02", highest="2026-03-01 22:15"),
        ColumnProfile(name="price", kind="number", missing_share=0.0004, num_distinct=312, lowest="0.49", highest="1,299.00"),
        ColumnProfile(name="session_id", kind="text", missing_share=0.213, num_distinct=31877, lowest="s1", highest="s9" * 40),
    )
    return TableProfile(table="events", num_rows=148225, columns=columns)


def _model(name: str, roles: tuple[Role, ...], ndcg: float, repeat: float, novel: float) -> ModelResult:
    def metric(kind: str, value: float, spread: float) -> Metric:
        return Metric(name=kind, k=10, value=value, low=max(value - spread, 0.0), high=value + spread)

    return ModelResult(
        name=name,
        roles=roles,
        metrics=(
            metric("ndcg", ndcg, 0.0052),
            metric("recall", ndcg * 1.62, 0.0081),
            metric("mrr", ndcg * 0.83, 0.0049),
            metric("hit_rate", ndcg * 2.4, 0.0114),
            Metric(name="coverage", k=10, value=min(0.9, ndcg * 6)),
            Metric(name="gini", k=10, value=0.71),
        ),
        repeat=metric("ndcg", repeat, 0.0132),
        novel=metric("ndcg", novel, 0.0044),
        beyond={"age_days": Metric(name="age_days", value=210.5, low=205.0, high=216.1)},
    )


def _evaluation() -> Evaluation:
    return Evaluation(
        title="Global time split, four weeks pooled",
        num_users=1342,
        num_repeat_users=604,
        num_novel_users=1201,
        results=(
            _model("sasrec", ("nominee", "published"), 0.1124, 0.2310, 0.0611),
            _model("cooccurrence", ("champion",), 0.1019, 0.2204, 0.0522),
            _model("personal_frequency", ("rival",), 0.0871, 0.2407, 0.0190),
            _model("popularity, last 7 days", ("rival",), 0.0398, 0.0411, 0.0380),
            _model("random", ("rival",), 0.0053, 0.0049, 0.0052),
        ),
    )


def _leave_last_out() -> Evaluation:
    results = tuple(
        result.model_copy(update={"repeat": None, "novel": None, "metrics": result.metrics[:2]})
        for result in _evaluation().results
    )
    note = "Leaving each user's last item out lets models see what was popular later on. Compare within this table only."
    return Evaluation(title="Leave last out", num_users=1988, results=results, note=note)


def _decision() -> tuple[Rule, ...]:
    return (
        Rule(
            name="Not worse than what we have",
            asked="not significantly below the champion or the best rival",
            found="0.0105 above cooccurrence (p = 0.0004, 1,342 users)",
            passed=True,
        ),
        Rule(
            name="A change must prove itself",
            asked="the lower 95 % bound of the difference is above 0",
            found="0.0105, 95 % from 0.0061 to 0.0149",
            passed=True,
        ),
        Rule(
            name="A refresh must hold its level",
            asked="at most 5 % below its last five runs",
            found="this is a change",
            passed=None,
        ),
        Rule(name="Enough users", asked="at least 50 users with a difference", found="987 users", passed=True),
        Rule(name="Enough of the catalogue", asked="coverage of at least 50 %", found="coverage of 67.4 %", passed=True),
    )


def _view() -> DecisionView:
    contrasts = [("personal_frequency", 0.0253, 0.0190, 0.0316), ("cooccurrence", 0.0105, 0.0061, 0.0149)]
    contrasts += [("popularity, last 7 days", 0.0726, 0.0655, 0.0797), ("random", 0.1071, 0.1019, 0.1123)]
    return DecisionView(
        nominee="sasrec",
        metric="NDCG@10",
        contrasts=tuple(
            Contrast(
                name=name,
                mean=mean,
                low=low,
                high=high,
                p_value=0.0004 if mean < 0.02 else 0.00001,
                num_users=1342,
                num_differing=987,
                users_needed=640,
                detectable=0.0041,
                is_champion=name == "cooccurrence",
            )
            for name, mean, low, high in contrasts
        ),
        guards=(
            Guard(
                metric="Recall@10",
                other="cooccurrence",
                mean=0.0098,
                low=0.0021,
                high=0.0175,
                p_value=0.02,
                bound=-0.0033,
                blocks=False,
            ),
            Guard(
                metric="MRR@10",
                other="cooccurrence",
                mean=-0.0044,
                low=-0.0081,
                high=-0.0007,
                p_value=0.04,
                bound=-0.0017,
                blocks=True,
            ),
        ),
        slices=_slices(),
        checks=(
            Check(name="lists full", asked="every list holds 10 items", found="every list holds 10 items", passed=True),
            Check(name="gini", asked="at most 0.9", found="0.93: few items take most places", passed=False, severity="show"),
            Check(name="unknown history", asked="a list for a history of unknown items", found="not asked", passed=None),
            Check(name="deterministic", asked="the same lists twice", found="3 of 200 lists differ", passed=False),
        ),
        leaks=(Check(name="events at or after the cut-off", found="none of 148,225 events", passed=True),),
        off_policy=OffPolicy(
            applicable=True,
            reason="The intervals are wide, for 54 clicks were logged.",
            estimates=(
                Estimate(estimator="IPS", value=0.0051, low=0.0012, high=0.0111),
                Estimate(estimator="SNIPS", value=0.0048, low=0.0014, high=0.0099),
                Estimate(
                    estimator="doubly robust",
                    value=0.0046,
                    low=0.0019,
                    high=0.0081,
                    difference=0.0008,
                    difference_low=-0.0011,
                    difference_high=0.0027,
                ),
            ),
            num_impressions=10_000,
            logged_value=0.0038,
            effective_sample_size=212.4,
            warnings=("2.1 % of the impressions carry half of the weight.",),
        ),
    )


def _slices() -> tuple[Slice, ...]:
    rows = [("activity", "1 to 2 events", 61, -0.0312, 0.0401), ("kind", "new users", 138, -0.0151, 0.0102)]
    rows += [("country", "Norway", 240, -0.0009, 0.0121), ("country", "Türkiye", 102, 0.0011, 0.0202)]
    rows += [("kind", "returning users", 1204, 0.0134, 0.0049), ("activity", "20 events or more", 402, 0.0201, 0.0088)]
    return tuple(
        Slice(
            column=column,
            value=value,
            num_users=users,
            shown_only=users < 100,
            other="cooccurrence",
            nominee=0.0982,
            mean=mean,
            low=mean - spread,
            high=mean + spread,
            adjusted_p=0.012 if mean < -0.01 else 1.0,
            blocks=value == "new users",
        )
        for column, value, users, mean, spread in rows
    )


def _changes() -> ListChanges:
    one = ListChange(user_id="u00042", entered=("Walnut shelf",), left=("Old oak desk", "Felt coaster"), moved=2, unmoved=3)
    same = ListChange(user_id="u01977", entered=(), left=(), moved=0, unmoved=4)
    return ListChanges(version=6, overlap=0.642, users=(one, same))


def _drift() -> Drift:
    return Drift(
        run_id="20260223-031500-11aa",
        num_before=64_120,
        num_since=15_310,
        days_before=28.0,
        days_since=7.0,
        psi_limit=0.2,
        figures=(
            DriftFigure(
                name="Events a day", before="2,290", since="2,187", note="less than half or more than twice", is_over=False
            ),
            DriftFigure(
                name="Users never seen before", before="6.1 %", since="14.4 %", note="less than half or twice", is_over=True
            ),
        ),
        mix=(MixShare(event="view", before=0.81, since=0.802), MixShare(event="purchase", before=0.19, since=0.198)),
        columns=(
            ColumnDrift(
                table="events", column="price", missing_before=0.0004, missing_since=0.0, psi=0.013, noise=0.001, is_over=False
            ),
            ColumnDrift(
                table="users", column="country", missing_before=0.0, missing_since=0.21, psi=0.61, noise=0.02, is_over=True
            ),
        ),
    )


def _curve() -> TrainingCurve:
    points = tuple(
        CurvePoint(
            epoch=e, loss=3.1 + 4.2 * math.exp(-e / 4), validation=0.112 - 0.09 * math.exp(-e / 3) - 0.0004 * max(0, e - 14)
        )
        for e in range(1, 21)
    )
    return TrainingCurve(model="sasrec", points=points, best_epoch=14)


def _reach() -> Reach:
    ranks = np.arange(1, 1501)
    chosen = np.asarray(26000 / ranks**0.9, dtype=np.int64)
    recommended = np.asarray(18000 / ranks**0.75, dtype=np.int64)
    recommended[1200:] = 0
    return measure_reach(chosen, recommended)


def _examples() -> tuple[ExampleUser, ...]:
    titles = ["Oak side table", "Linen cushion, sand", "Brass reading lamp", "Wool throw, moss", "Stoneware mug, set of 4"]
    history = tuple(
        PastEvent(title=t, event="purchase" if p % 2 else "view", when=NOW - timedelta(days=p)) for p, t in enumerate(titles)
    )
    more = [
        "Walnut shelf",
        "Jute rug 120 × 180",
        "Ceramic vase, tall",
        "茶具套装 · 青瓷",
        "Table runner",
        "Candle, fig and cedar",
    ]
    listed = tuple(
        ListedItem(
            rank=r,
            title=t,
            before={1: None, 2: 4, 3: 2}.get(r, r),
            why="goes with Oak side table" if r < 3 else "bought by people with a like history" if r == 3 else "",
        )
        for r, t in enumerate(more, start=1)
    )
    return (
        ExampleUser(user_id="u00042", label="buys weekly", num_events=118, history=history, items=listed),
        ExampleUser(
            user_id="u01977",
            label="two visits",
            num_events=2,
            history=(PastEvent(title="<script>alert('title')</script>", event="view", when=NOW),),
            items=(ListedItem(rank=1, title="Verylongtitlewithoutanyspaces" * 6), *listed[1:4]),
        ),
        ExampleUser(user_id="new users", label="the popular list", items=listed[:4]),
    )


def _windows() -> tuple[TestWindow, ...]:
    runs = ("20260223-031500-11aa", "20260302-031500-5f2c")
    return tuple(
        TestWindow(
            start=NOW - timedelta(days=7 * w),
            end=NOW - timedelta(days=7 * (w - 1)),
            num_users=420 - 11 * w,
            num_uses=2,
            used_by=runs,
        )
        for w in (4, 3, 2, 1)
    )
