"""How often chance gets through the gate, how often a true gain does, and whether intervals hold the truth, on simulated users.

    python benchmarks/gate_simulation.py [--repetitions 2000] > benchmarks/results/<date>-gate-simulation.md

Each repetition is the whole choice: models are scored on a selection window, ``nominate`` chooses one, it is scored once on a
test window beside champion and rivals, and ``decide`` reads the evidence. A user finds his one target with a chance of his own,
0.6 times a beta(1, 2) number, the same in both windows, times one plus the model's lift; a found target lies at any of ten
places, so a value is an NDCG@10: mostly 0, the rest skewed. Bootstraps have 1,000 samples and tests 999 flips instead of 2,000
and 10,000: p values from fewer flips are as valid, and the 2.5 % bound of 1,000 samples lies 0.05 points higher.
"""

from __future__ import annotations

import argparse
import platform
from collections import Counter
from collections.abc import Sequence
from math import sqrt
from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from bowerbird.evaluation.decision import RANDOM, Evidence, SliceResult
from bowerbird.evaluation.gate import decide
from bowerbird.evaluation.mean_intervals import mean_intervals
from bowerbird.evaluation.nomination import nominate
from bowerbird.evaluation.past_slices import compare_with_past
from bowerbird.evaluation.statistics import (
    bootstrap_intervals,
    holm,
    minimum_detectable,
    paired_differences,
    sign_flip_p_value,
    users_needed,
)
from bowerbird.recipe_gate import Gate

Values = NDArray[np.float64]
GAINS = 1 / np.log2(np.arange(2, 12))
MEAN_CHANCE, MEAN_SQUARED_CHANCE = 0.6 / 3, 0.6**2 / 6
NUM_SAMPLES, NUM_FLIPS = 1000, 999
CHAMPION, RIVAL = "champion", "rival"
LIFTS = {CHAMPION: 0.0, RIVAL: -0.4, RANDOM: -0.9}
MAX_LIFT = 0.5


def chances(rng: np.random.Generator, num_users: int) -> Values:
    """Draw how likely a model without lift is to find a user's target; [U]."""
    return 0.6 * rng.beta(1, 2, num_users)


def window(rng: np.random.Generator, chances_U: Values, lifts: dict[str, float]) -> dict[str, Values]:
    """Draw each model's values in a window; [U] by label."""
    found = {}
    for label, lift in lifts.items():
        is_found = rng.random(len(chances_U)) < chances_U * (1 + lift)
        found[label] = np.where(is_found, rng.choice(GAINS, len(chances_U)), 0.0)
    return found


def truth(lift: float) -> tuple[float, float]:
    """Return the true mean difference of a model with a lift from the champion, and the users' standard deviation."""
    gain, squared = float(GAINS.mean()), float((GAINS**2).mean())
    effect = MEAN_CHANCE * lift * gain
    second_moment = MEAN_CHANCE * (2 + lift) * squared - 2 * MEAN_SQUARED_CHANCE * (1 + lift) * gain**2
    return effect, sqrt(second_moment - effect**2)


def whole_choice(
    seed: int, lifts: dict[str, float], *, num_users: int, champion_takes_part: bool = False, choose_on_test: bool = False
) -> tuple[str, str]:
    """Choose one of the models with these lifts and let the gate decide; return the nominee and the outcome."""
    rng = np.random.default_rng(seed)
    chances_U = chances(rng, num_users)
    everybody = lifts | LIFTS
    selection, test = window(rng, chances_U, everybody), window(rng, chances_U, everybody)
    contest = [*lifts, CHAMPION] if champion_takes_part else list(lifts)
    chosen_on = test if choose_on_test else selection
    nominee, _ = nominate(
        {label: chosen_on[label] for label in contest},
        champion=CHAMPION if champion_takes_part else None,
        seed=seed,
        num_samples=NUM_SAMPLES,
    )
    compared = dict.fromkeys([nominee, CHAMPION, RIVAL, RANDOM])
    values_UM = np.column_stack([test[label] for label in compared])
    others = {label: test[label] for label in compared if label != nominee}
    evidence = Evidence(
        nominee=nominee,
        champion=CHAMPION,
        is_refresh=nominee == CHAMPION,
        rivals=(RANDOM, RIVAL),
        models=dict(zip(compared, bootstrap_intervals(values_UM, seed=seed, num_samples=NUM_SAMPLES), strict=True)),
        differences=paired_differences(test[nominee], others, seed=seed, num_samples=NUM_SAMPLES, num_flips=NUM_FLIPS),
    )
    return nominee, decide(evidence, Gate()).outcome


def no_difference(
    num_repetitions: int,
    *,
    num_models: int = 8,
    num_users: int = 300,
    champion_takes_part: bool = False,
    choose_on_test: bool = False,
) -> dict[str, float]:
    """Return how often a change that is as good as the champion is promoted, held and rejected; the rest are refreshes."""
    lifts = {f"model_{number}": 0.0 for number in range(1, num_models + 1)}
    counts = Counter[str]()
    for seed in range(num_repetitions):
        nominee, outcome = whole_choice(
            seed, lifts, num_users=num_users, champion_takes_part=champion_takes_part, choose_on_test=choose_on_test
        )
        counts["refresh" if nominee == CHAMPION else outcome] += 1
    return {outcome: counts[outcome] / num_repetitions for outcome in ("promote", "hold", "reject", "refresh")}


def power(num_repetitions: int, *, lift: float = MAX_LIFT, num_models: int = 4) -> dict[str, float]:
    """Return how often the one better of several models is nominated, and promoted then, with the users that it needs."""
    num_users = users_needed(truth(lift)[1], truth(lift)[0]) or 0
    lifts = {"better": lift} | {f"model_{number}": 0.0 for number in range(2, num_models + 1)}
    found = [whole_choice(seed, lifts, num_users=num_users) for seed in range(num_repetitions)]
    outcomes = [outcome for nominee, outcome in found if nominee == "better"]
    return {
        "num_users": num_users,
        "nominated": len(outcomes) / num_repetitions,
        "promoted": outcomes.count("promote") / len(outcomes),
    }


def blocked_slices(
    num_repetitions: int, *, max_loss: float, num_slices: int = 10, num_users: int = 120, corrected: bool = True
) -> float:
    """Return how often any slice is blocked where in each the nominee is worse by exactly what is allowed."""
    num_blocked = 0
    for seed in range(num_repetitions):
        rng = np.random.default_rng(seed)
        p_values = []
        for _ in range(num_slices):
            values = window(rng, chances(rng, num_users), {"nominee": -max_loss, CHAMPION: 0.0})
            losses = values["nominee"] - (1 - max_loss) * values[CHAMPION]
            p_values.append(sign_flip_p_value(losses, side="below", num_flips=NUM_FLIPS, seed=seed))
        num_blocked += min(holm(p_values) if corrected else p_values) < 0.05
    return num_blocked / num_repetitions


def held_refreshes(
    num_repetitions: int, *, change: float, num_past: int, num_users: int = 120, num_slices: int = 10, same_people: bool = False
) -> float:
    """Return how often a refresh is held for any slice, where each reaches ``1 + change`` times what earlier runs did."""
    num_held = 0
    for seed in range(num_repetitions):
        rng = np.random.default_rng(seed)
        people = [chances(rng, num_users) for _ in range(num_slices)]
        runs = []
        for lift in [0.0] * num_past + [change]:
            asked = people if same_people else [chances(rng, num_users) for _ in people]
            runs.append([_slice(f"slice {n}", window(rng, chances_U, {"own": lift})["own"]) for n, chances_U in enumerate(asked)])
        found = compare_with_past(runs[-1], runs[:-1], other="own", max_loss=0.1, level=0.95, significance=0.05)
        num_held += any(one.blocks for one in found)
    return num_held / num_repetitions


def _slice(value: str, values_U: Values) -> SliceResult:
    mean, deviation = float(values_U.mean()), float(values_U.std())
    figures = {"nominee": mean, "deviation": deviation, "mean": 0.0, "low": 0.0, "high": 0.0}
    return SliceResult(column="user", value=value, num_users=len(values_U), shown_only=False, other="another", **figures)


def coverage(num_repetitions: int, *, num_users: int, share_found: float, at_once: int = 100) -> tuple[float, ...]:
    """Return how often an interval holds the truth: of a mean, of one by the percentile bootstrap, and of a difference."""
    num_held = np.zeros(3)
    for seed in range(num_repetitions // at_once):
        rng = np.random.default_rng(seed)
        chances_UM = rng.beta(1, 2, (num_users, at_once)) * 3 * share_found
        ours, theirs = (
            np.where(rng.random(chances_UM.shape) < chances_UM, rng.choice(GAINS, chances_UM.shape), 0.0) for _ in range(2)
        )
        ways = (
            (mean_intervals(pd.DataFrame(ours), bounded=range(at_once)).values(), share_found * float(GAINS.mean())),
            (bootstrap_intervals(ours, seed=seed), share_found * float(GAINS.mean())),
            (bootstrap_intervals(ours - theirs, seed=seed), 0.0),
        )
        num_held += [sum(one.low <= truth <= one.high for one in found) for found, truth in ways]
    return tuple(map(float, num_held / num_repetitions))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the results as a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    num = parser.parse_args(arguments).repetitions
    started = process_time()
    print("# The gate on simulated users\n")
    machine = f"commit {commit()}, {cpu()}, Python {platform.python_version()}"
    print(f"`OMP_NUM_THREADS=1 python benchmarks/gate_simulation.py --repetitions {num}`, {machine}.")
    print("\n" + " ".join((__doc__ or "").split("\n\n")[2].replace("``", "`").split()))
    doubt = 2 * 100 * sqrt(0.025 * 0.975 / num)
    print(f"\nA rate in {num:,} repetitions is known to ± {doubt:.1f} points where it is 2.5 %.\n")
    _print_chance(num)
    _print_power(num)
    _print_slices(num)
    _print_refreshes(num)
    _print_coverage(num)
    print(f"\nAll of it took {process_time() - started:.0f} CPU-seconds.")


def _print_chance(num: int) -> None:
    print("## No true difference\n\n8 models as good as the champion, 300 users.\n")
    print("| how the nominee is chosen | promoted | held | rejected | refresh of the champion |\n| --- | --- | --- | --- | --- |")
    for how, found in (
        ("on the selection window; the champion's recipe is not among the models", no_difference(num)),
        ("on the selection window; the champion's recipe is among them", no_difference(num, champion_takes_part=True)),
        ("**wrongly on the test window**; the champion's recipe is not among them", no_difference(num, choose_on_test=True)),
    ):
        print(f"| {how} | " + " | ".join(f"{100 * share:.1f} %" for share in found.values()) + " |")


def _print_power(num: int) -> None:
    print("\n## A true gain\n")
    print("One of 4 models is better than the champion, the others are as good as it; as many users as `users_needed` says.\n")
    print("| true gain | users | detectable over them | nominated | promoted, where nominated |\n| --- | --- | --- | --- | --- |")
    for lift in (MAX_LIFT, 0.3):
        found, (effect, deviation) = power(num, lift=lift), truth(lift)
        detectable = minimum_detectable(deviation, int(found["num_users"]))
        print(
            f"| {effect:.4f} (champion {MEAN_CHANCE * GAINS.mean():.4f}) | {found['num_users']:.0f} | {detectable:.4f} | "
            f"{100 * found['nominated']:.1f} % | {100 * found['promoted']:.1f} % |"
        )


def _print_slices(num: int) -> None:
    print("\n## Slices\n")
    print("How often any of 10 slices of 120 users is blocked at 5 %, where the nominee is worse by exactly what is allowed.\n")
    print("| share allowed | blocked, with Holm's correction | without |\n| --- | --- | --- |")
    for max_loss in (0.0, 0.1, 0.2):
        with_holm, without = (blocked_slices(num, max_loss=max_loss, corrected=corrected) for corrected in (True, False))
        print(f"| {max_loss:.0%} | {100 * with_holm:.1f} % | {100 * without:.1f} % |")


def _print_refreshes(num: int) -> None:
    print("\n## Slices of a refresh\n")
    print(
        "How often a refresh is held for any of 10 slices, where each reaches so much of what earlier runs did; 90 % will do.\n"
    )
    print("| reaches | users of a slice | beside 1 earlier run | beside 5 | beside 5 with the same people |")
    print("| --- | --- | --- | --- | --- |")
    for change, num_users in ((0.0, 120), (-0.1, 120), (-0.1, 1000), (-0.3, 120), (-0.3, 1000)):
        kinds = ((1, False), (5, False), (5, True))
        held = [held_refreshes(num, change=change, num_past=past, num_users=num_users, same_people=same) for past, same in kinds]
        print(f"| {1 + change:.0%} | {num_users:,} | " + " | ".join(f"{100 * share:.1f} %" for share in held) + " |")


def _print_coverage(num: int) -> None:
    print("\n## Intervals\n")
    print("How often a 95 % interval holds the truth; that of a difference is the percentile bootstrap's.\n")
    print("| users | share that finds anything | of a mean | the same by the percentile bootstrap | of a difference |")
    print("| --- | --- | --- | --- | --- |")
    for num_users in (100, 300, 1000):
        for share in (0.03, 0.1, 0.3):
            held = coverage(num, num_users=num_users, share_found=share)
            print(f"| {num_users:,} | {share:.0%} | " + " | ".join(f"{100 * one:.1f} %" for one in held) + " |")


if __name__ == "__main__":
    main()
