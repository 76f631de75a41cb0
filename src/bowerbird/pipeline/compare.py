"""Two runs, or two published versions, side by side: the same users, how the lists differ, and what changed in between.

Each side is the model whose lists a run has made; its figures by user are those of the run's own test windows. Where the two
runs share windows, both were asked for the same targets, and only these windows are compared. Where windows merely overlap, the
users who are in both are compared, and it is said that their targets are not the same. Otherwise there is nothing to compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from bowerbird.columns import ITEM_ID, RANK, USER_ID
from bowerbird.errors import UserError
from bowerbird.evaluation import metrics, statistics
from bowerbird.pipeline import compare_wording as wording
from bowerbird.pipeline.changes import changes, flat, plain
from bowerbird.pipeline.run import LISTS
from bowerbird.recipe import Target
from bowerbird.store.home import Home
from bowerbird.store.published import history
from bowerbird.store.runs import EVALUATION, MANIFEST, OUTCOME, RECIPE, list_runs, read_json, run_folder

LATEST = "latest"


class Side(BaseModel):
    """One of the two."""

    model_config = ConfigDict(frozen=True)

    asked: str
    """As it was named: a run, ``latest`` or ``v3``."""
    run_id: str
    model: str
    """Label of the model whose lists the run has made; the nominee where it made none."""
    evaluation: dict[str, Any]  # Any: JSON
    recipe: dict[str, Any]  # Any: JSON
    manifest: dict[str, Any]  # Any: JSON
    """Empty where the run ended before one was written."""


def compare(home: Home, first: str, second: str) -> dict[str, Any]:  # Any: JSON
    """Compare two runs or versions; a difference is the second minus the first.

    Raises
    ------
    UserError
        Where one is unknown or has no evaluation, or the two cannot be compared: other windows, places, protocol or target.
    """
    a, b = _side(home, first), _side(home, second)
    _require_same_question(a, b)
    windows, is_same = _shared_windows(a, b)
    users_a, users_b = (_users(home, side, names) for side, names in zip((a, b), windows, strict=True))
    shared = users_a.index.intersection(users_b.index).sort_values()
    if not len(shared):
        raise _cannot(a, b, "no user has targets in the windows of both")
    level = _confidence(b)
    rows = _differences(users_a.loc[shared], users_b.loc[shared], level=level, seed=int(b.recipe["seed"]))
    name, k = b.evaluation["metric"].split("@")
    content = {
        "a": a.model_dump(include={"asked", "run_id", "model"}),
        "b": b.model_dump(include={"asked", "run_id", "model"}),
        "metric": name,
        "k": int(k),
        "confidence": level,
        "windows": [_span(b, window) for window in windows[1]],
        "same_windows": is_same,
        "num_users": len(shared),
        "only_a": len(users_a) - len(shared),
        "only_b": len(users_b) - len(shared),
        "metrics": rows,
        "lists": {
            "tested": _overlap(_tested(home, a, windows[0][0]), _tested(home, b, windows[1][0]), k=int(k)),
            "made": _overlap(_made(home, a), _made(home, b), k=int(k)),
        },
        "changes": _changes(a, b),
        "notes": _notes(a, b, share=_same_targets(home, a, b, windows) if is_same else None),
    }
    return content | {"sentence": wording.sentence(content), "told": wording.told(content)}


# ---- what is compared


def _side(home: Home, asked: str) -> Side:
    run_id = _run_id(home, asked)
    folder = run_folder(home.runs, run_id)
    evaluation = _evaluation(folder)
    if evaluation is None:
        state = read_json(folder / OUTCOME)["outcome"] if (folder / OUTCOME).exists() else "unfinished"
        raise UserError(
            f"run {run_id} has no evaluation, so there is nothing to compare: its outcome is {state!r}",
            next_step="name a run that was published, held or rejected; 'bowerbird status' shows them",
        )
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).exists() else {}
    model = manifest["model"]["label"] if manifest else evaluation["nominee"]
    recipe = read_json(folder / RECIPE)
    return Side(asked=asked, run_id=run_id, model=model, evaluation=evaluation, recipe=recipe, manifest=manifest)


def _evaluation(folder: Path) -> dict[str, Any] | None:  # Any: JSON
    """Read a run's figures; None where there are none, for a leak has ended it or it ended before."""
    found: dict[str, Any] = read_json(folder / EVALUATION) if (folder / EVALUATION).exists() else {}  # Any: JSON
    return found if "models" in found else None


def _run_id(home: Home, asked: str) -> str:
    """Find the run that is meant. Raises UserError for a version that is not there, or where nothing was evaluated yet."""
    if asked == LATEST:
        evaluated = [run_id for run_id in list_runs(home.runs) if _evaluation(home.runs / run_id)]
        if not evaluated:
            raise UserError("no run has been evaluated yet", next_step="start one with 'bowerbird run'")
        return evaluated[-1]
    if re.fullmatch(r"v[0-9]+", asked):
        publishes = {f"v{one.version}": one.run_id for one in history(home)}
        if asked not in publishes:
            known = ", ".join(sorted(publishes, key=lambda name: int(name[1:]))) or "none"
            raise UserError(f"there is no published version {asked}; known: {known}", next_step="see 'bowerbird history'")
        return publishes[asked]
    return asked


def _require_same_question(a: Side, b: Side) -> None:
    """Raise UserError where figures of the two mean different things."""
    asked = [
        ("split by", *(side.evaluation["protocol"] for side in (a, b))),
        ("count places up to", *(side.evaluation["metric"].split("@")[1] for side in (a, b))),
        ("have the target", *(_target(side) for side in (a, b))),
    ]
    for what, ours, theirs in asked:
        if ours != theirs:
            raise _cannot(a, b, f"they {what} {plain(ours)} and {plain(theirs)}")


def _target(side: Side) -> dict[str, Any]:  # Any: JSON
    """Return what counts as success, with the defaults of keys that the run's version did not know yet."""
    content = side.recipe.get("target")
    return Target.model_validate(content).model_dump(mode="json") if content else {}


def _confidence(side: Side) -> float:
    """Return how sure the run's gate had to be; runs of older versions do not say it."""
    return float(side.evaluation.get("confidence", statistics.LEVEL))


def _shared_windows(a: Side, b: Side) -> tuple[tuple[list[str], list[str]], bool]:
    """Return the names of the windows to pool on either side, newest first, and whether they are the same windows."""
    spans_a, spans_b = ({(one["start"], one["end"]): one["name"] for one in side.evaluation["test_windows"]} for side in (a, b))
    same = sorted(spans_a.keys() & spans_b.keys(), reverse=True)
    if same:
        return ([spans_a[span] for span in same], [spans_b[span] for span in same]), True
    meet_a, meet_b = (
        sorted((one for one in ours if any(one[0] < end and start < one[1] for start, end in theirs)), reverse=True)
        for ours, theirs in ((spans_a, spans_b), (spans_b, spans_a))
    )
    if not meet_a:
        raise _cannot(a, b, f"their test windows do not overlap: {_spans(spans_a)}, and {_spans(spans_b)}")
    return ([spans_a[span] for span in meet_a], [spans_b[span] for span in meet_b]), False


def _cannot(a: Side, b: Side, why: str) -> UserError:
    return UserError(
        f"runs {a.run_id} and {b.run_id} cannot be compared: {why}",
        next_step="run 'bowerbird backtest' with both models: it scores them on the same windows",
    )


def _users(home: Home, side: Side, windows: Sequence[str]) -> pd.DataFrame:
    """Read one row a user: figures pooled over windows."""
    paths = [home.runs / side.run_id / "evaluation" / name / f"{side.model}.users.parquet" for name in windows]
    if not all(path.exists() for path in paths):
        raise UserError(
            f"run {side.run_id} has kept no figures by user: they are beyond the rollback horizon",
            next_step="compare newer runs, or raise BOWERBIRD_RETENTION_DAYS for those to come",
        )
    return metrics.pool_windows([pd.read_parquet(path) for path in paths])


def _differences(ours: pd.DataFrame, theirs: pd.DataFrame, *, level: float, seed: int) -> list[dict[str, Any]]:  # Any: JSON
    """Compare each figure that both sides have, over the users who have it on both; p values are adjusted for all of them."""
    rows: list[dict[str, Any]] = []  # Any: JSON
    for name in [column for column in theirs.columns if column in ours.columns]:
        pair = pd.concat([ours[name], theirs[name]], axis=1, keys=["a", "b"]).dropna()
        if len(pair):
            found = statistics.paired_difference(pair["b"], pair["a"], level=level, seed=seed)
            rows.append({"metric": name, "a": float(pair["a"].mean()), "b": float(pair["b"].mean())} | vars(found))
    for row, p_value in zip(rows, statistics.holm([float(row["p_value"]) for row in rows]), strict=True):
        row["adjusted_p"] = p_value
    return rows


def _same_targets(home: Home, a: Side, b: Side, windows: tuple[list[str], list[str]]) -> float:
    """Return the share of the targets of shared windows, on either side, that both sides had."""
    num_shared = num_all = 0
    for names in zip(*windows, strict=True):
        paths = [
            home.runs / side.run_id / "evaluation" / name / "targets.parquet" for side, name in zip((a, b), names, strict=True)
        ]
        ours, theirs = (pd.MultiIndex.from_frame(pd.read_parquet(path, columns=[USER_ID, ITEM_ID])) for path in paths)
        num_shared += len(ours.intersection(theirs))
        num_all += len(ours.union(theirs))
    return num_shared / num_all


def _tested(home: Home, side: Side, window: str) -> pd.DataFrame:
    """Read the lists of the newest shared window."""
    return pd.read_parquet(home.runs / side.run_id / "evaluation" / window / f"{side.model}.lists.parquet")


def _made(home: Home, side: Side) -> pd.DataFrame | None:
    """Read the lists that a run has made for readers; None where there are none."""
    path = home.runs / side.run_id / LISTS
    return pd.read_parquet(path, columns=[USER_ID, ITEM_ID, RANK]) if path.exists() else None


def _overlap(ours: pd.DataFrame | None, theirs: pd.DataFrame | None, *, k: int) -> dict[str, Any] | None:  # Any: JSON
    """Tell how much of a list is in common; None where one of the two has none."""
    if ours is None or theirs is None or (common := metrics.overlap(ours, theirs, k=k)) is None:
        return None
    users_a, users_b = set(ours[USER_ID]), set(theirs[USER_ID])
    return {
        "overlap": common,
        "rank_biased_overlap": float(metrics.rank_biased_overlap(ours, theirs, k=k).mean()),
        "num_users": len(users_a & users_b),
        "only_a": len(users_a - users_b),
        "only_b": len(users_b - users_a),
    }


# ---- what changed


def _changes(a: Side, b: Side) -> dict[str, list[dict[str, Any]]]:  # Any: JSON
    """Return what differs in recipe, data and code."""
    code = ({"commit": side.manifest.get("commit")} | dict(flat(side.manifest.get("environment", {}))) for side in (a, b))
    return {
        "recipe": changes(dict(flat(a.recipe)), dict(flat(b.recipe))),
        "data": changes(a.manifest.get("versions", {}), b.manifest.get("versions", {})),
        "code": changes(*code),
    }


def _notes(a: Side, b: Side, *, share: float | None) -> list[str]:
    """Say what stands in the way of a plain reading; ``share`` of the targets is the same, None for other windows."""
    notes = []
    if a.run_id == b.run_id:
        notes.append("Both are the same run.")
    if share is None:
        notes.append("The test windows overlap and are not the same: part of the difference is what happened in between.")
    elif share < 1:
        notes.append(f"The windows are the same, and {share:.1%} of the targets: rows have come in late, or mean something else.")
    if _confidence(a) != _confidence(b):
        notes.append(
            f"Intervals are those of the second run's confidence, {_confidence(b):g}; the first run's is {_confidence(a):g}."
        )
    for side in (a, b):
        if not side.manifest:
            notes.append(f"Run {side.run_id} has no manifest: which data and code it had is not known.")
    return notes


def _span(side: Side, window: str) -> dict[str, Any]:  # Any: JSON
    found = next(one for one in side.evaluation["test_windows"] if one["name"] == window)
    return {"start": found["start"], "end": found["end"], "days": _days(found["start"], found["end"])}


def _spans(spans: dict[tuple[int, int], str]) -> str:
    return ", ".join(_days(*span) for span in sorted(spans))


def _days(start: int, end: int) -> str:
    first, last = (f"{datetime.fromtimestamp(moment / 1e6, UTC):%Y-%m-%d}" for moment in (start, end))
    return f"{first} to {last}" if start < end else f"the last targets until {last}"
