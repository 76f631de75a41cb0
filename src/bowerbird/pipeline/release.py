"""From a decision to a published set: refit, recommend to everybody, check, manifest, one commit."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetWriter
from pydantic import BaseModel, ConfigDict

from bowerbird.columns import EXPLANATION, ITEM_ID, RANK, USER_ID
from bowerbird.errors import CapabilityError, PublishConflictError
from bowerbird.evaluation import metrics
from bowerbird.models import load_model
from bowerbird.models.base import Model
from bowerbird.models.composite import Composite
from bowerbird.pipeline.judge import Verdict
from bowerbird.pipeline.prepare import Plan, all_users, asked_candidates, candidates, candidates_now, load_history, reading
from bowerbird.pipeline.prove import Champion, Fitted, Spec, exclude_seen, lister, recommend
from bowerbird.pipeline.run import (
    LISTS,
    MODEL,
    SIMILAR,
    Run,
    code_commit,
    environment,
    inputs_digest,
    knowledge_digest,
    semantic_ids_report,
    texts_report,
)
from bowerbird.pipeline.semantic_ids import add_shelves
from bowerbird.pipeline.show import item_titles
from bowerbird.pipeline.written import Speaker
from bowerbird.ranking.evidence import evidence
from bowerbird.store import published
from bowerbird.store.home import RECOMMENDATIONS
from bowerbird.store.runs import EVALUATION, MANIFEST, read_json, write_json
from bowerbird.store.tables import relation
from bowerbird.warehouse.recommendation_checks import Check, check_recommendations

SIMILAR_POOL = 5
USERS_A_CHUNK = 20_000
USERS_COMPARED = 1_000


class Prepared(BaseModel):
    """A set that is ready to be published: its lists, and how far they agree with what was evaluated and published."""

    model_config = ConfigDict(frozen=True)

    spec: Spec
    model: Path
    lists: Path
    num_users: int
    refit_overlap: float | None
    """Mean share of a list that the evaluated and the refitted model have in common on the same histories."""
    published_overlap: float | None
    """Mean share of a list that this set and the published one have in common."""


def prepare_lists(run: Run, refitted: Fitted, plan: Plan, verdict: Verdict) -> Prepared:
    """Recommend to everybody, with the rules as they stand now, and keep lists and model in the run's folder."""
    model = load_model(refitted.folder)
    users, allowed, k = all_users(run), candidates_now(run, plan), run.recipe.recommend.k
    titles = item_titles(run.home, model.data.item_ids.tolist())
    excluded = exclude_seen(run)
    listed = lister(run, model, k=k, at=plan.now, allowed=allowed)
    speaker = Speaker(run, recipe.explanations) if (recipe := run.recipe).explanations is not None else None
    path = run.folder / LISTS
    unfinished = path.with_suffix(".tmp")
    with ParquetWriter(unfinished, RECOMMENDATIONS, compression="zstd") as writer:
        for start in range(0, len(users), USERS_A_CHUNK):
            lists = listed(users[start : start + USERS_A_CHUNK])
            told = evidence(model, lists, titles=titles, exclude_seen=excluded, candidates=allowed, at=plan.now)
            if speaker is not None:
                told[EXPLANATION] = speaker.explain(told)
            told = told.reindex(columns=RECOMMENDATIONS.names)
            writer.write_table(pa.Table.from_pandas(told, schema=RECOMMENDATIONS, preserve_index=False))
    unfinished.rename(path)
    if speaker is not None:
        speaker.report()
    _write_similar_items(model, run.folder / SIMILAR, k=k, allowed=allowed)
    add_shelves(run, run.folder / SIMILAR, k=k, allowed=allowed)
    kept = run.folder / MODEL
    if not kept.exists():
        shutil.copytree(refitted.folder, kept)
    return Prepared(
        spec=refitted.spec,
        model=kept,
        lists=path,
        num_users=len(users),
        refit_overlap=_refit_overlap(run, model, verdict, plan),
        published_overlap=_published_overlap(run, path),
    )


def _write_similar_items(model: Model, path: Path, *, k: int, allowed: list[str] | None) -> None:
    """Keep which items are alike, where the model or one inside it compares items; the first that does is asked.

    An item that may not be recommended is like no other: of the ``SIMILAR_POOL * k`` most alike, the allowed ones are kept.
    """
    for one in (model, *(model.generators if isinstance(model, Composite) else ())):
        try:
            similar = one.similar_items(one.data.item_ids, k=k if allowed is None else SIMILAR_POOL * k)
        except CapabilityError:
            continue
        if allowed is not None:
            similar = similar[similar[f"similar_{ITEM_ID}"].isin(allowed)]
            similar = similar.assign(**{RANK: (similar.groupby(ITEM_ID).cumcount() + 1).astype("int32")})
        similar[similar[RANK] <= k].to_parquet(path, index=False)
        return


def _refit_overlap(run: Run, model: Model, verdict: Verdict, plan: Plan) -> float | None:
    """Compare the refitted model's lists with the evaluated ones, for the same users with the same histories."""
    window = plan.test[0]
    evaluated = next(one for one in verdict.scored if one.window == window.name)
    lists = pd.read_parquet(evaluated.lists)
    users = lists[USER_ID].unique().tolist()[:USERS_COMPARED]
    history, at = load_history(run, window), window.cut.at
    allowed, k = asked_candidates(run, at), run.recipe.gate.k
    again = recommend(run, model, users, k=k, at=at, allowed=allowed, history=history, is_asked=True)
    return metrics.overlap(lists, again, k=run.recipe.gate.k)


def _published_overlap(run: Run, path: Path) -> float | None:
    if published.current(run.home) is None:
        return None
    with reading(run) as con:
        relation(con, run.home.recommendations, "published")
        shown = con.execute("select user_id, item_id, rank from published").df()
    return metrics.overlap(pd.read_parquet(path, columns=[USER_ID, ITEM_ID, RANK]), shown, k=run.recipe.recommend.k)


def check_lists(run: Run, prepared: Prepared, plan: Plan) -> list[Check]:
    """Count what breaks the contract of a recommendation set; the caller judges the counts."""
    recipe = run.recipe
    assert recipe.target is not None and recipe.source.events is not None
    with reading(run) as con:
        con.from_parquet(str(prepared.lists)).create_view("lists", replace=True)
        return check_recommendations(
            con,
            k=recipe.recommend.k,
            allowed=candidates(run, plan.now),
            exclude_events=recipe.target.exclude_events,
            cancel_events=tuple(recipe.source.events.cancels),
            rules=recipe.rules,
        )


def write_manifest(run: Run, prepared: Prepared, verdict: Verdict) -> Path:
    """Write down what the set was made of: data, code, recipe, packages, decision, checksum. Last file before the commit."""
    path = run.folder / MANIFEST
    write_json(
        path,
        {
            "run_id": run.run_id,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "inputs": inputs_digest(run),
            "knowledge": knowledge_digest(run),
            "versions": run.versions,
            "recipe": run.recipe.dump(),
            "recipe_digest": run.recipe.digest(),
            "model": prepared.spec.model_dump(mode="json"),
            "texts": texts_report(run),
            "semantic_ids": semantic_ids_report(run),
            "seed": run.recipe.seed,
            "commit": code_commit(),
            "environment": environment(),
            "metrics": _metrics(run, prepared),
            "decision": verdict.decision.model_dump(mode="json"),
            "champion_version": _version(published.current(run.home)),
            "table_version": run.home.recommendations.version(),
            "num_users": prepared.num_users,
            "checksum": published.checksum(prepared.lists),
            "refit_overlap": prepared.refit_overlap,
            "published_overlap": prepared.published_overlap,
        },
    )
    return path


def _metrics(run: Run, prepared: Prepared) -> dict[str, float]:
    """Return the test figures of the model in the set."""
    evaluation = read_json(run.folder / EVALUATION)
    found = evaluation["models"][prepared.spec.label]["metrics"]
    return {f"{name}@{run.recipe.gate.k}": bounds[0] for name, bounds in found.items()}


def publish(run: Run, prepared: Prepared, leader: Champion | None, *, is_last: bool) -> int | None:
    """Commit the set, if nobody has published since the champion was read; return the table's version.

    Returns None where somebody has and ``is_last`` is false: the decision is to be made anew.

    Raises
    ------
    PublishConflictError
        Where somebody has, and this was the last try.
    """
    handle = run.home.recommendations.open()
    present = published.current(run.home)
    try:
        if (present is None or present.run_id != run.run_id) and _version(present) != (leader.version if leader else None):
            raise PublishConflictError(
                f"version {_version(present)} is published now, the decision was made against {leader and leader.version}",
                next_step="run again: the decision is made anew against what is published now",
            )
        return published.publish(run.home, prepared.lists, run_id=run.run_id, handle=handle, similar=run.folder / SIMILAR)
    except PublishConflictError:
        if is_last:
            raise
        return None


def _version(publish: published.Publish | None) -> int | None:
    return publish.version if publish else None


def is_unchanged(run: Run) -> bool:
    """Tell whether what is published was made from the same data, recipe, code and packages."""
    present = published.current(run.home)
    if present is None:
        return False
    manifest = run.home.runs / present.run_id / MANIFEST
    return manifest.exists() and bool(read_json(manifest)["inputs"] == inputs_digest(run))
