"""What holds of the gate's decision, whatever the evidence, and where the evidence was measured."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bowerbird.evaluation.decision import Evidence, GuardResult
from bowerbird.evaluation.gate import decide
from bowerbird.evaluation.gate_rules import RULES
from bowerbird.evaluation.statistics import Difference, Interval, bootstrap_interval, paired_difference
from bowerbird.recipe_gate import Gate, Guard
from tests.evaluation.test_gate import broken, change

shares = st.floats(0, 1, allow_subnormal=False)


@st.composite
def differences(draw):
    low, mean, high = sorted(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    num_users = draw(st.integers(1, 5000))
    return Difference(mean, low, high, draw(shares), num_users, draw(st.integers(0, num_users)), draw(shares))


@st.composite
def intervals(draw):
    low, value, high = sorted(draw(st.tuples(*[shares] * 3)))
    return Interval(value, low, high)


@st.composite
def guards(draw):
    low, mean, high = sorted(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    bound = -draw(shares)
    return GuardResult(
        metric="recall", k=10, other="als", mean=mean, low=low, high=high, p_value=0.5, bound=bound, blocks=low < bound
    )


@st.composite
def any_evidence(draw):
    labels = ["sasrec", "als", "random", "popularity_7d", "cooccurrence"]
    nominee = draw(st.sampled_from(labels))
    champion = draw(st.sampled_from([None, *labels]))
    return Evidence(
        nominee=nominee,
        named_by_person=draw(st.booleans()),
        champion=champion,
        is_refresh=champion == nominee,
        rivals=("random", "popularity_7d", "cooccurrence"),
        models={label: draw(intervals()) for label in labels},
        coverage=draw(st.dictionaries(st.sampled_from(labels), shares)),
        differences={label: draw(differences()) for label in labels if label != nominee},
        rivals_minus_random=draw(st.dictionaries(st.sampled_from(["popularity_7d", "cooccurrence"]), differences())),
        own_runs=tuple(draw(st.lists(shares, max_size=7))),
        overlap=draw(st.none() | shares),
        guards=tuple(draw(st.lists(guards(), max_size=1))),
        behaviour=tuple(broken(found) for found in draw(st.lists(st.sampled_from(["a", "b"]), max_size=1))),
    )


policies = st.builds(
    Gate,
    margin=st.floats(0, 0.5),
    min_coverage=st.sampled_from([0.0, 0.2]),
    min_users=st.integers(1, 200),
    overlap_band=st.sampled_from([(0.0, 1.0), (0.3, 0.8)]),
    min_gain=st.sampled_from([0.0, 0.1]),
    guards=st.sampled_from([(), (Guard(metric="recall"),)]),
)


@settings(deadline=None)
@given(any_evidence(), policies)
def test_a_change_that_is_not_proven_better_or_may_lose_a_guarded_metric_is_never_promoted(case, policy):
    assume(case.kind == "change")
    is_proven = case.differences[case.champion].low > policy.min_gain * case.models[case.champion].value
    assume(not is_proven or (policy.guards and not any(not guard.blocks for guard in case.guards)))
    decision = decide(case, policy)
    assert decision.outcome != "promote"
    assert decision.publish is None


@settings(deadline=None)
@given(any_evidence(), policies)
def test_a_worse_or_broken_nominee_is_never_published(case, policy):
    others = [label for label in (case.champion, case.best_rival) if label is not None and label != case.nominee]
    is_worse = any(case.differences[label].mean < 0 and case.differences[label].p_value < 0.05 for label in others)
    reached = case.coverage.get(case.nominee, 0)
    assume(is_worse or case.behaviour or reached < policy.min_coverage)
    assert decide(case, policy).publish != case.nominee


@settings(deadline=None)
@given(any_evidence(), policies)
def test_a_rival_is_published_only_first_only_proven_and_never_for_a_named_candidate(case, policy):
    decision = decide(case, policy)
    if decision.is_replaced:
        assert decision.publish == case.best_rival
        assert case.kind == "first"
        assert not case.named_by_person
        assert case.rivals_minus_random[decision.publish].low > 0


@settings(deadline=None)
@given(any_evidence(), policies)
def test_the_decision_is_consistent_with_its_rules(case, policy):
    decision = decide(case, policy)
    assert (decision.publish is not None) == (decision.outcome == "promote")
    assert len(decision.rules) >= len(RULES)
    assert all(bool(rule.to_pass) <= (rule.passed is False) for rule in decision.rules)
    blocking = [rule for rule in decision.rules[: len(RULES)] if rule.passed is False and rule.if_failed != "unproven"]
    assert (decision.publish == case.nominee) == (not blocking)
    if blocking:
        deciding = [rule for rule in blocking if rule.if_failed == "reject"] or blocking
        assert deciding[0].found in decision.sentence
        assert case.kind == "first" or decision.outcome == deciding[0].if_failed


@settings(deadline=None)
@given(any_evidence(), policies)
def test_decide_is_deterministic_and_changes_nothing(case, policy):
    before, asked = case.model_copy(deep=True), policy.model_copy(deep=True)
    assert decide(case, policy) == decide(before, asked)
    assert (case, policy) == (before, asked)


# ---- measured evidence


def users_values(rng, num_users, *, gain=0.0):
    """Metric values like NDCG: half the users find nothing, the others something between 0 and 1."""
    found = rng.random(num_users) < 0.5 + gain
    return np.where(found, rng.choice(1 / np.log2(np.arange(2, 12)), num_users), 0.0)


def test_a_true_improvement_is_promoted_on_measured_evidence():
    rng = np.random.default_rng(2)
    candidate, champion = users_values(rng, 2000, gain=0.1), users_values(rng, 2000)
    case = change(
        differences={"als": paired_difference(candidate, champion, seed=1)},
        models=change().models | {"sasrec": bootstrap_interval(candidate, seed=1), "als": bootstrap_interval(champion, seed=1)},
    )
    decision = decide(case, Gate())
    assert decision.outcome == "promote"
    assert decide(change(differences={"als": paired_difference(champion, candidate, seed=1)}), Gate()).outcome == "reject"
