"""Which items are alike, as a table of the run's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bowerbird import Interactions, build_model
from bowerbird.pipeline.release import _write_similar_items
from bowerbird.testing import small_log

DATA = Interactions.from_frame(small_log())


def test_the_first_part_that_compares_items_is_asked(tmp_path: Path) -> None:
    model = build_model("blend", generators=[{"name": "popularity"}, {"name": "item_knn"}]).fit(DATA)
    _write_similar_items(model, tmp_path / "similar.parquet", k=2, allowed=None)
    found = pd.read_parquet(tmp_path / "similar.parquet")
    assert found.columns.tolist() == ["item_id", "similar_item_id", "score", "rank"]
    alone = build_model("item_knn").fit(DATA).similar_items(DATA.item_ids, k=2)
    assert found["similar_item_id"].tolist() == alone["similar_item_id"].tolist()


def test_what_may_not_be_recommended_is_like_nothing(tmp_path: Path) -> None:
    model, allowed = build_model("item_knn").fit(DATA), ["plum", "fig", "saw"]
    _write_similar_items(model, tmp_path / "similar.parquet", k=2, allowed=allowed)
    found = pd.read_parquet(tmp_path / "similar.parquet")
    every = model.similar_items(DATA.item_ids, k=8)
    kept = every[every["similar_item_id"].isin(allowed)].groupby("item_id").head(2)
    assert found[["item_id", "similar_item_id"]].to_numpy().tolist() == kept[["item_id", "similar_item_id"]].to_numpy().tolist()
    assert found.groupby("item_id")["rank"].agg(list).map(lambda ranks: ranks in ([1], [1, 2])).all()


def test_a_model_that_compares_no_items_leaves_no_table(tmp_path: Path) -> None:
    _write_similar_items(build_model("popularity").fit(DATA), tmp_path / "similar.parquet", k=2, allowed=None)
    assert not (tmp_path / "similar.parquet").exists()
