"""What the champion recipe's own published runs have reached: what a refresh is held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bowerbird.evaluation.decision import SliceResult
from bowerbird.evaluation.gate_rules import NUM_OWN_RUNS
from bowerbird.pipeline.prove import Champion, Spec
from bowerbird.pipeline.run import Run
from bowerbird.store import published
from bowerbird.store.runs import EVALUATION, MANIFEST, read_json


def own_metrics(run: Run, leader: Champion, metric: str) -> list[float]:
    """Return a metric, as in ``ndcg@10``, of the champion recipe's own published runs, oldest first."""
    return [manifest["metrics"][metric] for _, manifest in _own(run, leader) if metric in manifest["metrics"]][::-1]


def own_slices(run: Run, leader: Champion, metric: str) -> list[list[SliceResult]]:
    """Return the slices of its last runs, of those that measured that metric on them, oldest first."""
    found = []
    for folder, manifest in _own(run, leader):
        path = folder / EVALUATION
        evaluation = read_json(path) if path.exists() else {}
        # where a rival was published in a nominee's place, the slices are the nominee's
        if (evaluation.get("metric"), evaluation.get("nominee")) == (metric, manifest["model"]["label"]):
            found.append([SliceResult(**one) for one in evaluation.get("slices", ())])
        if len(found) == NUM_OWN_RUNS:
            break
    return found[::-1]


def _own(run: Run, leader: Champion) -> Iterator[tuple[Path, dict[str, Any]]]:  # Any: JSON
    """Give the folders of the champion recipe's published runs, and their manifests, newest first."""
    for publish in published.history(run.home):
        folder = run.home.runs / publish.run_id
        if publish.kind != "rollback" and (folder / MANIFEST).exists():
            manifest = read_json(folder / MANIFEST)
            if Spec.model_validate(manifest["model"]).identity == leader.spec.identity:
                yield folder, manifest
