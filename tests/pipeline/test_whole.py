"""The whole run on a log small enough for a test: what is published, held, rejected, left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.errors import DataError, DiskFullError, LeakError, LockedError, StoppedError, UserError
from bowerbird.evaluation import protocol
from bowerbird.pipeline import prove
from bowerbird.pipeline.approval import approve
from bowerbird.pipeline.explain import explanation
from bowerbird.pipeline.show import user_list
from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.published import current, history, read_similar_items, rollback
from bowerbird.store.runs import read_json, write_json
from tests.conftest import shop_recipe, write_log


def lists_of(home: Home) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in home.recommendations.files()], ignore_index=True)


def test_the_first_run_publishes_lists_for_everybody(home: Home, source: Path) -> None:
    outcome = run_all(home, shop_recipe(), source)

    assert outcome["outcome"] == "published", outcome["sentence"]
    assert outcome["version"] == current(home).version  # type: ignore[union-attr] # published just now
    lists = lists_of(home)
    assert lists["user_id"].nunique() == 120
    assert (lists.groupby("user_id").size() == 5).all()
    rows = outcome["rows"]
    assert rows["read"] == rows["accepted"] + sum(rows["quarantined"].values()) + rows["duplicates"]
    assert Path(outcome["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    manifest = read_json(home.runs / outcome["run_id"] / "manifest.json")
    assert manifest["seed"] == 1 and manifest["versions"]["events"] == 1 and manifest["environment"]["packages"]["torch"]


def test_where_a_rival_is_better_the_rival_is_published_and_the_run_says_so(home: Home, source: Path) -> None:
    outcome = run_all(home, shop_recipe(models=[{"name": "popularity"}]), source)

    assert outcome["decision"]["publish"] == "cooccurrence"
    assert "in place of popularity" in outcome["sentence"]
    assert set(lists_of(home)["source"]) <= {"cooccurrence", "fallback"}


def test_what_cannot_be_tidied_is_told_and_the_run_stays_what_it_was(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "old.parquet")

    monkeypatch.setattr("bowerbird.store.retention.tidy", refuse)
    outcome = run_all(home, shop_recipe(), source)

    assert outcome["outcome"] == read_json(home.runs / outcome["run_id"] / "outcome.json")["outcome"] == "published"
    assert "old.parquet" in caplog.text and "the next run tries again" in caplog.text


def test_a_model_with_probabilities_is_shown_beside_what_came_true(home: Home, source: Path) -> None:
    pytest.importorskip("sklearn", reason="the extra boosting is not installed")
    rankers = [{"name": "naive_bayes", "horizon_days": 4}, {"name": "popularity"}]
    outcome = run_all(home, shop_recipe(models=rankers, candidate="naive_bayes"), source)

    evaluation = read_json(home.runs / outcome["run_id"] / "evaluation.json")
    assert set(evaluation["reliability"]) == {"naive_bayes"}
    found = evaluation["reliability"]["naive_bayes"]
    windows = len(evaluation["test_windows"])
    assert sum(one["num_pairs"] for one in found["bins"]) <= windows * 120 * 40, "users times items a window"
    assert sum(one["observed"] for one in found["bins"]) > 0 and 0 <= found["ece"] < 1
    report = Path(outcome["report"]).read_text(encoding="utf-8")
    assert "Whether probabilities came true" in report
    assert "It foretells 4 days, and a test window has 5: set horizon_days = 5 in the recipe." in report


def test_a_candidate_named_by_a_person_is_never_replaced(home: Home, source: Path) -> None:
    outcome = run_all(home, shop_recipe(candidate="random"), source)

    assert outcome["outcome"] == "rejected"
    assert outcome["version"] is None and history(home) == []


def test_the_same_data_and_recipe_again_is_unchanged_and_makes_no_commit(home: Home, source: Path) -> None:
    run_all(home, shop_recipe(), source)
    versions = {name: getattr(home, name).version() for name in ("events", "items", "recommendations", "quarantine")}

    again = run_all(home, shop_recipe(), source)

    assert again["outcome"] == "unchanged"
    assert versions == {name: getattr(home, name).version() for name in versions}
    assert again["rows"]["accepted"] == 0 and again["rows"]["duplicates"] == again["rows"]["read"]


def test_two_homes_give_the_same_lists_and_figures(tmp_path: Path, source: Path) -> None:
    outcomes = [run_all(Home.open(tmp_path / name), shop_recipe(), source) for name in ("one", "two")]

    checksums = [current(Home.open(tmp_path / name)).checksum for name in ("one", "two")]  # type: ignore[union-attr] # just published
    assert checksums[0] == checksums[1]
    assert outcomes[0]["metrics"] == outcomes[1]["metrics"] and outcomes[0]["rivals"] == outcomes[1]["rivals"]


def test_new_events_are_a_refresh_of_the_same_recipe(home: Home, source: Path) -> None:
    write_log(source / "events.csv", days=range(35))
    recipe = shop_recipe(models=[{"name": "cooccurrence"}])
    first = run_all(home, recipe, source)
    write_log(source / "events2.csv", days=range(35, 41))

    second = run_all(home, recipe, source)

    assert (first["outcome"], second["outcome"]) == ("published", "published"), second["sentence"]
    evaluation = read_json(home.runs / second["run_id"] / "evaluation.json")
    assert evaluation["is_refresh"] and evaluation["champion"] == evaluation["nominee"]
    assert evaluation["own_runs"] == [first["metrics"]["cooccurrence"]["value"]]
    (slices,) = [rule for rule in second["decision"]["rules"] if rule["name"] == "slices"]
    assert {one["other"] for one in evaluation["own_slices"]} == {"its own last run"} and slices["passed"]
    assert {(one["column"], one["value"]) for one in evaluation["own_slices"]} >= {("user", "returning")}


def test_a_change_that_is_no_better_is_held_and_a_person_can_publish_it(home: Home, source: Path) -> None:
    first = run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    policy = {"confidence": 0.8, "guards": [{"metric": "recall", "max_loss": 0.5}, {"metric": "mrr", "max_loss": 0.5}]}
    other = shop_recipe(models=[{"name": "cooccurrence", "decay": 0.69}], gate=policy)

    held = run_all(home, other, source)

    assert held["outcome"] == "held", held["sentence"]
    (guards,) = [rule for rule in explanation(home, held["run_id"])["rules"] if rule["name"] == "guarded metrics"]
    assert guards["passed"] and "recall@10" in guards["found"] and "MRR@10" in guards["found"] and "80 %" in guards["found"]
    assert read_json(home.runs / held["run_id"] / "gate.json")["policy"] == other.dump()["gate"]
    wide, narrow = (one["rivals"]["popularity_7d"] for one in (first, held))
    assert wide["low"] < narrow["low"] < narrow["value"] == wide["value"] < narrow["high"] < wide["high"]
    assert held["version"] == 1
    assert "This run waits for an answer" in Path(held["report"]).read_text(encoding="utf-8")
    closed = approve(home, held["run_id"], accept=True, by="Ada", reason="a trial")
    assert "<b>Ada approved it</b>" in Path(held["report"]).read_text(encoding="utf-8")
    assert closed["version"] == 2 and history(home)[0].kind == "approve" and history(home)[0].by == "Ada"
    assert read_json(home.runs / held["run_id"] / "manifest.json")["answer"]["reason"] == "a trial"
    with pytest.raises(UserError, match="has been answered by Ada"):
        approve(home, held["run_id"], accept=True, by="Bob", reason="again")


def test_similar_items_are_published_with_the_set_that_they_belong_to(home: Home, source: Path) -> None:
    outcome = run_all(home, shop_recipe(candidate="blend"), source)
    assert outcome["outcome"] == "rejected" and read_similar_items(home, "i3").empty, outcome["sentence"]
    folder = home.runs / outcome["run_id"]
    approve(home, outcome["run_id"], accept=True, by="Ada", reason="a trial", force=True)

    kept = pd.read_parquet(folder / "similar_items.parquet")
    shown = read_similar_items(home, "i3")
    assert len(shown) == 5 and set(shown["run_id"]) == {outcome["run_id"]}
    assert shown["similar_item_id"].tolist() == kept[kept["item_id"] == "i3"]["similar_item_id"].tolist()


def test_an_answer_is_stale_once_somebody_has_published(home: Home, source: Path) -> None:
    run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    held = run_all(home, shop_recipe(models=[{"name": "cooccurrence", "decay": 0.69}]), source)
    other = run_all(home, shop_recipe(models=[{"name": "cooccurrence", "decay": 0.68}]), source)
    approve(home, other["run_id"], accept=True, by="Ada", reason="")

    with pytest.raises(UserError, match="stale"):
        approve(home, held["run_id"], accept=True, by="Bob", reason="")
    assert len(history(home)) == 2
    assert (
        approve(home, held["run_id"], accept=False, by="Bob", reason="too late")["outcome"] == "rejected"
    )  # closing always works
    assert len(history(home)) == 2


def test_an_answer_that_was_killed_after_its_commit_can_be_given_again_but_not_turned_round(home: Home, source: Path) -> None:
    run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    held = run_all(home, shop_recipe(models=[{"name": "cooccurrence", "decay": 0.69}]), source)
    outcome = (home.runs / held["run_id"] / "outcome.json").read_bytes()
    approve(home, held["run_id"], accept=True, by="Ada", reason="")
    (home.runs / held["run_id"] / "outcome.json").write_bytes(outcome)  # as a kill before the last write leaves it

    with pytest.raises(UserError, match="is published already, as version 2"):
        approve(home, held["run_id"], accept=False, by="Ada", reason="")
    again = approve(home, held["run_id"], accept=True, by="Ada", reason="")
    assert (again["outcome"], again["version"], len(history(home))) == ("published", 2, 2)


def test_a_target_that_leave_last_out_forgets_in_the_fit_is_caught(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = protocol.leave_last_out

    def leaking(data: Any, is_target: Any, *, which: Any) -> Any:
        return data, is_target, honest(data, is_target, which=which)[2]

    monkeypatch.setattr(protocol, "leave_last_out", leaking)
    with pytest.raises(LeakError, match="in the fit and among the targets"):
        run_all(home, shop_recipe(split={"kind": "leave_last_out"}), source)
    assert history(home) == []


def test_a_leaking_stored_champion_gains_nothing(home: Home, source: Path) -> None:
    """The published lists hold the answers of the test window; the gate fits the champion's recipe anew and sees no gain."""
    honest = run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    model = home.runs / honest["run_id"] / "model" / "model.json"
    leaked = json.loads(model.read_text()) | {"config": {"decay": 0.99}}
    model.write_text(json.dumps(leaked))  # a stored model that is not what its recipe says

    again = run_all(home, shop_recipe(models=[{"name": "item_knn"}]), source)

    evaluation = read_json(home.runs / again["run_id"] / "evaluation.json")
    value = honest["metrics"]["cooccurrence"]["value"]
    assert evaluation["models"]["cooccurrence"]["metrics"]["ndcg"][0] == value


def test_every_use_of_a_test_window_is_recorded(home: Home, source: Path) -> None:
    first = run_all(home, shop_recipe(candidate="random"), source)
    second = run_all(home, shop_recipe(candidate="item_knn"), source)

    windows = read_json(home.runs / second["run_id"] / "evaluation.json")["test_windows"]
    assert all(window["used_by"] == [first["run_id"], second["run_id"]] for window in windows)


def test_too_many_rejected_rows_stop_the_run_before_anything_is_trained(home: Home, source: Path) -> None:
    recipe = shop_recipe(contracts={"max_rejected_share": 0.0, "rules": [{"name": "cheap", "column": "price", "max": 1.0}]})

    with pytest.raises(StoppedError) as caught:
        run_all(home, recipe, source)

    outcome = caught.value.outcome
    assert outcome is not None and outcome["outcome"] == "stopped" and outcome["rows"]["accepted"] == 0
    assert history(home) == [] and not (home.cache / "models").exists()


def test_rollback_brings_back_the_lists_of_before(home: Home, source: Path) -> None:
    write_log(source / "events.csv", days=range(35))
    run_all(home, shop_recipe(), source)
    before = lists_of(home)
    write_log(source / "events2.csv", days=range(35, 41))
    run_all(home, shop_recipe(), source)

    made = rollback(home, retention_days=30, by="Ada", reason="odd lists")

    assert (made.version, made.rolled_back_to, made.by) == (3, 1, "Ada")
    pd.testing.assert_frame_equal(lists_of(home), before)


def test_a_run_leaves_old_runs_their_words_alone(home: Home, source: Path) -> None:
    old = home.runs / "20200101-000000-aaaaaa"
    write_json(old / "outcome.json", {"outcome": "rejected"})
    (old / "recommendations.parquet").write_text("x")

    run_all(home, shop_recipe(), source)

    assert [path.name for path in old.iterdir()] == ["outcome.json"]


def test_a_user_sees_titles_and_why_and_a_stranger_what_is_popular(home: Home, source: Path) -> None:
    run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)

    known, stranger = user_list(home, "u1", k=3), user_list(home, "nobody", k=3)

    assert known["is_known"] and len(known["items"]) == 3
    assert all(item["title"].startswith("Title ") for item in known["items"])
    assert any("Title" in item["why"] for item in known["items"])
    assert not stranger["is_known"] and [item["why"] for item in stranger["items"]] == ["popular"] * 3


def test_blocked_and_unavailable_items_are_never_listed(home: Home, source: Path) -> None:
    items = ["item,title,until", *(f"i{item},Title {item},{'2026-01-20' if item == 3 else ''}" for item in range(30))]
    (source / "items.csv").write_text("\n".join(items) + "\n")
    recipe = shop_recipe(rules={"blocked_items": ["i7"]}).dump()
    recipe["source"]["items"]["columns"]["available_until"] = "until"

    run_all(home, shop_recipe(**recipe), source)

    assert not lists_of(home)["item_id"].isin(["i3", "i7"]).any()


def test_a_log_that_is_too_short_says_so_and_publishes_nothing(home: Home, source: Path) -> None:
    write_log(source / "events.csv", days=range(6))

    with pytest.raises(DataError, match="too short"):
        run_all(home, shop_recipe(), source)
    assert history(home) == []


def test_a_second_run_ends_where_the_first_holds_the_lock(home: Home, source: Path) -> None:
    with writer_lock(home.lock, wait_seconds=0), pytest.raises(LockedError, match="in use by process"):
        run_all(home, shop_recipe(), source, wait_seconds=0)


def test_a_failed_run_leaves_its_reason_and_the_next_one_goes_through(
    home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(prove, "score", fail)
        with pytest.raises(DiskFullError, match=r"the disk that holds the home folder .* is full"):
            run_all(home, shop_recipe(), source)
    (failed,) = home.runs.glob("*/outcome.json")
    assert read_json(failed)["outcome"] == "failed"
    assert run_all(home, shop_recipe(), source)["outcome"] == "published"
