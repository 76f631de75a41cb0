"""Run folders: ``<home>/runs/<run id>/``; a file is written beside its place and renamed into it."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from bowerbird.errors import UserError

RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}")
RECIPE = "recipe.json"
DECISION = "gate.json"
EVALUATION = "evaluation.json"
BACKTEST = "backtest.json"
MANIFEST = "manifest.json"
OUTCOME = "outcome.json"
REPORT = "report.html"
CONTENT = "report.json"
"""What the report of a run tells, from which its page can be written anew."""


def new_run_id(now: datetime) -> str:
    """Return an id that sorts by time and that no other run has."""
    return f"{now:%Y%m%d-%H%M%S}-{token_hex(3)}"


def run_folder(runs: Path, run_id: str) -> Path:
    """Return the folder of a run that exists. Raises UserError for an id that is malformed or unknown."""
    known = list_runs(runs)
    if RUN_ID.fullmatch(run_id) is None or run_id not in known:
        raise UserError(
            f"there is no run {run_id!r}; the newest are {known[-3:] or 'none'}", next_step="'bowerbird status' shows the runs"
        )
    return runs / run_id


def list_runs(runs: Path) -> list[str]:
    """Return the ids of all runs, oldest first."""
    return sorted(found.name for found in runs.iterdir() if RUN_ID.fullmatch(found.name)) if runs.is_dir() else []


def write_json(path: Path, content: object) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, whatever happens to this process.

    A process that is killed may leave ``<name>.<random>.tmp`` behind, which nothing reads.
    """
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{token_hex(4)}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except BaseException:  # Ctrl-C too
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> Any:  # Any: JSON
    """Read a JSON file that ``write_json`` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
