"""Evidence and decision as records: they come back from JSON, and refuse what does not fit together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bowerbird.evaluation.decision import Decision, Evidence
from bowerbird.evaluation.gate import decide
from bowerbird.recipe_gate import Gate
from tests.evaluation.test_gate import SAME, change, evidence, refresh


def test_decision_and_evidence_come_back_from_json_as_they_were():
    for case in (evidence(), change(differences={"als": SAME}), refresh(), evidence(differences={"random": SAME})):
        decision = decide(case, Gate())
        assert Decision.model_validate_json(decision.model_dump_json()) == decision
        assert Evidence.model_validate_json(case.model_dump_json()) == case


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rivals": ("cooccurrence",)}, "lack 'random'"),
        ({"champion": "ease"}, "models lacks 'ease'"),
        ({"nominee": "als", "champion": "sasrec"}, "differences lacks 'sasrec'"),
        ({"is_refresh": True}, "a refresh needs a champion"),
        ({"champion": "sasrec"}, "needs a champion other than the nominee"),
    ],
)
def test_evidence_that_does_not_fit_together_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        evidence(**changes)
