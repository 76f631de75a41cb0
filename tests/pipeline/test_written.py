"""A run with a language model: its knowledge reaches models and manifest, its absence stops nothing, lists ask nobody."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.errors import RecipeError, UserError
from bowerbird.models import load_model
from bowerbird.pipeline.run import MODEL
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe, read_recipe
from bowerbird.store.home import Home
from bowerbird.store.runs import read_json
from tests.conftest import shop_recipe
from tests.text.scripted import Says, completion, item_of, served


def asking(**further: Any) -> Recipe:
    return shop_recipe(models=[{"name": "cooccurrence"}, {"name": "content"}], **further)


KNOWLEDGE = {"model": "tiny", "num_parallel": 1}


def knows(request: dict[str, Any], _: int) -> Says:
    return completion(json.dumps({"keywords": item_of(request)["title"].split(), "profile": "A thing."}))


def test_a_run_asks_once_and_the_next_night_is_unchanged(home: Home, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = asking(knowledge=KNOWLEDGE, explanations={})
    with served(knows) as at:
        monkeypatch.setenv("BOWERBIRD_LLM_URL", at.url)
        outcome = run_all(home, recipe, source)
        assert outcome["outcome"] == "published", outcome["sentence"]
        num_asked = len(at.asked)
        assert run_all(home, recipe, source)["outcome"] == "unchanged"
        assert len(at.asked) == num_asked
    folder = home.runs / outcome["run_id"]
    report = read_json(folder / "knowledge.json")
    assert report["accepted"] == report["items"] == num_asked
    assert read_json(folder / "manifest.json")["knowledge"] == report["digest"]
    assert f"knowledge of {num_asked} of {num_asked} items" in (folder / "report.html").read_text(encoding="utf-8")
    lists = pd.concat([pd.read_parquet(path) for path in home.recommendations.files()], ignore_index=True)
    assert lists["explanation"].str.len().gt(0).all()
    assert read_json(folder / "explanations.json").keys() == {"template"}
    connections: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: connections.append(address))
    model = load_model(folder / MODEL)
    assert len(model.recommend(lists["user_id"].unique()[:5].tolist()))
    assert connections == []


def test_knowledge_that_is_finished_a_night_later_is_new_data(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(knows) as at:
        monkeypatch.setenv("BOWERBIRD_LLM_URL", at.url)
        first = run_all(home, asking(knowledge={**KNOWLEDGE, "max_requests": 3}), source)
        assert "over_budget" in caplog.text
        second = run_all(home, asking(knowledge={**KNOWLEDGE, "max_requests": 3}), source)
    reports = [read_json(home.runs / one["run_id"] / "knowledge.json") for one in (first, second)]
    assert [one["accepted"] for one in reports] == [3, 6]
    assert second["outcome"] != "unchanged"


def test_an_endpoint_that_is_down_stops_no_run(home: Home, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(knows) as at:
        monkeypatch.setenv("BOWERBIRD_LLM_URL", at.url)
    outcome = run_all(home, asking(knowledge={**KNOWLEDGE, "max_retries": 0}), source)
    assert outcome["outcome"] == "published"
    report = read_json(home.runs / outcome["run_id"] / "knowledge.json")
    assert report["accepted"] == 0 and sum(report["failed"].values()) == report["items"]


def test_without_an_endpoint_a_recipe_that_asks_one_is_refused(home: Home, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOWERBIRD_LLM_URL", raising=False)
    with pytest.raises(UserError, match="BOWERBIRD_LLM_URL"):
        run_all(home, asking(knowledge=KNOWLEDGE), source)


def test_a_column_that_is_not_there_or_would_be_written_over_is_a_mistake() -> None:
    with pytest.raises(RecipeError, match="did you mean 'title'"):
        asking(knowledge={**KNOWLEDGE, "columns": ["titel"]})
    plain = asking().dump()
    plain["source"]["items"]["columns"]["keywords"] = "tags"
    with pytest.raises(RecipeError, match="which knowledge writes"):
        read_recipe(plain | {"knowledge": KNOWLEDGE}, where="test")
