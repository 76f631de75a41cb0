"""What the gate has asked of a run, what it found, and what would have to change; of runs of older versions too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bowerbird.errors import UserError
from bowerbird.evaluation import leaks
from bowerbird.store.home import Home
from bowerbird.store.runs import DECISION, EVALUATION, MANIFEST, OUTCOME, RECIPE, list_runs, read_json, run_folder

if TYPE_CHECKING:
    from bowerbird.evaluation.decision import Decision

LATEST = "latest"
RULE = ("rule", "name", "asked", "found", "passed", "if_failed", "to_pass")


def explanation(home: Home, run_id: str) -> dict[str, Any]:  # Any: JSON
    """Return a run's decision rule by rule, the policy by which it was made, and a person's answer where there is one.

    A run that a leak has ended before the gate could decide is told by its leak checks.

    Raises
    ------
    UserError
        For an id that no run has, and for a run that the gate has not decided on.
    """
    folder = home.runs / _newest_decided(home) if run_id == LATEST else run_folder(home.runs, run_id)
    outcome = read_json(folder / OUTCOME) if (folder / OUTCOME).exists() else {"outcome": "unfinished"}
    decision = _decision(folder, outcome)
    if decision is None:
        raise UserError(
            f"the gate has not decided on run {run_id}: its outcome is {outcome['outcome']!r}",
            next_step=f"'bowerbird status' shows the runs; '{LATEST}' is the newest that was decided",
        )
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).exists() else {}
    return {
        "run_id": folder.name,
        "outcome": outcome["outcome"],
        "sentence": decision["sentence"],
        "nominee": decision["nominee"],
        "publish": decision["publish"],
        "rules": [{key: rule.get(key) for key in RULE} for rule in decision["rules"]],
        "policy": decision.get("policy", read_json(folder / RECIPE).get("gate", {})),
        "answer": manifest.get("answer"),
    }


def _decision(folder: Path, outcome: dict[str, Any]) -> dict[str, Any] | None:  # Any: JSON
    """Return what the gate has decided, or the leak checks that left it nothing to decide; None where there is neither."""
    if (folder / DECISION).exists():
        found: dict[str, Any] = read_json(folder / DECISION)  # Any: JSON
        return found
    evaluation = read_json(folder / EVALUATION) if (folder / EVALUATION).exists() else {}
    rules = leaks.as_rules(evaluation.get("leaks", ()))
    if all(rule["passed"] is not False for rule in rules):
        return None
    return {"sentence": outcome.get("sentence", "a leak has ended it"), "nominee": None, "publish": None, "rules": rules}


def rows(decision: Decision) -> list[dict[str, Any]]:  # Any: cells
    """Return the decision as a table: a row a rule."""
    words = {True: "passed", False: "not passed", None: "not asked"}
    return [
        {"rule": f"{one.rule} {one.name}", "": words[one.passed], "asked": one.asked, "found": one.found, "change": one.to_pass}
        for one in decision.rules
    ]


def _newest_decided(home: Home) -> str:
    decided = [run_id for run_id in list_runs(home.runs) if (home.runs / run_id / DECISION).exists()]
    if not decided:
        raise UserError("the gate has not decided on any run yet", next_step="start one with 'bowerbird run'")
    return decided[-1]
