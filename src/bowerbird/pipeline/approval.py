"""The answer to a held run: a person's, or its deadline's where nobody has answered. The set is published, or the run closed.

"Now" is the wall clock, here alone: a deadline is about people. No process waits for one. Whoever holds the lock next and
asks, a nightly run, the flow ``deadlines`` or a late answer, hands down what is overdue.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bowerbird.errors import PublishConflictError, UserError, did_you_mean
from bowerbird.evaluation.gate import SOUND
from bowerbird.pipeline.answered import tell_answer
from bowerbird.pipeline.run import LISTS, SIMILAR
from bowerbird.recipe_gate import Approval
from bowerbird.recipe_values import write_duration
from bowerbird.store import published
from bowerbird.store.home import Home
from bowerbird.store.runs import DECISION, MANIFEST, OUTCOME, list_runs, read_json, run_folder, write_json

DEADLINE = "the deadline"
"""Who has answered, where nobody has."""


class Waiting(BaseModel):
    """A held run that has not been answered."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    asked: Approval
    until: datetime | None
    """When it is decided without an answer."""
    champion_version: int | None
    """What was published when it was decided; an answer that publishes is stale once it is another."""

    @property
    def is_overdue(self) -> bool:
        return self.until is not None and datetime.now(UTC) >= self.until

    def sentence(self, present: published.Publish | None) -> str:
        """Say who may answer until when, what comes then, and whether it is too late to publish it."""
        then = "it is published" if self.asked.on_deadline == "publish" else "it is closed"
        of = f" of {' or '.join(self.asked.approvers)}" if self.asked.approvers else ""
        told = f"Run {self.run_id} waits for an answer{of}"
        if self.is_overdue:
            told = f"Run {self.run_id} was not answered until {_minute(self.until)}: {then} at the next run"
        elif self.until is not None:
            told += f" until {_minute(self.until)}, then {then}"
        stale = _version(present) != self.champion_version
        return told + (f"; version {_version(present)} has been published since, so it can only be closed." if stale else ".")


def instructions(home: Home, run_id: str) -> str:
    """Return as Markdown how a run that has just been held is answered."""
    held = waiting_of(home.runs / run_id)
    return (
        f"{held.sentence(published.current(home))} Run the deployment **approve** with run_id `{run_id}`, or on the command line "
        f"`bowerbird approve {run_id} --by NAME --reason TEXT`, with `--reject` to close it."
    )


def waiting(home: Home) -> list[Waiting]:
    """Return the held runs that have not been answered, oldest first."""
    folders = [home.runs / run_id for run_id in list_runs(home.runs)]
    return [waiting_of(folder) for folder in folders if _outcome(folder)["outcome"] == "held" and (folder / MANIFEST).exists()]


def approve(home: Home, run_id: str, *, accept: bool, by: str, reason: str, force: bool = False) -> dict[str, Any]:  # Any: JSON
    """Carry out a person's answer to a held run: publish from its folder, or close it; the answer goes into its manifest.

    The caller holds the lock. ``force`` publishes a rejected run too, and is recorded as such. A run can be closed also once
    somebody has published since; an answer that was killed after its commit can be given again.

    Raises
    ------
    UserError
        Where the run is not held (or, with ``force``, not rejected), has been answered already, is answered by somebody whom
        its policy does not name or after its deadline, is to be closed though its lists are published, or is to be published
        though it has no set, or one that breaks its contract, or somebody has published since: the answer is stale then.
    PublishConflictError
        Where somebody publishes at this moment.
    """
    folder = run_folder(home.runs, run_id)
    outcome = _outcome(folder)
    _require_answerable(outcome, run_id, force=force)
    held = waiting_of(folder)
    _require_approver(by, held)
    if outcome["outcome"] == "held" and held.is_overdue:
        closed = _decide(home, held)
        raise UserError(
            f"the answer comes too late: run {run_id} had to be answered until {_minute(held.until)}, and is {closed['outcome']}",
            next_step="run again",
        )
    if accept:
        _require_sound(folder)
    return _carry_out(home, held, accept=accept, by=by, reason=reason, kind="force" if force else "approve")


def decide_overdue(home: Home) -> list[dict[str, Any]]:  # Any: JSON
    """Decide the held runs whose deadline has passed, as their policies say; return their outcomes. The caller holds the lock."""
    return [_decide(home, held) for held in waiting(home) if held.is_overdue]


def _decide(home: Home, held: Waiting) -> dict[str, Any]:  # Any: JSON
    """Do what the policy says; a set that is stale, or gone, is closed instead of published."""
    assert held.asked.deadline is not None
    done = published.of_run(home, held.run_id)
    if done is not None:  # a person's answer that was killed after its commit
        return _carry_out(home, held, accept=True, by=done.by, reason=done.reason, kind=done.kind)
    reason = f"nobody answered within {write_duration(held.asked.deadline)}"
    if held.asked.on_deadline == "publish":
        try:
            return _carry_out(home, held, accept=True, by=DEADLINE, reason=reason, kind="deadline")
        except (UserError, PublishConflictError) as error:
            reason += f"; {error.message}"
    return _carry_out(home, held, accept=False, by=DEADLINE, reason=reason, kind="deadline")


def _carry_out(home: Home, held: Waiting, *, accept: bool, by: str, reason: str, kind: str) -> dict[str, Any]:  # Any: JSON
    """Write the answer into the manifest, publish if it says so, then write the outcome; a kill in between can be repeated."""
    folder = home.runs / held.run_id
    handle = home.recommendations.open()  # before what is published is looked up: who publishes after that is noticed
    if accept:
        _require_publishable(home, held)
    elif (done := published.of_run(home, held.run_id)) is not None:
        raise UserError(
            f"run {held.run_id} is published already, as version {done.version}", next_step="see 'bowerbird rollback'"
        )
    answer = {"accepted": accept, "by": by, "reason": reason, "at": datetime.now(UTC).isoformat(timespec="seconds"), "kind": kind}
    manifest = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, manifest | {"answer": answer})
    version = None
    if accept:
        told = {"run_id": held.run_id, "kind": kind, "by": by, "reason": reason}
        try:
            version = published.publish(home, folder / LISTS, handle=handle, similar=folder / SIMILAR, **told)
        except PublishConflictError:
            write_json(folder / MANIFEST, manifest)  # the answer came to nothing
            raise
    closed = _outcome(folder) | {"outcome": "published" if accept else "rejected", "version": version, "answer": answer}
    write_json(folder / OUTCOME, closed)
    tell_answer(folder)
    return closed


def _outcome(folder: Path) -> dict[str, Any]:  # Any: JSON
    found: dict[str, Any] = read_json(folder / OUTCOME) if (folder / OUTCOME).exists() else {"outcome": "unfinished"}
    return found


def waiting_of(folder: Path) -> Waiting:
    """Read what a run's manifest says of its answer; a run of an older version has no deadline, and anybody may answer."""
    manifest = read_json(folder / MANIFEST)
    asked = Approval.model_validate(manifest["recipe"]["gate"].get("approval", {}))
    until = None if asked.deadline is None else datetime.fromisoformat(manifest["made_at"]) + asked.deadline
    return Waiting(run_id=folder.name, asked=asked, until=until, champion_version=manifest["champion_version"])


def _require_answerable(outcome: dict[str, Any], run_id: str, *, force: bool) -> None:  # Any: JSON
    state = outcome["outcome"]
    if outcome.get("answer"):
        raise UserError(f"run {run_id} has been answered by {outcome['answer']['by'] or 'somebody'}", next_step="run again")
    if state != "held" and not (force and state == "rejected"):
        raise UserError(
            f"run {run_id} is not held: its outcome is {state!r}",
            next_step="'bowerbird status' shows held runs; --force publishes a rejected one, and is recorded",
        )


def _require_sound(folder: Path) -> None:
    """Refuse lists that break their contract: a person may overrule the gate's doubts, but nobody can serve such a set."""
    rules = read_json(folder / DECISION)["rules"] if (folder / DECISION).exists() else ()
    unsound = [rule for rule in rules if rule["rule"] == SOUND and rule["passed"] is False]
    if unsound:
        raise UserError(
            f"run {folder.name} cannot be published: {unsound[0]['found']}",
            next_step="mend the model or its data, then run again",
        )


def _require_approver(by: str, held: Waiting) -> None:
    known = held.asked.approvers
    if known and by not in known:
        raise UserError(
            f"{by!r} may not answer run {held.run_id}; its policy names: {', '.join(known)}{did_you_mean(by, list(known))}",
            next_step="let one of them answer, and give the name with --by",
        )


def _require_publishable(home: Home, held: Waiting) -> None:
    present = published.current(home)
    if published.of_run(home, held.run_id) is None and _version(present) != held.champion_version:
        raise UserError(
            f"the answer is stale: version {_version(present)} has been published since run {held.run_id} was "
            f"decided against version {held.champion_version}",
            next_step="run again and answer the new run, or close this one with --reject",
        )
    if not (home.runs / held.run_id / LISTS).exists():
        raise UserError(f"run {held.run_id} has no set to publish", next_step="run again, or close this one with --reject")


def _version(publish: published.Publish | None) -> int | None:
    return publish.version if publish else None


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
