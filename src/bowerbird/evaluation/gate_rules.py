"""The gate's rules: what each asks of the evidence, what it found, and what would have to change.

They have the numbers of the design, "The gate compares recipes"; docs/reference/gate.md tells each of them. Rule 7 is asked
after the refit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from bowerbird.evaluation.decision import RANDOM, Evidence, RuleResult
from bowerbird.evaluation.wording import (
    METRIC_NAMES,
    detectable_in_words,
    difference_in_words,
    estimate_in_words,
    guard_in_words,
    level_in_words,
    metric_in_words,
    number,
    runs,
    slice_in_words,
    users_in_words,
)
from bowerbird.recipe_gate import Gate

NUM_OWN_RUNS = 5

# ---- rule 1: not worse, and nothing broken


def not_worse_than_champion(evidence: Evidence, policy: Gate) -> RuleResult:
    other = evidence.champion if evidence.kind == "change" else None
    missing = "there is no champion yet" if evidence.kind == "first" else "the nominee's recipe is the champion's"
    return _not_worse(evidence, policy, "not worse than the champion", other, missing)


def not_worse_than_best_rival(evidence: Evidence, policy: Gate) -> RuleResult:
    return _not_worse(evidence, policy, "not worse than the best rival", evidence.best_rival, "there is no other rival")


def _not_worse(evidence: Evidence, policy: Gate, name: str, other: str | None, missing: str) -> RuleResult:
    asked = (
        f"{metric_in_words(policy)} not significantly below (two-sided sign-flip test over users, p < {policy.significance:g})"
    )
    if other is None:
        return RuleResult(rule=1, name=name, asked=asked, found=missing, passed=None, if_failed="reject")
    difference = evidence.differences[other]
    is_worse = difference.mean < 0 and difference.p_value < policy.significance
    return RuleResult(
        rule=1,
        name=name,
        asked=asked,
        found=_compared(evidence, policy, other) + f", p = {difference.p_value:.2g}",
        passed=not is_worse,
        if_failed="reject",
        to_pass=f"catch up by {number(-difference.mean)} with {other}" if is_worse else "",
    )


def no_broken_check(evidence: Evidence, policy: Gate, label: str | None = None) -> RuleResult:
    found_of = evidence.behaviour if label is None else evidence.behaviour_of_rival
    broken = [one for one in found_of if one.passed is False and one.severity == "block"]
    judged = [one for one in found_of if one.passed is not None]
    name = "behaviour" if label is None else f"behaviour of {label}"
    result = partial(RuleResult, rule=1, name=name, asked="no behavioural check is broken", if_failed="reject")
    if not judged:
        return result(found="no behavioural check was made", passed=None)
    if not broken:
        return result(found=f"none of {len(judged)} behavioural checks that block is broken", passed=True)
    found = "; ".join(f"{one.found} (the check {one.name} asks that {one.asked})" for one in broken)
    names = " and ".join(f'gate.behaviour.severity.{one.name} = "show"' for one in broken)
    return result(found=found, passed=False, to_pass=f"mend the model; or, where that is meant to be, set {names}")


def off_policy(evidence: Evidence, policy: Gate) -> RuleResult:
    """Without logged exploration, or with too little of it, this does not apply, and is no pass."""
    measured = evidence.off_policy
    asked = "lists would not have earned significantly less than what was shown (off-policy estimate)"
    result = partial(RuleResult, rule=1, name="off-policy", asked=asked, if_failed="hold")
    if measured is None or not measured.applicable:
        return result(found="it was not measured" if measured is None else f"not applicable: {measured.reason}", passed=None)
    found = estimate_in_words(measured, policy)
    if policy.off_policy.mode == "show" or not measured.is_sound:
        why = "this is shown only" if measured.is_sound else "this decides nothing: " + "; ".join(measured.warnings)
        return result(found=f"{found}; {why}", passed=None)
    passed = measured.main.difference_high >= 0
    to_pass = "" if passed else "find what the logged policy shows that it does not, or set gate.off_policy.mode to 'show'"
    return result(found=found, passed=passed, to_pass=to_pass)


def coverage(evidence: Evidence, policy: Gate, label: str | None = None) -> RuleResult:
    whose = label or evidence.nominee
    reached = evidence.coverage.get(whose)
    passed = policy.min_coverage == 0 or (reached is not None and reached >= policy.min_coverage)
    share = "an unknown share" if reached is None else f"{reached:.1%}"
    return RuleResult(
        rule=1,
        name="coverage" if label is None else f"coverage of {label}",
        asked=f"lists reach at least {policy.min_coverage:.1%} of the catalogue",
        found=f"its lists reach {share} of the catalogue" + ("" if passed else f", {policy.min_coverage:.1%} are asked"),
        passed=passed,
        if_failed="reject",
        to_pass="" if passed else "recommend more different items, or set gate.min_coverage lower",
    )


def _compared(evidence: Evidence, policy: Gate, other: str) -> str:
    return difference_in_words(evidence, policy, evidence.nominee, other, evidence.differences[other])


# ---- rules 2 and 3: better than the champion, or as good as ever


def better_than_champion(evidence: Evidence, policy: Gate) -> RuleResult:
    name = "better than the champion"
    least = f"{policy.min_gain:.1%} of the champion's {metric_in_words(policy)}" if policy.min_gain else "0"
    asked = f"the lower {level_in_words(policy)} bound of candidate minus champion is above {least}"
    if evidence.champion is None or evidence.kind != "change":
        why = "there is no champion yet" if evidence.champion is None else "the nominee's recipe is the champion's"
        return RuleResult(rule=2, name=name, asked=asked, found=why, passed=None, if_failed="hold")
    difference = evidence.differences[evidence.champion]
    floor = policy.min_gain * evidence.models[evidence.champion].value
    passed = difference.low > floor
    found, to_pass = _compared(evidence, policy, evidence.champion), ""
    if not passed:
        by = f" by {number(floor)}" if floor else ""
        why = f"it is not proven better{by} than {evidence.champion}, which is in production"
        found = f"{why}: {found}; {detectable_in_words(difference, policy)}"
        users = users_in_words(difference, policy, floor=floor)
        to_pass = f"raise the lower bound by more than {number(floor - difference.low)}; {users}"
    return RuleResult(rule=2, name=name, asked=asked, found=found, passed=passed, if_failed="hold", to_pass=to_pass)


def as_good_as_own_runs(evidence: Evidence, policy: Gate) -> RuleResult:
    metric, own = metric_in_words(policy), evidence.models[evidence.nominee]
    asked = f"{metric} not significantly more than {policy.margin:.0%} below the mean of its own last {NUM_OWN_RUNS} runs"
    result = partial(RuleResult, rule=3, name="own runs", asked=asked, if_failed="hold")
    past = evidence.own_runs[-NUM_OWN_RUNS:]
    if evidence.kind != "refresh":
        return result(found="this is no refresh", passed=None)
    if not past:
        found = f"its {metric} is {number(own.value)}, and there is no earlier run to hold it against"
        return result(found=found, passed=None)
    mean = math.fsum(past) / len(past)
    bound = (1 - policy.margin) * mean
    passed = own.high >= bound
    found = (
        f"its {metric} is {number(own.value)} ({level_in_words(policy)} interval {number(own.low)} to {number(own.high)}), "
        f"against {number(mean)} on average over its last {runs(len(past))}"
    )
    to_pass = "" if passed else f"reach {number(bound)} with the interval's upper bound, or find what has changed in the data"
    return result(found=found, passed=passed, to_pass=to_pass)


def overlap_in_band(evidence: Evidence, policy: Gate) -> RuleResult:
    low, high = policy.overlap_band
    asked = f"lists have {low:.0%} to {high:.0%} in common with the published ones"
    if evidence.kind != "refresh" or evidence.overlap is None:
        why = "this is no refresh" if evidence.kind != "refresh" else "no published list to compare with"
        return RuleResult(rule=3, name="overlap", asked=asked, found=why, passed=None, if_failed="hold")
    passed = low <= evidence.overlap <= high
    return RuleResult(
        rule=3,
        name="overlap",
        asked=asked,
        found=f"its lists have {evidence.overlap:.1%} in common with the published ones"
        + ("" if passed else f", {low:.0%} to {high:.0%} are allowed"),
        passed=passed,
        if_failed="hold",
        to_pass="" if passed else "find what has changed in the data, or set gate.overlap_band wider",
    )


# ---- rule 5: nothing else is lost


def guarded_metrics(evidence: Evidence, policy: Gate) -> RuleResult:
    """Hold what may lose too much in a guarded metric, reject what surely does."""
    result = partial(RuleResult, rule=5, name="guarded metrics")
    limits = [f"{METRIC_NAMES[guard.metric]}@{policy.places_of(guard)} at most {guard.max_loss:.1%}" for guard in policy.guards]
    whose = "best rival" if evidence.kind == "first" else "champion"
    asked = f"{', '.join(limits)} below the {whose}'s, with all of the interval" if limits else "no further metric is guarded"
    missing = {
        "the policy names none": not policy.guards,
        "the nominee's recipe is the champion's": evidence.kind == "refresh",
        "there is no other rival": evidence.kind == "first" and evidence.best_rival is None,
    }
    if any(missing.values()):
        found = next(why for why, applies in missing.items() if applies)
        return result(asked=asked, found=found, passed=None, if_failed="hold")
    if len(evidence.guards) < len(policy.guards):
        return result(asked=asked, found="the guarded metrics were not measured", passed=False, if_failed="hold")
    blocking = [guard for guard in evidence.guards if guard.blocks]
    return result(
        asked=asked,
        found="; ".join(guard_in_words(guard, policy) for guard in blocking or evidence.guards),
        passed=not blocking,
        if_failed="reject" if any(guard.high < guard.bound for guard in blocking) else "hold",
        to_pass="; ".join(
            f"raise the lower bound for {METRIC_NAMES[one.metric]}@{one.k} by {number(one.bound - one.low)}" for one in blocking
        ),
    )


def no_slice_worse(evidence: Evidence, policy: Gate) -> RuleResult:
    """Reject a change that surely loses too much on some of the users, or among some of the items; hold such a refresh."""
    is_refresh = evidence.kind == "refresh"
    than, when = ("its own earlier runs'", " in an earlier run") if is_refresh else ("the champion's", "")
    asked = f"on no slice {metric_in_words(policy)} significantly more than {policy.slices.max_loss:.1%} below {than}"
    result = partial(RuleResult, rule=5, name="slices", asked=asked, if_failed="hold" if is_refresh else "reject")
    tested = [one for one in (evidence.own_slices if is_refresh else evidence.slices) if not one.shown_only]
    if not tested:
        return result(found=f"no slice of at least {policy.slices.min_users} users was measured{when}", passed=None)
    asked += f" (one-sided, Holm over {len(tested)} slices{'' if is_refresh else ' and the guarded metrics'})"
    if evidence.kind == "first":
        found = f"this is no change; {len(tested)} slices are shown beside {tested[0].other} and decide nothing"
        return result(asked=asked, found=found, passed=None)
    blocking = [one for one in tested if one.blocks]
    if not blocking:
        found = f"it loses too much on none of {len(tested)}; the worst: {slice_in_words(tested[0], policy)}"
        return result(asked=asked, found=found, passed=True)
    worst = blocking[0]
    found = f"{slice_in_words(worst, policy)}, where {policy.slices.max_loss:.1%} less is allowed"
    found += f" (adjusted p = {worst.adjusted_p:.2g})"
    if len(blocking) > 1:
        found += f"; and it loses too much on {len(blocking) - 1} more of {len(tested)} slices"
    to_pass = "lose less on these slices, or set gate.slices.max_loss higher: " + "; ".join(
        f"{one.column}: {one.value}" for one in blocking
    )
    return result(asked=asked, found=found, passed=False, to_pass=to_pass)


# ---- rules 4 and 6: enough users, better than random


def enough_users(evidence: Evidence, policy: Gate, label: str | None = None) -> RuleResult:
    """A change is held on too few users; what has nobody to stand against but ``random`` goes through unproven."""
    name, other = "enough users" if label is None else f"enough users for {label}", RANDOM
    if label is not None:
        difference = evidence.rivals_minus_random.get(label)
    else:
        other = evidence.champion if evidence.champion is not None and evidence.kind == "change" else RANDOM
        difference = evidence.differences.get(other)
    asked = f"at least {policy.min_users} users on whom it differs from {other}"
    result = partial(RuleResult, rule=4, name=name, asked=asked, if_failed="hold" if evidence.kind == "change" else "unproven")
    if difference is None:
        return result(found=f"it was not compared with {other}", passed=None)
    passed = difference.num_differing >= policy.min_users
    found = f"{difference.num_differing:,} of {difference.num_users:,} users tell it from {other}"
    if not passed:
        found = f"only {found}, at least {policy.min_users:,} are asked"
    if not passed and evidence.kind == "change":
        found += f" and {users_in_words(difference, policy, min_users=policy.min_users)}"
    to_pass = "" if passed else users_in_words(difference, policy, min_users=policy.min_users)
    return result(found=found, passed=passed, to_pass=to_pass)


def beats_random(evidence: Evidence, policy: Gate, label: str | None = None) -> RuleResult:
    name = "beats random" if label is None else f"{label} beats random"
    asked = f"the lower {level_in_words(policy)} bound of its difference from random is above 0"
    if evidence.kind != "first":
        return RuleResult(rule=6, name=name, asked=asked, found="there is a champion", passed=None, if_failed="reject")
    whose = label or evidence.nominee
    difference = evidence.differences.get(RANDOM) if label is None else evidence.rivals_minus_random.get(label)
    if whose == RANDOM or difference is None:
        found = "it is random itself" if whose == RANDOM else "it was not compared with random"
        return RuleResult(rule=6, name=name, asked=asked, found=found, passed=False, if_failed="reject")
    passed = difference.low > 0
    users = users_in_words(difference, policy)
    return RuleResult(
        rule=6,
        name=name,
        asked=asked,
        found=("" if passed else "it is not proven better than random guessing: ")
        + difference_in_words(evidence, policy, whose, RANDOM, difference),
        passed=passed,
        if_failed="reject",
        to_pass="" if passed else f"raise the lower bound by more than {number(-difference.low)}; {users}",
    )


RULES: tuple[Callable[[Evidence, Gate], RuleResult], ...] = (
    no_broken_check,
    not_worse_than_champion,
    not_worse_than_best_rival,
    off_policy,
    coverage,
    better_than_champion,
    as_good_as_own_runs,
    overlap_in_band,
    enough_users,
    guarded_metrics,
    no_slice_worse,
    beats_random,
)
"""In the order in which they decide; what is broken comes first, for it says why a figure is low."""
