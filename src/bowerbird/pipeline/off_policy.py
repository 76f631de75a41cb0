"""Judge the nominee's lists by the clicks on logged impressions of the test windows: what was shown by chance, how probably.

In each window the nominee, fitted before it, lists for the users whom the log names, and its rules say how probable each logged
item was at its place. Feedback takes no part in any fit. Impressions are read, put beside lists and estimated from block by
block, with what is between on disk: memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.evaluation.list_policy import ListPolicy
from bowerbird.evaluation.off_policy import Impressions, evaluate_parts
from bowerbird.evaluation.reward_model import fit_rewards_on_parts
from bowerbird.models import load_model
from bowerbird.pipeline import prove
from bowerbird.pipeline.impressions import Feedback, read_feedback
from bowerbird.pipeline.prepare import Plan, Window, candidates, reading
from bowerbird.pipeline.run import Run


def measure_off_policy(run: Run, plan: Plan, nominee: prove.Nominee) -> OffPolicyResult:
    """Estimate what the nominee's lists would have earned in the test windows; not applicable where no exploration was logged."""
    windows = plan.beside if plan.kind == "leave_last_out" else plan.test  # who asks about sessions lists for users here, too
    if not windows:
        return OffPolicyResult(applicable=False, reason="leave-last-out has no window by time")
    run.home.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=run.home.cache) as folder:
        with reading(run) as con:
            feedback = read_feedback(con, windows, Path(folder), k=run.recipe.recommend.k)
        if isinstance(feedback, str):
            return OffPolicyResult(applicable=False, reason=feedback)
        log = Parts(Path(folder))
        for part in target_probabilities(run, windows, nominee.spec, feedback):
            log.add(part)
        return evaluate_parts(log, run.recipe.gate.off_policy, level=run.recipe.gate.confidence)


@dataclass(frozen=True, eq=False)
class Parts:
    """Impressions in files, one a part, read anew whenever they are gone through."""

    folder: Path

    def add(self, part: Impressions) -> None:
        """Write one more part."""
        units = np.asarray(part.units, np.float64)
        columns = [part.rewards, part.propensities, part.targets, part.predicted, part.baselines, units]
        np.save(self.folder / f"part-{sum(1 for _ in self._paths()):06}.npy", np.stack(columns))

    def __iter__(self) -> Iterator[Impressions]:
        for path in self._paths():
            rewards, propensities, targets, predicted, baselines, units = np.load(path)
            yield Impressions(rewards, propensities, targets, predicted, baselines, units.astype(np.int64))

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.npy"))


def target_probabilities(run: Run, windows: Sequence[Window], spec: prove.Spec, feedback: Feedback) -> Iterator[Impressions]:
    """Put a recipe's lists, made in each window for the users of its impressions, beside the impressions, block by block."""
    k, items = num_places(run), pd.Index(feedback.item_ids)
    # one item more stands for all that the log does not have
    model = fit_rewards_on_parts(feedback, num_positions=k, num_items=len(items) + 1)
    for number, window in enumerate(windows):
        ask = _asker(run, window, spec)
        for block in feedback.blocks(number):
            users = np.unique(block.users)
            ids = feedback.user_ids.take(users).to_pylist()
            yield ListPolicy.of(ask(ids), pd.Index(ids), items, k=k).impressions(
                model,
                users=np.searchsorted(users, block.users),
                positions=block.positions,
                items=block.items,
                rewards=block.clicks,
                propensities=block.propensities,
                units=block.users,
            )


def num_places(run: Run) -> int:
    """Return how long lists are before they are cut: chance decides about all of these places together."""
    return max(run.recipe.gate.num_places, run.recipe.recommend.k)


def _asker(run: Run, window: Window, spec: prove.Spec) -> Callable[[list[str]], pd.DataFrame]:
    """Return what makes the lists of a recipe that was fitted before a window."""
    at = window.cut.at
    model = load_model(prove.fit(run, spec, window.cut).folder)
    return prove.lister(run, model, k=num_places(run), at=at, allowed=candidates(run, at), as_policy=True)
