"""The gate: may the nominee be published? A pure function of what was measured and what the recipe asks.

The rules (gate_rules.py) are asked in their order, and all are shown. The first that rejects decides, else the first that
holds: so what a person may approve has failed no rule that rejects.
"""

from __future__ import annotations

from functools import partial

from bowerbird.evaluation.decision import Decision, Evidence, RuleResult
from bowerbird.evaluation.gate_rules import RULES, beats_random, coverage, enough_users, no_broken_check
from bowerbird.recipe_gate import Gate

SOUND = 8
"""The rule that no person can overrule: the set keeps its contract."""


def decide(evidence: Evidence, policy: Gate) -> Decision:
    """Promote, hold or reject the nominee; before the first publication the best rival may take its place.

    Parameters
    ----------
    evidence : Evidence
        What was measured on the pooled test windows.
    policy : Gate
        The recipe's section.
    """
    rules = tuple(rule(evidence, policy) for rule in RULES)
    blocking = [rule for rule in rules if rule.passed is False and rule.if_failed != "unproven"]
    failed = min(blocking, key=lambda rule: rule.if_failed != "reject", default=None)
    if failed is None:
        return _publish_nominee(evidence, rules)
    if evidence.kind == "first" and not evidence.named_by_person:
        return _publish_rival(evidence, policy, rules, failed)
    outcome = "hold" if failed.if_failed == "hold" else "reject"
    word = {"hold": "held", "reject": "rejected"}[outcome]
    sentence = f"{evidence.nominee} is {word}: {failed.found}."
    return Decision(outcome=outcome, nominee=evidence.nominee, publish=None, sentence=sentence, rules=rules)


def after_refit(decision: Decision, policy: Gate, *, refit_overlap: float | None, broken: str = "") -> Decision:
    """Add the rules that are asked of the set that would be published.

    Parameters
    ----------
    refit_overlap : float, optional
        What the lists of the model fitted on all events have in common with the evaluated ones; None: no list to compare.
    broken : str
        What breaks the contract of a recommendation set, in words; empty where nothing does.
    """
    asked = (_refit_agrees(policy, refit_overlap), _set_is_sound(broken))
    rules = (*decision.rules, *asked)
    failed = [rule for rule in reversed(asked) if rule.passed is False]  # a broken set rejects, so it goes first
    if not failed or (decision.publish is None and not (broken and decision.outcome == "hold")):
        return decision.model_copy(update={"rules": rules})
    outcome, word = ("reject", "rejected") if broken else ("hold", "held")
    sentence = f"{decision.publish or decision.nominee} is {word}: {failed[0].found}."
    return decision.model_copy(update={"rules": rules, "outcome": outcome, "publish": None, "sentence": sentence})


def _refit_agrees(policy: Gate, overlap: float | None) -> RuleResult:
    least = policy.min_refit_overlap
    asked = f"evaluated and refitted lists have at least {least:.0%} in common on the same histories"
    result = partial(RuleResult, rule=7, name="the refit agrees", asked=asked, if_failed="hold")
    if overlap is None:
        return result(found="no list to compare", passed=None)
    found = f"the lists of the model fitted on all events have {overlap:.1%} in common with the evaluated ones"
    if overlap >= least:
        return result(found=found, passed=True)
    found += f", at least {least:.0%} are asked"
    next_step = "find out why the model changes so much with the newest events, or set gate.min_refit_overlap lower"
    return result(found=found, passed=False, to_pass=next_step)


def _set_is_sound(broken: str) -> RuleResult:
    return RuleResult(
        rule=SOUND,
        name="the set is sound",
        asked="the lists for everybody keep the contract of a recommendation set",
        found=f"its lists break their contract: {broken}" if broken else "its lists keep their contract",
        passed=not broken,
        if_failed="reject",
        to_pass="find out why the model makes such lists; they are in the run's folder" if broken else "",
    )


# ---- what follows from the rules


def _publish_nominee(evidence: Evidence, rules: tuple[RuleResult, ...]) -> Decision:
    by_name = {rule.name: rule for rule in rules}
    reason = by_name[{"change": "better than the champion", "refresh": "own runs", "first": "beats random"}[evidence.kind]]
    users = by_name["enough users"]
    is_unproven = users.passed is False
    doubt = f"; this is unproven, for {users.found}" if is_unproven else ""
    newest = " with the newest data" if evidence.kind == "refresh" else ""
    return Decision(
        outcome="promote",
        nominee=evidence.nominee,
        publish=evidence.nominee,
        sentence=f"{evidence.nominee} is published{newest}: {reason.found}{doubt}.",
        rules=rules,
        unproven=is_unproven,
    )


def _publish_rival(evidence: Evidence, policy: Gate, rules: tuple[RuleResult, ...], failed: RuleResult) -> Decision:
    """Put the best rival in the nominee's place where it is fit to be published itself."""
    nominee, rival = evidence.nominee, evidence.best_rival
    rejected = partial(Decision, outcome="reject", nominee=nominee, publish=None)
    if rival is None:
        sentence = f"{nominee} is rejected: {failed.found}; and there is no other rival to publish in its place."
        return rejected(sentence=sentence, rules=rules)
    proof = beats_random(evidence, policy, rival)
    behaviour = no_broken_check(evidence, policy, rival)
    own_rules = (behaviour, coverage(evidence, policy, rival), enough_users(evidence, policy, rival), proof)
    doubts = [rule for rule in own_rules if rule.passed is False]
    wrong = next((rule for rule in doubts if rule.if_failed != "unproven"), None)
    if wrong is not None:
        sentence = f"{nominee} is rejected: {failed.found}; and the best rival {rival} cannot take its place: {wrong.found}."
        return rejected(sentence=sentence, rules=rules + own_rules)
    reasons = f"as for {nominee}, {failed.found}; as for {rival}, {proof.found}"
    doubt = f"; this is unproven, for {doubts[0].found}" if doubts else ""
    return Decision(
        outcome="promote",
        nominee=nominee,
        publish=rival,
        sentence=f"{rival} is published in place of {nominee}: {reasons}{doubt}.",
        rules=rules + own_rules,
        unproven=bool(doubts),
    )
