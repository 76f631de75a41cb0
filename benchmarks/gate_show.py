"""What the gate says to an honest improvement, and to models that are broken in known ways, on three logs.

    python -m benchmarks.gate_show [movielens sample online_retail] > benchmarks/results/<date>-gate-show.md

A weak recipe is taken for the champion, and each model is put up against it as a change, by the steps of a run: fitted before
the test windows, scored on them, asked by the behavioural checks and the leak checks, compared with champion and rivals, on
slices too. What nothing depends on is done once a log. ``tests/pipeline/test_gate_show.py`` asks for the same decisions.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import pytest

from benchmarks.machine import commit, cpu
from bowerbird.errors import LeakError
from bowerbird.evaluation.decision import Decision
from bowerbird.pipeline import judge, prepare, prove
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.run import Run, pin_versions
from bowerbird.pipeline.session import ingest_source, session
from bowerbird.recipe import load_recipe
from bowerbird.store.home import Home
from tests.broken_models import Leaking, Unkind, make_known

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Log:
    """A log, what is in production there, and what is better."""

    folder: str | None
    """Within the shared data; None for the simulated shop."""
    champion: str
    honest: str
    unkind: str
    """Better on average, and bad for new users."""
    few: int
    """Users with so few events are new to it: 0, or the shortest histories where nobody is without."""


LOGS = {
    "movielens": Log("ml-latest-small", "popularity", "cooccurrence", "unkind_counting", few=34),
    "sample": Log(None, "popularity", "personal_frequency", "unkind_habits", few=41),
    "online_retail": Log("online-retail", "popularity", "tifu_knn", "unkind_baskets", few=0),
}
BROKEN = ("shuffled", "only_popular", "tenth", "hidden_tenth")


@dataclass(frozen=True)
class Shown:
    """What became of one model."""

    case: str
    decision: Decision | None
    """None where the run ended in a leak."""
    said: str
    evaluation: dict[str, Any]  # Any: JSON

    @property
    def failed(self) -> list[str]:
        """The rules that it failed, in the order in which they decide."""
        return [rule.name for rule in self.decision.rules if rule.passed is False] if self.decision else ["leak"]


class Show:
    """One log, ingested and cut; models are put up one after another."""

    def __init__(self, run: Run, log: Log) -> None:
        self.run, self.log = run, log
        self.plan: Plan = prepare.make_plan(run).model_copy(update={"beside": ()})
        known = {spec.label: spec for spec in prove.rivals(run.recipe)}
        self.leader = prove.Champion(spec=known.get(log.champion) or _spec(log.champion), run_id="", version=0)
        self.others = [prove.Nominee(spec=self.leader.spec), *(prove.Nominee(spec=spec) for spec in known.values())]
        self.scored = {one.spec.label: self._scored(one.spec) for one in self.others}

    def cases(self) -> Iterator[Shown]:
        """Put up the honest model, then the broken ones."""
        yield self.put_up("honest", self.log.honest)
        for name in (*BROKEN, self.log.unkind, Leaking.name):
            yield self.put_up(name, name)

    def put_up(self, case: str, name: str) -> Shown:
        """Let the gate decide on one model as a change."""
        spec = next((one.spec for one in self.others if one.spec.label == name), _spec(name))
        nominee = prove.Nominee(spec=spec)
        try:
            own = self.scored.get(spec.label) or self._scored(spec)
        except LeakError as error:
            return Shown(case, None, str(error), {})
        entrants = prove.entrants(self.run.recipe, nominee, self.leader)
        scored = [one for each in entrants for one in (own if each.label == spec.label else self.scored[each.label])]
        evaluation = judge.evaluate(self.run, self.plan, scored, nominee, self.leader)
        decision = judge.decide(self.run, self.plan, nominee, self.leader, scored).decision
        return Shown(case, decision, decision.sentence, evaluation)

    def _scored(self, spec: prove.Spec) -> list[prove.Scored]:
        return [prove.score(self.run, prove.fit(self.run, spec, window.cut), window) for window in self.plan.test]


def _spec(name: str) -> prove.Spec:
    return prove.Spec(label=name, name=name)


@contextmanager
def opened(name: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Show]:
    """Read a log into a home and make the broken models known."""
    log = LOGS[name]
    make_known(monkeypatch)
    recipe = load_recipe(ROOT / "deployments" / "recipes" / f"{name}.toml", candidate=log.honest)
    with session(home, recipe, DATA / log.folder if log.folder else None, wait_seconds=0) as started:
        ingest_source(started)
        run = pin_versions(started)
        monkeypatch.setattr(Leaking, "everything", prepare.whole_log(run)[1], raising=False)
        monkeypatch.setattr(Unkind, "few", log.few)
        yield Show(run, log)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the decisions as a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="*", default=list(LOGS), choices=list(LOGS))
    names = parser.parse_args(arguments).logs
    print("# The gate on honest and on broken models\n")
    print(f"`python -m benchmarks.gate_show {' '.join(names)}`, commit {commit()}, {cpu()}, Python {platform.python_version()}.")
    for name in names:
        started = process_time()
        with (
            TemporaryDirectory() as folder,
            pytest.MonkeyPatch.context() as monkeypatch,
            opened(name, Home.open(Path(folder)), monkeypatch) as show,
        ):
            _print(name, show)
        print(f"\n{process_time() - started:.0f} CPU-seconds.")


def _print(name: str, show: Show) -> None:
    print(f"\n## {name}: {show.log.champion} is in production\n", flush=True)
    print("| model | decision | rules that failed | what was said |\n| --- | --- | --- | --- |")
    for one in show.cases():
        outcome = one.decision.outcome if one.decision else "the run ends"
        print(
            f"| {one.case} | {outcome} | {', '.join(one.failed) or 'none'} | {one.said} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
