"""Every branch of the gate; test_gate_properties.py brings any evidence, test_gate_simulation.py counts how often chance wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from bowerbird.evaluation.decision import (
    CheckResult,
    Evidence,
    GuardResult,
    OffPolicyEstimate,
    OffPolicyResult,
    RuleResult,
    SliceResult,
)
from bowerbird.evaluation.gate import after_refit, decide
from bowerbird.evaluation.statistics import Difference, Interval
from bowerbird.recipe_gate import Gate, Guard

GATE_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "gate.md"
FAR = Difference(0.059, 0.05, 0.068, 0.0001, 2000, 1100, 0.2)
BETTER = Difference(0.01, 0.005, 0.015, 0.0002, 2000, 900, 0.12)
SAME = Difference(0.001, -0.004, 0.006, 0.6, 2000, 900, 0.12)
WORSE = Difference(-0.01, -0.015, -0.005, 0.0002, 2000, 900, 0.12)
LITTLE = Difference(0.01, 0.001, 0.019, 0.04, 300, 30, 0.08)


def figure(value):
    return Interval(value, value - 0.01, value + 0.01)


def broken(found):
    return CheckResult(name="full", asked="every list is full", found=found, value=None, passed=False, severity="block")


def evidence(**changes):
    """A first publication in which everything speaks for sasrec."""
    base = {
        "nominee": "sasrec",
        "rivals": ("random", "popularity_7d", "cooccurrence"),
        "models": {
            "sasrec": figure(0.06),
            "als": figure(0.05),
            "cooccurrence": figure(0.05),
            "popularity_7d": figure(0.04),
            "random": Interval(0.001, 0.0, 0.002),
        },
        "coverage": {"sasrec": 0.3, "cooccurrence": 0.4, "popularity_7d": 0.01},
        "differences": {"als": BETTER, "cooccurrence": BETTER, "popularity_7d": BETTER, "random": FAR},
        "rivals_minus_random": {"cooccurrence": FAR, "popularity_7d": FAR},
    }
    changes["differences"] = base["differences"] | changes.get("differences", {})
    return Evidence(**(base | changes))


def change(**changes):
    return evidence(**({"champion": "als"} | changes))


def refresh(**changes):
    return evidence(**({"champion": "sasrec", "is_refresh": True, "own_runs": (0.06, 0.062), "overlap": 0.5} | changes))


def failed(decision):
    return [rule.name for rule in decision.rules if rule.passed is False]


# ---- first publication (rules 1 and 6)


def test_first_nominee_that_beats_random_goes_through():
    decision = decide(evidence(), Gate())
    assert (decision.outcome, decision.publish, decision.unproven) == ("promote", "sasrec", False)
    assert decision.sentence == (
        "sasrec is published: its NDCG@10 of 0.0600 is 0.0590 above the 0.0010 of random over 2,000 users (95 % interval of the "
        "difference +0.0500 to +0.0680)."
    )


def test_first_nominee_no_better_than_the_best_rival_still_goes_through():
    assert decide(evidence(differences={"cooccurrence": SAME}), Gate()).publish == "sasrec"


def test_first_nominee_that_does_not_beat_random_is_replaced_by_the_best_rival():
    decision = decide(evidence(differences={"random": SAME}), Gate())
    assert (decision.outcome, decision.publish, decision.is_replaced) == ("promote", "cooccurrence", True)
    assert decision.sentence.startswith("cooccurrence is published in place of sasrec: as for sasrec, it is not proven")
    assert failed(decision) == ["beats random"]


def test_first_nominee_worse_than_the_best_rival_is_replaced_by_it():
    decision = decide(evidence(differences={"cooccurrence": WORSE}), Gate())
    assert decision.publish == "cooccurrence"
    assert "0.0100 below the 0.0500 of cooccurrence" in decision.sentence


def test_first_nominee_worse_than_another_than_the_best_rival_goes_through():
    assert decide(evidence(differences={"popularity_7d": WORSE}), Gate()).publish == "sasrec"


def test_first_nominee_with_a_broken_check_is_replaced():
    decision = decide(evidence(behaviour=(broken("an empty history gets no list"),)), Gate())
    assert decision.publish == "cooccurrence"
    assert "an empty history gets no list" in decision.sentence


def test_first_nominee_below_the_coverage_asked_is_replaced():
    decision = decide(evidence(), Gate(min_coverage=0.35))
    assert decision.publish == "cooccurrence"
    assert "its lists reach 30.0% of the catalogue, 35.0% are asked" in decision.sentence


def test_a_rival_below_the_coverage_asked_takes_no_place():
    decision = decide(evidence(), Gate(min_coverage=0.5))
    assert (decision.outcome, decision.publish) == ("reject", None)
    assert "cooccurrence cannot take its place: its lists reach 40.0%" in decision.sentence


def test_a_rival_that_does_not_beat_random_takes_no_place():
    decision = decide(evidence(differences={"random": SAME}, rivals_minus_random={"cooccurrence": SAME}), Gate())
    assert (decision.outcome, decision.publish) == ("reject", None)
    assert failed(decision) == ["beats random", "cooccurrence beats random"]


def test_a_rival_that_was_not_compared_with_random_takes_no_place():
    decision = decide(evidence(differences={"random": SAME}, rivals_minus_random={}), Gate())
    assert decision.outcome == "reject"
    assert "it was not compared with random" in decision.sentence


def test_without_another_rival_the_nominee_is_rejected():
    decision = decide(evidence(rivals=("random",), differences={"random": SAME}), Gate())
    assert decision.outcome == "reject"
    assert "there is no other rival" in decision.sentence


@pytest.mark.parametrize("changes", [{"random": SAME}, {"cooccurrence": WORSE}])
def test_a_candidate_named_by_a_person_is_rejected_and_never_replaced(changes):
    decision = decide(evidence(named_by_person=True, differences=changes), Gate())
    assert (decision.outcome, decision.publish) == ("reject", None)
    assert decision.sentence.startswith("sasrec is rejected: ")


def test_random_named_by_a_person_is_rejected():
    decision = decide(evidence(nominee="random", named_by_person=True, coverage={"random": 0.9}), Gate())
    assert decision.outcome == "reject"
    assert failed(decision) == ["beats random"]


def test_a_rival_may_be_the_nominee_and_is_not_compared_with_itself():
    decision = decide(evidence(nominee="cooccurrence", differences={"popularity_7d": SAME}), Gate())
    assert decision.publish == "cooccurrence"
    assert "popularity_7d" in decision.rules[2].found


def test_first_publication_on_few_users_goes_through_unproven():
    decision = decide(evidence(differences={"random": LITTLE}), Gate())
    assert (decision.publish, decision.unproven) == ("sasrec", True)
    assert "this is unproven, for only 30 of 300 users tell it from random, at least 50 are asked" in decision.sentence


def test_a_rival_that_breaks_a_behavioural_check_takes_no_place():
    case = evidence(differences={"random": SAME}, behaviour_of_rival=(broken("2 of 5 lists are short"),))
    decision = decide(case, Gate())
    assert (decision.outcome, decision.publish) == ("reject", None)
    assert "the best rival cooccurrence cannot take its place: 2 of 5 lists are short" in decision.sentence
    assert failed(decision) == ["beats random", "behaviour of cooccurrence"]


def test_a_rival_on_few_users_takes_the_place_unproven():
    decision = decide(evidence(differences={"random": SAME}, rivals_minus_random={"cooccurrence": LITTLE}), Gate())
    assert (decision.publish, decision.unproven) == ("cooccurrence", True)


# ---- change (rules 1, 2 and 4)


def test_a_change_that_is_proven_better_is_promoted():
    decision = decide(change(), Gate())
    assert (decision.outcome, decision.publish) == ("promote", "sasrec")
    assert "0.0100 above the 0.0500 of als" in decision.sentence


def test_a_change_that_is_not_proven_better_is_held_with_the_users_it_needs():
    decision = decide(change(differences={"als": SAME}), Gate())
    assert (decision.outcome, decision.publish) == ("hold", None)
    assert decision.sentence.startswith("sasrec is held: it is not proven better than als, which is in production: ")
    (rule,) = [rule for rule in decision.rules if rule.passed is False]
    assert rule.rule == 2
    # (2.8016 * 0.12 / 0.001)^2
    assert "about 113,0" in rule.to_pass


def test_a_lower_bound_of_exactly_zero_is_not_above_zero():
    assert decide(change(differences={"als": Difference(0.01, 0, 0.02, 0.05, 2000, 900, 0.1)}), Gate()).outcome == "hold"


def test_a_change_worse_than_the_champion_is_rejected():
    decision = decide(change(differences={"als": WORSE}), Gate())
    assert (decision.outcome, decision.publish) == ("reject", None)
    assert "0.0100 below the 0.0500 of als" in decision.sentence
    assert failed(decision) == ["not worse than the champion", "better than the champion"]


def test_a_change_behind_the_champion_by_chance_is_held_and_more_users_are_no_promise():
    behind = Difference(-0.001, -0.006, 0.004, 0.6, 2000, 900, 0.12)
    decision = decide(change(differences={"als": behind}), Gate())
    assert decision.outcome == "hold"
    assert "more users alone will not prove it" in next(rule.to_pass for rule in decision.rules if rule.passed is False)


def test_a_change_that_beats_the_champion_but_not_the_best_rival_is_rejected():
    decision = decide(change(differences={"cooccurrence": WORSE}), Gate())
    assert (decision.outcome, decision.publish) == ("reject", None)
    assert "cooccurrence" in decision.sentence


def test_a_change_with_a_broken_check_or_little_coverage_is_rejected():
    assert decide(change(behaviour=(broken("lists are not deterministic"),)), Gate()).outcome == "reject"
    assert decide(change(), Gate(min_coverage=0.35)).outcome == "reject"
    assert decide(change(coverage={}), Gate(min_coverage=0.35)).outcome == "reject"
    assert decide(change(coverage={}), Gate()).outcome == "promote"


def test_a_change_on_few_users_is_held_naming_how_many_it_needs():
    decision = decide(change(differences={"als": LITTLE}), Gate())
    assert decision.outcome == "hold"
    assert failed(decision) == ["enough users"]
    # 50 users with a difference at 30 of 300 are 500; proof of +0.01 takes (2.8016 * 0.08 / 0.01)^2 = 503.
    assert decision.sentence == (
        "sasrec is held: only 30 of 300 users tell it from als, at least 50 are asked and about 503 users would be needed to "
        "prove a difference of +0.0100."
    )


def test_the_first_rule_that_fails_decides_and_all_are_shown():
    few = Difference(-0.1, -0.2, -0.05, 0.001, 60, 30, 0.2)
    decision = decide(change(differences={"als": few}, behaviour=(broken("scores are not finite"),)), Gate(min_coverage=0.9))
    assert decision.outcome == "reject"
    assert failed(decision) == [
        "behaviour",
        "not worse than the champion",
        "coverage",
        "better than the champion",
        "enough users",
    ]
    assert [rule.rule for rule in decision.rules] == [1, 1, 1, 1, 1, 2, 3, 3, 4, 5, 5, 6]


# ---- what the policy changes: confidence, least gain, guarded metrics (rule 5)


def test_confidence_says_how_small_a_p_value_must_be_and_stands_in_the_words():
    behind = Difference(-0.01, -0.0199, 0.0001, 0.03, 2000, 900, 0.12)
    assert decide(change(differences={"als": behind}), Gate()).outcome == "reject"
    decision = decide(change(differences={"als": behind}), Gate(confidence=0.99))
    assert decision.outcome == "hold"
    assert "p < 0.01" in decision.rules[1].asked and "(99 % interval of the difference" in decision.sentence
    # (z of 0.995 + z of 0.8 = 3.4174, 3.4174 * 0.12 / 0.01)^2 = 1,682
    short = decide(change(differences={"als": Difference(0.01, 0, 0.02, 0.01, 900, 400, 0.12)}), Gate(confidence=0.99))
    assert "about 1,682 users" in next(rule.to_pass for rule in short.rules if rule.passed is False)


def test_a_confidence_of_95_per_cent_is_a_p_value_of_005_to_the_last_bit():
    assert Gate().significance == 0.05
    assert Gate(confidence=0.995).significance == 0.005


def test_a_gain_that_is_proven_but_smaller_than_asked_is_held():
    # The champion has 0.05: 5 % of it are 0.0025, 15 % are 0.0075, and the lower bound is 0.005.
    assert decide(change(), Gate(min_gain=0.05)).outcome == "promote"
    decision = decide(change(), Gate(min_gain=0.15))
    assert decision.outcome == "hold"
    assert decision.sentence.startswith("sasrec is held: it is not proven better by 0.0075 than als, which is in production: ")
    (rule,) = [rule for rule in decision.rules if rule.passed is False]
    assert "is above 15.0% of the champion's NDCG@10" in rule.asked
    # (2.8016 * 0.12 / 0.0025)^2 = 18,084
    assert (
        "more than 0.0025; about 18,084 users would be needed to prove a difference of +0.0100 to be above +0.0075"
        in rule.to_pass
    )


def guarded(low, high, other="als"):
    """Recall of sasrec minus that of another, which may lose 0.002."""
    figures = {"mean": (low + high) / 2, "low": low, "high": high, "p_value": 0.5}
    return GuardResult(metric="recall", k=10, other=other, **figures, bound=-0.002, blocks=low < -0.002)


RECALL = Gate(guards=(Guard(metric="recall", max_loss=0.02),))


def test_a_guarded_metric_that_is_surely_kept_lets_a_change_through():
    decision = decide(change(guards=(guarded(-0.002, 0.004),)), RECALL)
    assert decision.outcome == "promote"
    rule = next(rule for rule in decision.rules if rule.rule == 5)
    assert rule.asked == "recall@10 at most 2.0% below the champion's, with all of the interval"
    assert "its recall@10 is 0.0010 above that of als (95 % interval of the difference -0.0020 to +0.0040)" in rule.found


def test_a_guarded_metric_that_may_be_lost_holds_a_change_and_one_that_surely_is_rejects_it():
    held, rejected = (decide(change(guards=(one,)), RECALL) for one in (guarded(-0.004, 0.003), guarded(-0.009, -0.003)))
    assert (held.outcome, rejected.outcome) == ("hold", "reject")
    assert "its recall@10 is 0.0005 below that of als" in held.sentence
    assert "which may reach down to -0.0020" in held.sentence
    assert failed(held) == failed(rejected) == ["guarded metrics"]
    assert next(rule.to_pass for rule in held.rules if rule.rule == 5) == "raise the lower bound for recall@10 by 0.0020"


def test_a_change_that_surely_loses_a_guarded_metric_is_rejected_though_an_earlier_rule_would_hold_it():
    decision = decide(change(differences={"als": SAME}, guards=(guarded(-0.009, -0.003),)), RECALL)
    assert failed(decision) == ["better than the champion", "guarded metrics"]
    assert decision.outcome == "reject" and decision.sentence.startswith("sasrec is rejected: its recall@10 is 0.0060 below")


def test_a_guarded_metric_that_nobody_has_measured_holds_a_change_and_is_not_asked_of_a_refresh():
    assert decide(change(), RECALL).outcome == "hold"
    assert decide(refresh(), RECALL).outcome == "promote"


def test_a_first_nominee_has_to_keep_a_guarded_metric_of_the_best_rival():
    kept, lost = (guarded(low, 0.004, other="cooccurrence") for low in (-0.001, -0.004))
    assert decide(evidence(guards=(kept,)), RECALL).publish == "sasrec"
    decision = decide(evidence(guards=(lost,)), RECALL)
    assert decision.publish == "cooccurrence", "the rival takes the place"
    assert "as for sasrec, its recall@10 is the same as that of cooccurrence (95 % interval" in decision.sentence
    rule = next(rule for rule in decision.rules if rule.name == "guarded metrics")
    assert rule.asked == "recall@10 at most 2.0% below the best rival's, with all of the interval"
    named = decide(evidence(guards=(lost,), named_by_person=True), RECALL)
    assert named.outcome == "hold"
    alone = evidence(rivals=("random",), differences={"random": FAR})
    assert decide(alone, RECALL).publish == "sasrec", "there is nobody to lose against"


def test_a_guard_reads_as_many_places_as_it_says():
    policy = Gate(guards=(Guard(metric="recall", k=50),))
    rule = next(rule for rule in decide(change(), policy).rules if rule.name == "guarded metrics")
    assert rule.asked.startswith("recall@50 at most")


# ---- slices (rule 5)


def on_slice(value, mean, *, num_users=400, adjusted_p=0.5, blocks=False, column="user"):
    return SliceResult(
        column=column,
        value=value,
        num_users=num_users,
        shown_only=num_users < 100,
        nominee=0.05 + mean,
        other="als",
        mean=mean,
        low=mean - 0.01,
        high=mean + 0.01,
        p_value=adjusted_p,
        adjusted_p=adjusted_p,
        blocks=blocks,
    )


def test_a_change_good_on_average_but_bad_for_new_users_is_rejected_naming_them():
    lost = (on_slice("new", -0.03, adjusted_p=0.004, blocks=True), on_slice("returning", 0.02))
    decision = decide(change(slices=lost), Gate())
    assert (decision.outcome, failed(decision)) == ("reject", ["slices"])
    assert decision.sentence == (
        "sasrec is rejected: on 400 users of the slice user: new, its NDCG@10 of 0.0200 is 0.0300 below the 0.0500 of als (95 % "
        "interval of the difference -0.0400 to -0.0200), where 10.0% less is allowed (adjusted p = 0.004)."
    )
    (rule,) = [rule for rule in decision.rules if rule.name == "slices"]
    assert rule.rule == 5 and "Holm over 2 slices" in rule.asked and rule.to_pass.endswith("higher: user: new")


def test_several_slices_that_block_are_counted_and_all_named_in_what_would_have_to_change():
    lost = tuple(on_slice(value, -0.03, adjusted_p=0.004, blocks=True) for value in ("new", "returning"))
    decision = decide(change(slices=(*lost, on_slice("2 events", 0.01, column="user activity"))), Gate())
    assert "and it loses too much on 1 more of 3 slices" in decision.sentence
    assert "user: new; user: returning" in next(rule.to_pass for rule in decision.rules if rule.name == "slices")


def test_slices_that_lose_nothing_pass_and_small_ones_ask_nothing():
    asked = {rule.name: rule for rule in decide(change(slices=(on_slice("new", -0.001),)), Gate()).rules}
    assert asked["slices"].passed is True and "the worst: on 400 users of the slice user: new" in asked["slices"].found
    asked = {rule.name: rule for rule in decide(change(slices=(on_slice("new", -0.04, num_users=99),)), Gate()).rules}
    assert asked["slices"].passed is None


def test_slices_are_shown_and_decide_nothing_on_a_first_publication():
    decision = decide(evidence(slices=(on_slice("new", -0.03, adjusted_p=0.004),)), Gate())
    assert decision.outcome == "promote"
    assert "decide nothing" in next(rule.found for rule in decision.rules if rule.name == "slices")


def test_a_refresh_that_surely_loses_a_slice_of_its_own_earlier_runs_is_held():
    beside_rival = (on_slice("new", -0.03, adjusted_p=0.004),)
    lost = on_slice("new", -0.03, adjusted_p=0.004, blocks=True).model_copy(update={"other": "its own last 3 runs"})
    assert decide(refresh(slices=beside_rival), Gate()).outcome == "promote", "beside a rival it decides nothing"
    decision = decide(refresh(slices=beside_rival, own_slices=(lost,)), Gate())
    assert (decision.outcome, failed(decision)) == ("hold", ["slices"])
    assert decision.sentence.startswith(
        "sasrec is held: on 400 users of the slice user: new, its NDCG@10 of 0.0200 is 0.0300 below the 0.0500 of its own last 3"
    )
    (rule,) = [rule for rule in decision.rules if rule.name == "slices"]
    assert rule.asked.endswith("10.0% below its own earlier runs' (one-sided, Holm over 1 slices)")


# ---- refresh (rules 1, 3 and 4)


def test_a_refresh_as_good_as_ever_is_published():
    decision = decide(refresh(), Gate())
    assert (decision.outcome, decision.publish, decision.unproven) == ("promote", "sasrec", False)
    assert decision.sentence == (
        "sasrec is published with the newest data: its NDCG@10 is 0.0600 (95 % interval 0.0500 to 0.0700), against 0.0610 on "
        "average over its last 2 runs."
    )


def test_a_refresh_is_not_asked_to_beat_the_champion():
    asked = {rule.name: rule.passed for rule in decide(refresh(), Gate()).rules}
    assert asked["better than the champion"] is None
    assert asked["not worse than the champion"] is None


def test_a_refresh_significantly_below_its_own_runs_is_held():
    # 0.95 * 0.08 = 0.076 lies above the upper bound 0.07.
    decision = decide(refresh(own_runs=(0.08,)), Gate())
    assert (decision.outcome, decision.publish) == ("hold", None)
    assert "against 0.0800 on average over its last run" in decision.sentence


def test_a_refresh_within_the_margin_of_its_own_runs_is_published():
    # 0.95 * 0.0736 = 0.0699 lies below the upper bound 0.07.
    assert decide(refresh(own_runs=(0.0736,)), Gate()).outcome == "promote"
    assert decide(refresh(own_runs=(0.0736,)), Gate(margin=0)).outcome == "hold"


def test_only_the_last_five_runs_count():
    assert decide(refresh(own_runs=(9.0, *[0.06] * 5)), Gate()).outcome == "promote"


def test_a_refresh_without_earlier_runs_or_published_lists_is_published():
    decision = decide(refresh(own_runs=(), overlap=None), Gate(overlap_band=(0.2, 0.9)))
    assert decision.outcome == "promote"
    assert "no earlier run to hold it against" in decision.sentence


@pytest.mark.parametrize("overlap", [0.1, 0.95])
def test_a_refresh_whose_lists_leave_the_band_is_held(overlap):
    decision = decide(refresh(overlap=overlap), Gate(overlap_band=(0.2, 0.9)))
    assert decision.outcome == "hold"
    assert f"{overlap:.1%} in common with the published ones, 20% to 90% are allowed" in decision.sentence


@pytest.mark.parametrize("overlap", [0.2, 0.9])
def test_the_band_holds_its_borders(overlap):
    assert decide(refresh(overlap=overlap), Gate(overlap_band=(0.2, 0.9))).outcome == "promote"


def test_a_refresh_worse_than_the_best_rival_is_rejected():
    decision = decide(refresh(differences={"cooccurrence": WORSE}), Gate())
    assert (decision.outcome, decision.publish) == ("reject", None)


def test_a_refresh_on_few_users_goes_through_unproven():
    decision = decide(refresh(differences={"random": LITTLE}), Gate())
    assert (decision.publish, decision.unproven) == ("sasrec", True)
    assert "this is unproven" in decision.sentence


# ---- off-policy


def clicks(low: float, high: float, *, is_sound: bool = True) -> OffPolicyResult:
    middle = (low + high) / 2
    one = OffPolicyEstimate(
        estimator="dr",
        value=0.05 + middle,
        low=0.05 + low,
        high=0.05 + high,
        difference=middle,
        difference_low=low,
        difference_high=high,
    )
    return OffPolicyResult(
        applicable=True,
        estimates=(one,),
        logged_value=0.05,
        num_impressions=9000,
        num_units=800,
        unit="user",
        is_sound=is_sound,
        warnings=() if is_sound else ("the effective sample size is 3 of 9,000 impressions, 100 are asked",),
    )


def off_policy_rule(result: OffPolicyResult | None, mode: str) -> RuleResult:
    policy = Gate.model_validate({"off_policy": {"mode": mode}})
    return next(rule for rule in decide(change(off_policy=result), policy).rules if rule.name == "off-policy")


@pytest.mark.parametrize(
    ("result", "mode", "passed", "found"),
    [
        (None, "guard", None, "it was not measured"),
        (OffPolicyResult(applicable=False, reason="nothing is logged"), "guard", None, "not applicable: nothing is logged"),
        (
            clicks(-0.02, -0.01),
            "guard",
            False,
            "would have earned 0.0350 an impression by dr, where what was shown earned 0.0500",
        ),
        (clicks(-0.02, 0.01), "guard", True, "95 % interval of the difference -0.0200 to +0.0100"),
        (clicks(-0.02, -0.01, is_sound=False), "guard", None, "this decides nothing: the effective sample size is 3"),
        (clicks(-0.02, -0.01), "show", None, "this is shown only"),
    ],
)
def test_clicks_on_what_was_shown_are_a_guard_where_asked(result, mode, passed, found):
    rule = off_policy_rule(result, mode)
    assert rule.passed is passed and found in rule.found


def test_a_nominee_that_clicks_speak_against_is_held_only_by_a_guard():
    worse = change(off_policy=clicks(-0.02, -0.01))
    guard = Gate.model_validate({"off_policy": {"mode": "guard"}})
    assert decide(worse, Gate()).outcome == "promote"
    held = decide(worse, guard)
    assert held.outcome == "hold" and "would have earned" in held.sentence


# ---- the reference


def test_the_sentences_in_the_reference_are_what_the_gate_says():
    page = GATE_PAGE.read_text(encoding="utf-8").split("## Examples")[1]
    told = [" ".join(part.replace("\n> ", " ").removeprefix("> ").split()) for part in page.strip().split("\n\n")]
    level = Difference(-0.009, -0.02, 0.002, 0.1, 2000, 900, 0.2)
    no_better_than_random = evidence(
        models=evidence().models | {"random": figure(0.059), "cooccurrence": figure(0.069)},
        differences={"random": SAME, "cooccurrence": level},
        rivals_minus_random={"cooccurrence": BETTER},
    )
    cases = [change(), change(differences={"als": LITTLE}), no_better_than_random]
    assert [decide(case, Gate()).sentence for case in cases] == told


# ---- the set (rules 7 and 8)


def after(decision, **found):
    return after_refit(decision, Gate(min_refit_overlap=0.2), **({"refit_overlap": 0.5} | found))


def test_a_set_that_agrees_and_is_sound_changes_nothing():
    before = decide(evidence(), Gate())
    decision = after(before)
    assert decision.rules[:-2] == before.rules and [rule.passed for rule in decision.rules[-2:]] == [True, True]
    assert (decision.outcome, decision.publish, decision.sentence) == ("promote", "sasrec", before.sentence)
    assert after(before, refit_overlap=None).rules[-2].passed is None


def test_a_refit_that_does_not_agree_is_held():
    decision = after(decide(evidence(), Gate()), refit_overlap=0.1)
    assert (decision.outcome, decision.publish) == ("hold", None)
    assert decision.sentence == (
        "sasrec is held: the lists of the model fitted on all events have 10.0% in common with the evaluated ones, "
        "at least 20% are asked."
    )


def test_a_set_that_breaks_its_contract_is_rejected_whether_it_would_be_published_or_held():
    for before in (decide(evidence(), Gate()), decide(change(differences={"als": SAME}), Gate())):
        decision = after(before, broken="items differ: 3 failures", refit_overlap=0.1)
        assert (decision.outcome, decision.publish) == ("reject", None)
        assert decision.sentence == "sasrec is rejected: its lists break their contract: items differ: 3 failures."
        assert decision.rules[-1].to_pass and decision.rules[-1].rule == 8


def test_what_was_rejected_before_keeps_its_reason_though_its_set_is_broken():
    before = decide(change(behaviour=(broken("2 of 5 lists are short"),)), Gate())
    decision = after(before, broken="items differ: 3 failures")
    assert decision.sentence == before.sentence and failed(decision) == ["behaviour", "the set is sound"]
