"""Off-policy estimates on Open Bandit, and how long ten million impressions take.

    python -m benchmarks.off_policy --bandit ../shared/data/obd-small
    python -m benchmarks.off_policy --impressions 10000000

Open Bandit: the target policy shows each item as often at each position as the ``bts`` log does, for no log holds the
probabilities with which that policy would have chosen the other items. It is judged by the ``random`` log, whose own probability
is the same for every item, and stands beside the click rate of the ``bts`` log itself.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import commit, cpu
from bowerbird.columns import CLICK, ITEM_ID, POSITION
from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.evaluation.off_policy import evaluate
from bowerbird.evaluation.propensities import same_for_all, share_by_position
from bowerbird.recipe_gate import OffPolicy

CAMPAIGNS = ("all", "men", "women")


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
    num_positions, num_items = 10, 10_000
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bandit", type=Path)
    parser.add_argument("--impressions", type=int)
    given = parser.parse_args(arguments)
    print(f"commit {commit()}, {cpu()}")
    if given.bandit is not None:
        print_campaigns(given.bandit)
    if given.impressions is not None:
        print_speed(given.impressions)


if __name__ == "__main__":
    main()
