"""A run's semantic ids: made of the items there were before the selection window, and told of all; shelves by them.

What is fitted on later events may know nothing of items that came later still: so the codes are made of the items that had
arrived before the first cut, and all later items are encoded by them. Whether those are like the earlier ones is the drift.
An item has arrived with its first event, or earlier where its ``created_at`` or ``available_from`` says so.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import AVAILABLE_FROM, CREATED_AT, ITEM_ID, RANK, SCORE, SEMANTIC_ID, TEXT_VECTOR
from bowerbird.data.interactions import to_microseconds
from bowerbird.pipeline.prepare import Plan, load_cut, load_items
from bowerbird.pipeline.run import SEMANTIC_IDS, SEMANTIC_IDS_REPORT, Run, digest
from bowerbird.recipe_text import SemanticIdsConfig
from bowerbird.store.runs import write_json
from bowerbird.text.semantic_ids import Codes, SemanticIds, has_vector, unit

FOLDER = "semantic_ids"
BLOCK = 1024

logger = logging.getLogger(__name__)


def make_semantic_ids(run: Run, plan: Plan, config: SemanticIdsConfig) -> dict[str, Any]:  # Any: JSON
    """Make the codebooks, give each item its words, and keep both; return figures and drift, which are kept last."""
    items = load_items(run)
    if items is None or TEXT_VECTOR not in items:
        items = pd.DataFrame({ITEM_ID: [], TEXT_VECTOR: []})
    vectors_ND, is_early_N = _vectors(items), _has_arrived(run, plan, items)
    ids = SemanticIds.fit(vectors_ND[is_early_N], config, seed=run.recipe.seed)
    ids.save(run.folder / FOLDER)
    words = ids.words(ids.encode(vectors_ND))
    pd.DataFrame({ITEM_ID: items[ITEM_ID], SEMANTIC_ID: words}).to_parquet(run.folder / SEMANTIC_IDS, index=False)
    report = {
        "identity": digest([ids.codebooks_LKD.tolist(), ids.codes_NL.tolist()]),
        "figures": ids.figures(),
        "drift": ids.drift(vectors_ND[~is_early_N], seed=run.recipe.seed),
    }
    write_json(run.folder / SEMANTIC_IDS_REPORT, report)
    logger.info(in_words(report))
    return report


def in_words(report: dict[str, Any]) -> str:  # Any: JSON
    """Say in a few sentences what the figures are, and whether later items have drifted."""
    figures, drift = report["figures"], report["drift"]
    used = ", ".join(f"{perplexity:.0f}" for perplexity in figures["perplexity"])
    told = (
        f"Semantic ids of {figures['num_items']} items: of {figures['num_codes']} codes a level {used} in use by perplexity, "
        f"{figures['collision_rate']:.1%} of them share all codes, {figures['reconstruction_error']:.1%} of a vector is left. "
    )
    if not drift["divergence"]:
        return told + "No item came later."
    furthest = max(zip(drift["divergence"], drift["by_chance"], strict=True), key=lambda pair: pair[0] - pair[1])
    verdict = "have drifted: texts are about something else than before" if drift["has_drifted"] else "may be of the same kind"
    return told + (
        f"The {drift['num_items']} items that came later {verdict} (p {drift['p_value']:.3f}, drifted up to 0.01; divergence "
        f"{furthest[0]:.3f}, by chance {furthest[1]:.3f}; residual {drift['residual_ratio']:.2f} times that of earlier items, by "
        f"chance {drift['residual_by_chance']:.2f})."
    )


def by_level(report: dict[str, Any]) -> list[dict[str, Any]]:  # Any: JSON
    """Return one row a level: its perplexity, and divergence where there are later items."""
    figures, drift = report["figures"], report["drift"]
    nothing = [None] * len(figures["perplexity"])
    columns = figures["perplexity"], drift["divergence"] or nothing, drift["by_chance"] or nothing
    names = ("level", "perplexity", "divergence", "by chance")
    return [dict(zip(names, row, strict=True)) for row in zip(range(len(nothing)), *columns, strict=True)]


def add_shelves(run: Run, path: Path, *, k: int, allowed: list[str] | None) -> None:
    """Add the items like those of which ``similar_items`` says nothing, by semantic ids, where the run has some."""
    if not (run.folder / SEMANTIC_IDS_REPORT).exists() or (items := load_items(run)) is None:
        return
    vectors_ND, ids = _vectors(items), SemanticIds.load(run.folder / FOLDER)
    may_stand_N = np.ones(len(items), bool) if allowed is None else items[ITEM_ID].isin(allowed).to_numpy(bool)
    known = pd.read_parquet(path) if path.exists() else None
    is_known_N = items[ITEM_ID].isin([] if known is None else known[ITEM_ID].unique()).to_numpy(bool)
    asked = np.flatnonzero(has_vector(vectors_ND) & ~is_known_N)
    found = shelves(items[ITEM_ID], ids.encode(vectors_ND), vectors_ND, asked=asked, may_stand_N=may_stand_N, k=k)
    if len(found):
        (found if known is None else pd.concat([known, found.astype(known.dtypes.to_dict())])).to_parquet(path, index=False)


def shelves(
    item_ids: pd.Series[Any],  # Any: see Ids
    codes_NL: Codes,
    vectors_ND: NDArray[np.float64],
    *,
    asked: NDArray[np.int64],
    may_stand_N: NDArray[np.bool_],
    k: int,
) -> pd.DataFrame:
    """List the ``k`` items like each: those with the longest prefix in common, of equals the nearest; the first code must agree.

    ``score`` is the prefix's length plus half of 1 + cosine, from 1 up.
    """
    unit_ND, parts = unit(vectors_ND), []
    first_N, order = codes_NL[:, 0], np.argsort(codes_NL[asked, 0], kind="stable")
    for rows in _blocks(asked[order], first_N[asked[order]]):
        members_M = np.flatnonzero(first_N == first_N[rows[0]])
        shared_BM = (np.cumprod(codes_NL[rows, None] == codes_NL[None, members_M], axis=2)).sum(axis=2)
        scores_BM = shared_BM + (1 + unit_ND[rows] @ unit_ND[members_M].T) / 2
        scores_BM[:, ~may_stand_N[members_M]] = -np.inf
        scores_BM[rows[:, None] == members_M] = -np.inf
        best_BK = np.argsort(-scores_BM, axis=1, kind="stable")[:, :k]
        values_BK = np.take_along_axis(scores_BM, best_BK, axis=1)
        best_BK = members_M[best_BK]
        users, places = np.nonzero(np.isfinite(values_BK))
        columns = (item_ids.to_numpy()[rows[users]], item_ids.to_numpy()[best_BK[users, places]])
        parts.append(pd.DataFrame(dict(zip((ITEM_ID, f"similar_{ITEM_ID}"), columns, strict=True))))
        parts[-1][SCORE], parts[-1][RANK] = values_BK[users, places], (places + 1).astype(np.int32)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _blocks(asked: NDArray[np.int64], first: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut items, which are in the order of their first code, into blocks that share it."""
    groups = np.split(asked, np.flatnonzero(np.diff(first)) + 1)
    return [group[start : start + BLOCK] for group in groups for start in range(0, len(group), BLOCK)]


def _vectors(items: pd.DataFrame) -> NDArray[np.float64]:
    """Return text vectors, rows of zeros where an item has none; [N, D]."""
    cells = [None if cell is None or np.ndim(cell) == 0 else np.asarray(cell, np.float64) for cell in items[TEXT_VECTOR]]
    size = next((len(cell) for cell in cells if cell is not None), 0)
    return np.stack([np.zeros(size) if cell is None else cell for cell in cells]) if cells else np.zeros((0, size))


def _has_arrived(run: Run, plan: Plan, items: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which items were there before the selection window; bool [N]."""
    data, _ = load_cut(run, plan.selection.cut)
    is_there = items[ITEM_ID].isin(data.item_ids[np.unique(data.items)]).to_numpy(bool, copy=True)
    for column in (CREATED_AT, AVAILABLE_FROM):
        if column in items:
            is_dated = items[column].notna().to_numpy(bool)
            is_there[is_dated] |= to_microseconds(items[column][is_dated]) < plan.selection.cut.at
    return is_there
