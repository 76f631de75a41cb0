"""What is kept for the rollback horizon and deleted after it: files of tables, what runs have left beside their words, fits.

Nothing else vacuums. Delta tells which files may go and we delete them, so that no version is made: to a run a new version
of a table is new data.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bowerbird.store.home import Home
from bowerbird.store.published import reachable, similar_versions
from bowerbird.store.runs import MANIFEST, OUTCOME, list_runs, read_json

WORDS = (".json", ".html")
"""What a run has to say stays, however old."""


@dataclass(frozen=True)
class Tidied:
    """How much has been deleted."""

    num_files: int
    """Files of tables that no version within the horizon shows."""
    num_runs: int
    """Runs that have been left with their JSON files and report alone."""
    num_cached: int
    """Fits, task results, and the text vectors of encoders that no run has used."""


def tidy(home: Home, *, retention_days: int) -> Tidied:
    """Delete what is beyond the horizon; the caller holds the lock.

    What is published, what a rollback can bring back, and what waits for a person's answer keep all that they need,
    however old they are.
    """
    horizon = datetime.now(UTC) - timedelta(days=retention_days)
    kept = {publish.run_id for publish in reachable(home, retention_days=retention_days)}
    return Tidied(
        num_files=_tidy_tables(home, kept, retention_days),
        num_runs=sum(_tidy_run(home.runs / run_id) for run_id in _old_runs(home, horizon) if run_id not in kept),
        num_cached=_tidy_cache(home.cache, horizon),
    )


def _tidy_tables(home: Home, kept: set[str], retention_days: int) -> int:
    """Delete files of tables, but none that a kept run has read, whose model answers strangers from them, or has written."""
    manifests = [home.runs / run_id / MANIFEST for run_id in kept]
    read = [read_json(path)["versions"] for path in manifests if path.exists()]
    read += [{home.similar_items.path.name: version} for run_id, version in similar_versions(home).items() if run_id in kept]
    return sum(
        table.sweep(
            retention_days=retention_days,
            keep={versions[table.path.name] for versions in read if table.path.name in versions},
        )
        for table in home.tables
    )


def _old_runs(home: Home, horizon: datetime) -> list[str]:
    """Return the runs that began before the horizon; an id sorts by time."""
    return [run_id for run_id in list_runs(home.runs) if run_id < f"{horizon:%Y%m%d-%H%M%S}"]


def _tidy_run(folder: Path) -> bool:
    """Leave a run what it has to say; tell whether anything else was there."""
    outcome = folder / OUTCOME
    if outcome.exists() and read_json(outcome)["outcome"] == "held":
        return False
    found = [path for path in folder.iterdir() if path.suffix not in WORDS]
    _delete(found)
    return bool(found)


def _tidy_cache(cache: Path, horizon: datetime) -> int:
    found = [
        path for kind in ("models", "scores", "locks", "results", "checkpoints", "text") for path in (cache / kind).glob("*")
    ]
    old = [path for path in found if path.stat().st_mtime < horizon.timestamp()]
    _delete(old)
    return len(old)


def _delete(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
