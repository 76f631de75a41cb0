"""A run from its lock to its outcome: whatever ends it, the lock is freed and what happened is written down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bowerbird.errors import BowerbirdError, DiskFullError, LeakError, is_interruption
from bowerbird.pipeline.run import SECONDS, Run, open_database, open_run, record_seconds
from bowerbird.recipe import Recipe
from bowerbird.settings import Settings
from bowerbird.sources.ingest import ingest
from bowerbird.sources.intake import IngestReport, TooManyRejectsError
from bowerbird.store import retention
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.retention import Tidied
from bowerbird.store.runs import EVALUATION, OUTCOME, read_json, write_json

logger = logging.getLogger(__name__)

INGEST = "ingest.json"
STOPPED, FAILED, INTERRUPTED = "stopped", "failed", "interrupted"


@contextmanager
def session(home: Home, recipe: Recipe, source: Path | None, *, wait_seconds: float) -> Iterator[Run]:
    """Hold the lock and a new run's folder; a failure is written to ``outcome.json`` and goes on up.

    Raises
    ------
    DiskFullError
        Where the home's disk fills up at any step.
    """
    with writer_lock(home.lock, wait_seconds=wait_seconds), _recorded(home, recipe, source) as run:
        yield run


@contextmanager
def reading_session(
    home: Home, recipe: Recipe, source: Path | None, *, wait_seconds: float
) -> Iterator[tuple[Run, Callable[[], None]]]:
    """Do as ``session`` for what publishes nothing. What comes with the run frees the lock: call it once the source is in."""
    with ExitStack() as lock:
        lock.enter_context(writer_lock(home.lock, wait_seconds=wait_seconds))
        with _recorded(home, recipe, source) as run:
            yield run, lock.close


@contextmanager
def _recorded(home: Home, recipe: Recipe, source: Path | None) -> Iterator[Run]:
    """Open a run, and write down what ends it before its time."""
    with _told_when_full(home):
        run = open_run(home, recipe, source)
    use_threads()
    try:
        with _told_when_full(home):
            yield run
    except BaseException as error:
        _record_failure(run, error)
        raise


@contextmanager
def _told_when_full(home: Home) -> Iterator[None]:
    """Turn what says that a disk is full, whoever says it, into a DiskFullError that names the home."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFullError) or not DiskFullError.is_told_by(error):
            raise
        raise DiskFullError(
            f"the disk that holds the home folder {str(home.path)!r} is full: {error}",
            next_step="free some space and run again; no set is published by half",
        ) from error


def use_threads() -> None:
    """Let torch use as many threads as the settings say."""
    threads = Settings().threads
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


@contextmanager
def timed(run: Run, step: str) -> Iterator[None]:
    """Note how long a step takes, also where it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        record_seconds(run, step, time.perf_counter() - began)


def _record_failure(run: Run, error: BaseException) -> None:
    """Write what ended the run; where even that fails (a full disk), the first error is the one to tell."""
    kind = INTERRUPTED if is_interruption(error) else STOPPED if isinstance(error, TooManyRejectsError) else FAILED
    outcome = outcome_of(run, kind) | {"sentence": str(error), "error": {"kind": type(error).__name__, "message": str(error)}}
    if isinstance(error, BowerbirdError):
        error.outcome = {key: value for key, value in outcome.items() if key != "error"}
    try:
        if isinstance(error, LeakError) and (run.folder / EVALUATION).exists():
            from bowerbird.pipeline.tell import tell_of_leak

            outcome["report"] = tell_of_leak(run, outcome)
        write_json(run.folder / OUTCOME, outcome)
    except OSError as second:
        error.add_note(f"and the outcome could not be written: {second}")


def tidy(run: Run) -> Tidied:
    """Delete what is beyond the rollback horizon, at the end of a run that went well.

    Where that cannot be done the run is as good as it was: a warning says so, and the next run tries again.
    """
    try:
        return retention.tidy(run.home, retention_days=Settings().retention_days)
    except OSError as error:
        logger.warning("what is beyond the rollback horizon could not be deleted (%s); the next run tries again", error)
        return Tidied(num_files=0, num_runs=0, num_cached=0)


def outcome_of(run: Run, outcome: str) -> dict[str, Any]:  # Any: JSON
    """Return what every outcome holds: the run, its rows and its seconds."""
    from bowerbird.store.published import current

    present = current(run.home)
    found: dict[str, Any] = {  # Any: JSON
        "outcome": outcome,
        "version": present.version if present else None,
        "run_id": run.run_id,
        "recipe": run.recipe.name,
        "rows": None,
        "metrics": {},
        "rivals": {},
        "decision": None,
        "seconds": {},
        "report": None,
    }
    if (run.folder / INGEST).exists():
        found["rows"] = rows_of(ingest_report(run))
    if (run.folder / SECONDS).exists():
        found["seconds"] = read_json(run.folder / SECONDS)
    return found


def rows_of(report: IngestReport) -> dict[str, Any]:  # Any: JSON
    """Return the rows of the log: read = accepted + quarantined by reason + duplicates."""
    log = report.tables["events" if "events" in report.tables else "feedback"]
    return {
        "read": log.read,
        "accepted": log.accepted,
        "quarantined": {reason: count for reason, count in log.quarantined.items() if count},
        "duplicates": log.duplicates,
    }


def ingest_source(run: Run) -> IngestReport:
    """Bring the source, or the recipe's simulated one, into the tables; the report lies in the run's folder.

    Raises
    ------
    TooManyRejectsError
        Where more rows were rejected than the recipe allows; the report is kept all the same.
    """
    source = run.source or simulated_source(run)
    try:
        with open_database(run) as con:
            report = ingest(run.home, run.recipe, source, run.run_id, now=datetime.now(UTC), con=con)
    except TooManyRejectsError as error:
        write_json(run.folder / INGEST, error.report.dump())
        raise
    write_json(run.folder / INGEST, report.dump())
    return report


def ingest_report(run: Run) -> IngestReport:
    """Read the report that the run's ingest kept."""
    return IngestReport.load(read_json(run.folder / INGEST))


def simulated_source(run: Run) -> Path | None:
    """Write the recipe's simulated source into the home, once for each kind, size and seed; None where it has none."""
    from bowerbird.sources.samples import write_sample

    sample = run.recipe.source.sample
    if sample is None:
        return None
    folder = run.home.path / "sample" / f"{sample.kind}-{sample.users}-{sample.items}-{sample.days}-{sample.seed}"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.tmp")
        write_sample(sample, unfinished)
        unfinished.rename(folder)
    return folder


def ingest_only(home: Home, recipe: Recipe, source: Path | None, *, wait_seconds: float) -> dict[str, Any]:  # Any: JSON
    """Ingest without training; return the outcome."""
    with session(home, recipe, source, wait_seconds=wait_seconds) as run:
        with timed(run, "ingest"):
            report = ingest_source(run)
        outcome = outcome_of(run, "ingested") | {"sentence": "; ".join(report.messages)}
        write_json(run.folder / OUTCOME, outcome)
        tidy(run)
        return outcome
