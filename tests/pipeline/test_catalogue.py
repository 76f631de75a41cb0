"""What a run says of its lists beside how right they are, by what the catalogue tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.evaluation.beyond import FIGURES
from bowerbird.evaluation.metrics import METRICS as ACCURACY
from bowerbird.pipeline.catalogue import read_catalogue
from bowerbird.pipeline.whole import run_all
from bowerbird.report.page import METRICS
from bowerbird.store.runs import read_json
from bowerbird.warehouse.connection import connect
from tests.conftest import NUM_ITEMS, shop_recipe, write_log

DAY = 86_400_000_000
FROM_EVENTS = [name for name in FIGURES if name in ("average_popularity", "novelty", "serendipity", "age_days")]


def evaluation(home, outcome):
    return read_json(home.runs / outcome["run_id"] / "evaluation.json")["models"]


def test_every_figure_is_explained_on_the_page():
    assert {*FIGURES, *ACCURACY} <= set(METRICS)


def test_an_item_came_when_it_was_created_else_when_it_was_first_available_or_first_had_an_event():
    events = [
        ("ann", "created", 10),
        ("ann", "available", 10),
        ("ann", "earlier", 10),
        ("ben", "plain", 11),
        ("ann", "plain", 10),
    ]
    frame = pd.DataFrame(events, columns=["user_id", "item_id", "day"])
    frame = frame.assign(timestamp=pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(frame.pop("day"), unit="D"))
    data = Interactions.from_frame(frame).with_items(["never"])
    with connect() as con:
        con.execute("""
            create table items as select * from (values
                ('created', timestamptz '2026-01-09 00:00:00+00', timestamptz '2026-01-02 00:00:00+00'),
                ('available', null, timestamptz '2026-01-06 00:00:00+00'),
                ('earlier', null, timestamptz '2026-01-20 00:00:00+00')
            ) as rows (item_id, created_at, available_from)
        """)
        con.execute("alter table items add column price double; alter table items add column categories varchar[]")
        at = int(pd.Timestamp("2026-01-13", tz="UTC").timestamp() * 1e6)
        found = read_catalogue(con, data, at=at, texts=Path("none"))
    ages = dict(zip(data.item_ids, found.ages_N, strict=True))
    assert np.isnan(ages.pop("never"))
    assert ages == {"created": 4, "available": 7, "earlier": 2, "plain": 2}


def test_a_catalogue_of_titles_tells_what_events_tell(home, source):
    models = evaluation(home, run_all(home, shop_recipe(), source))
    assert all(list(one["beyond"]) == FROM_EVENTS for one in models.values())
    assert models["random"]["beyond"]["novelty"][0] == models["random"]["novelty"]
    found = models["cooccurrence"]
    assert list(found["shorter"]) == ["ndcg@1", "ndcg@3", "ndcg@5"]
    assert found["shorter"]["ndcg@1"][0] > 0.5  # the item after the last one comes first, and is mostly bought


@pytest.mark.slow
def test_categories_prices_and_dates_are_measured_and_the_next_run_is_held_against_what_is_published(home, source):
    rows = [f"i{item},shelf {item % 3},{10 + item},2025-12-{1 + item:02}T00:00:00Z" for item in range(NUM_ITEMS)]
    (source / "items.csv").write_text("\n".join(["item,shelf,price,since", *rows]) + "\n", encoding="utf-8")
    columns = {"item_id": "item", "categories": "shelf", "price": "price", "created_at": "since"}
    recipe = shop_recipe()
    recipe = recipe.model_copy(
        update={"source": recipe.source.model_copy(update={"items": recipe.source.items.model_copy(update={"columns": columns})})}
    )
    models = evaluation(home, run_all(home, recipe, source))
    told = [name for name in FIGURES if name != "rank_biased_overlap"]
    for one in models.values():
        assert list(one["beyond"]) == told
        assert all(low <= value <= high for value, low, high in one["beyond"].values())
    # 30 items come on 30 days before January; a test window starts in February, 5 days before the log ends.
    assert 35 < models["random"]["beyond"]["age_days"][0] < 65
    # Two items of a random list share one of three shelves with probability 9 / 29.
    assert models["random"]["beyond"]["intra_list_diversity"][0] == pytest.approx(20 / 29, abs=0.02)
    write_log(source / "events-2.csv", days=range(40, 45), seed=4)
    second = evaluation(home, run_all(home, recipe, source))
    agreement = {label: one["beyond"]["rank_biased_overlap"] for label, one in second.items()}
    assert agreement["random"][2] < agreement["cooccurrence"][1] <= 1  # cooccurrence, or what repeats it, is published


def test_the_catalogue_lies_in_the_order_of_the_codes_and_knows_what_it_does_not_know(tmp_path):
    items = pd.DataFrame(
        {
            "item_id": ["c", "a", "stranger"],
            "price": [3.0, None, 7.0],
            "created_at": pd.to_datetime(["1970-01-03", "1970-02-01", None], utc=True),
            "available_from": pd.to_datetime([None, None, None], utc=True),
            "categories": [["x", "y", "x"], None, ["z"]],
        }
    )
    data = Interactions.from_frame(pd.DataFrame({"user_id": 1, "item_id": ["a", "b", "c"], "timestamp": 0}))
    with connect() as con:
        con.register("items", items)
        found = read_catalogue(con, data, at=5 * DAY, texts=tmp_path / "none.parquet")
    np.testing.assert_array_equal(found.prices_N, [np.nan, np.nan, 3])
    np.testing.assert_array_equal(found.ages_N, [0, 5, 3])  # a is yet to come, b has no more than an event
    assert found.categories_NG.toarray().tolist() == [[0, 0], [0, 0], [1, 1]]


def test_vectors_of_texts_stand_in_where_no_item_has_a_category(tmp_path):
    texts = pd.DataFrame({"item_id": ["b", "stranger", "a"], "text_vector": [[0.0, 1.0], [5.0, 5.0], None]})
    texts.to_parquet(tmp_path / "texts.parquet")
    data = Interactions.from_frame(pd.DataFrame({"user_id": 1, "item_id": ["a", "b"], "timestamp": 0}))
    empty = "select 'a' as item_id, null::double as price, null::varchar[] as categories"
    empty += ", null::timestamptz as created_at, null::timestamptz as available_from"
    with connect() as con:
        con.execute(f"create view items as {empty}")
        found = read_catalogue(con, data, at=0, texts=tmp_path / "texts.parquet")
    assert found.categories_NG is None and found.ages_N.tolist() == [0, 0] and found.prices_N is None
    assert found.vectors_ND.tolist() == [[0, 0], [0, 1]]
