"""Off-policy estimates on Open Bandit, and how long ten million impressions take.

    python -m benchmarks.off_policy --bandit ../shared/data/obd-small
    python -m benchmarks.off_policy --impressions 10000000
    python -m benchmarks.off_policy --table 10000000 --users 1000000

``--impressions`` estimates from columns in memory. ``--table`` does what a run does: it reads the rows from the Delta table,
makes lists of a fitted ``cooccurrence`` for all of their users, and estimates; what it starts from is made by another process.

Open Bandit: the target policy shows each item as often at each position as the ``bts`` log does, for no log holds the
probabilities with which that policy would have chosen the other items. It is judged by the ``random`` log, whose own probability
is the same for every item, and stands beside the click rate of the ``bts`` log itself.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.evaluation_share import recipe
from benchmarks.machine import commit, cpu
from bowerbird.columns import CLICK, ITEM_ID, POSITION, TIMESTAMP, USER_ID
from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.evaluation.off_policy import evaluate
from bowerbird.evaluation.propensities import same_for_all, share_by_position
from bowerbird.models import build_model
from bowerbird.pipeline import impressions, off_policy, prove
from bowerbird.pipeline.prepare import Cut, Plan, Window
from bowerbird.pipeline.prove import Fitted, Spec
from bowerbird.pipeline.run import Run, open_run, pin_versions
from bowerbird.recipe_gate import OffPolicy
from bowerbird.store.home import Home
from bowerbird.warehouse.connection import connect

CAMPAIGNS = ("all", "men", "women")
NUM_ITEMS = 10_000


def judge_campaign(folder: Path, campaign: str) -> tuple[OffPolicyResult, int, int]:
    """Judge the ``bts`` policy of one campaign by its ``random`` log; return that, and impressions and clicks of ``bts``."""
    logs = {policy: pd.read_parquet(folder / f"{policy}_{campaign}.parquet") for policy in ("random", "bts")}
    num_items = 1 + max(int(log[ITEM_ID].max()) for log in logs.values())
    positions, items = ({policy: log[name].to_numpy(np.int64) for policy, log in logs.items()} for name in (POSITION, ITEM_ID))
    table_PI = share_by_position(positions["bts"] - 1, items["bts"], num_positions=3, num_items=num_items)
    log = same_for_all(
        table_PI,
        positions["random"] - 1,
        items["random"],
        logs["random"][CLICK].to_numpy(np.float64),
        logs["random"]["propensity_score"].to_numpy(np.float64),
    )
    return evaluate(log, OffPolicy()), len(logs["bts"]), int(logs["bts"][CLICK].sum())


def print_campaigns(folder: Path) -> None:
    """Print one row an estimate."""
    for campaign in CAMPAIGNS:
        result, num, clicks = judge_campaign(folder, campaign)
        assert result.logged_value is not None
        half = 1.96 * np.sqrt(clicks) / num
        print(
            f"{campaign}: random clicked {result.logged_value:.4f}, bts {clicks / num:.4f} ({clicks / num - half:.4f} to "
            f"{clicks / num + half:.4f}); effective {result.effective_sample_size:,.0f} of {result.num_impressions:,}, weights "
            f"average {result.mean_weight:.3f}, at most {result.max_weight:.0f}; decides: {result.decides}"
        )
        for one in result.estimates:
            apart = f"{one.difference_low:+.4f} to {one.difference_high:+.4f}"
            print(f"  {one.estimator:<15} {one.value:.4f} ({one.low:.4f} to {one.high:.4f}), from random {apart}")
        print(*(f"  ! {warning}" for warning in result.warnings), sep="\n")


def print_speed(num: int) -> None:
    """Print CPU seconds and peak memory for made-up impressions of a tenth as many users, 10,000 items, 10 positions."""
    rng = np.random.default_rng(1)
    num_positions, num_items = 10, NUM_ITEMS
    positions, items = rng.integers(0, num_positions, num), rng.integers(0, num_items, num)
    units = rng.integers(0, num // 10, num)
    clicks = (rng.random(num) < 0.05).astype(np.float64)
    table_PI = rng.dirichlet(np.full(num_items, 0.5), num_positions)
    propensities = np.full(num, 1 / num_items)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    log = same_for_all(table_PI, positions, items, clicks, propensities, units=units)
    prepared = time.process_time()
    evaluate(log, OffPolicy())
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{num:,} impressions: reward model {prepared - started:.1f}, six estimates {done - prepared:.1f} CPU-seconds; the log "
        f"takes {before / 1e6:.2f} GB, the peak is {peak / 1e6:.2f} GB"
    )


WINDOW = Window(name="test-1", cut=Cut(at=100 * MICROSECONDS_A_DAY), end=107 * MICROSECONDS_A_DAY)


def prepare_table(folder: Path, num: int, num_users: int) -> None:
    """Write a home whose feedback has ``num`` impressions in a window, and a model that was fitted before it."""
    home = Home.open(folder / "home")
    run = open_run(home, recipe(["cooccurrence"]), None)
    rng = np.random.default_rng(1)
    num_events = 5 * num_users
    log = {
        USER_ID: rng.choice([f"u{user:07}" for user in range(num_users)], num_events),
        ITEM_ID: rng.choice([f"i{item:05}" for item in range(NUM_ITEMS)], num_events),
        TIMESTAMP: np.sort(rng.integers(0, 100 * 86_400, num_events)),
    }
    build_model("cooccurrence").fit(Interactions.from_frame(pd.DataFrame(log))).save(folder / "model")
    with connect() as con:
        con.execute("select setseed(0.5)").fetchall()
        rows = con.sql(
            """
            select
                to_timestamp($start + i * $length // $num) as timestamp,
                printf('u%07d', (random() * ($users - 1))::int) as user_id,
                printf('i%05d', (random() * ($items - 1))::int) as item_id,
                1 + i % 10 as position, (random() < 0.05)::int as click, 1 / $items as propensity
            from range($num) as t (i)
            """,
            params={"start": 100 * 86_400, "length": 7 * 86_400, "num": num, "users": num_users, "items": NUM_ITEMS},
        )
        home.feedback.append(rows.to_arrow_reader(1 << 18), metadata={})
    (folder / "run.json").write_text(pin_versions(run).model_dump_json(), encoding="utf-8")


def measure_table(folder: Path) -> None:
    """Print CPU seconds of each step, and peak memory."""
    run = Run.model_validate_json((folder / "run.json").read_text(encoding="utf-8"))
    spec = Spec(label="cooccurrence", name="cooccurrence")
    vars(prove)["fit"] = lambda run, spec, cut: Fitted(spec=spec, folder=folder / "model", run_id=None)
    spent = {"reading": 0.0, "lists": 0.0}
    vars(off_policy)["read_feedback"] = timed(impressions.read_feedback, spent, "reading")
    lister = prove.lister
    vars(prove)["lister"] = lambda *given, **named: timed(lister(*given, **named), spent, "lists")
    plan = Plan(kind="global_time", now=WINDOW.end, selection=WINDOW, test=(WINDOW,))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    result = off_policy.measure_off_policy(run, plan, prove.Nominee(spec=spec))
    total, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rest = total - sum(spent.values())
    print(
        f"{result.num_impressions:,} impressions of {result.num_units:,} users: reading {spent['reading']:.1f}, lists "
        f"{spent['lists']:.1f}, all else {rest:.1f} CPU-seconds; peak {peak / 1e6:.2f} GB, {before / 1e6:.2f} of it before"
    )


def timed(work: Callable[..., Any], spent: dict[str, float], step: str) -> Callable[..., Any]:  # Any: whatever the step takes
    """Count the CPU seconds of a step."""

    def wrapper(*given: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return work(*given, **named)
        finally:
            spent[step] += time.process_time() - began

    return wrapper


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bandit", type=Path)
    parser.add_argument("--impressions", type=int)
    parser.add_argument("--table", type=int)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure is not None:
        measure_table(given.measure)
        return
    print(f"commit {commit()}, {cpu()}")
    if given.bandit is not None:
        print_campaigns(given.bandit)
    if given.impressions is not None:
        print_speed(given.impressions)
    if given.table is not None:
        with tempfile.TemporaryDirectory() as folder:
            prepare_table(Path(folder), given.table, given.users)
            subprocess.run([sys.executable, "-m", "benchmarks.off_policy", "--measure", folder], check=True)


if __name__ == "__main__":
    main()
