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
    _write_similar_items(model, tmp_path / "similar.parquet", k=2)
    found = pd.read_parquet(tmp_path / "similar.parquet")
    assert found.columns.tolist() == ["item_id", "similar_item_id", "score", "rank"]
    alone = build_model("item_knn").fit(DATA).similar_items(DATA.item_ids, k=2)
    assert found["similar_item_id"].tolist() == alone["similar_item_id"].tolist()


def test_a_model_that_compares_no_items_leaves_no_table(tmp_path: Path) -> None:
    _write_similar_items(build_model("popularity").fit(DATA), tmp_path / "similar.parquet", k=2)
    assert not (tmp_path / "similar.parquet").exists()
