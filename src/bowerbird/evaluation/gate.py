"""The gate: may the nominee be published? A pure function of what was measured and what the recipe asks.

The rules (gate_rules.py) are asked in their order, and all are shown. The first that rejects decides, else the first that
holds: so what a person may approve has failed no rule that rejects.
"""

from __future__ import annotations

from functools import partial

from bowerbird.evaluation.decision import Decision, Evidence, RuleResult
from bowerbird.evaluation.gate_rules import RULES, beats_random, coverage, enough_users
from bowerbird.recipe_gate import Gate


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
    own_rules = (coverage(evidence, policy, rival), enough_users(evidence, policy, rival), proof)
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
