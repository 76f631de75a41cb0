from __future__ import annotations

import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bowerbird.recipe import Recipe, load_recipe, read_recipe
from bowerbird.sources.ingest import ingest
from bowerbird.sources.intake import IngestReport
from bowerbird.store.home import Home
from tests.sources.small import DATA, RECIPES, rows_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
real = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not there: ../shared/data is absent")


def take(home: Home, name: str, source: Path, run_id: str = "r1") -> IngestReport:
    return ingest(home, load_recipe(RECIPES / f"{name}.toml"), source, run_id, now=NOW)


@pytest.mark.parametrize("name", ["movielens", "online_retail", "complete_journey", "open_bandit", "ads", "ecommerce"])
def test_recipe_survives_the_round_trip(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    assert read_recipe(recipe.dump(), where="again") == recipe == Recipe.model_validate(recipe.dump())


@real
def test_movielens_comes_in_whole_from_folder_and_zip(home: Home, tmp_path: Path) -> None:
    report = take(home, "movielens", DATA / "ml-latest-small")
    assert (report.tables["events"].read, report.tables["events"].accepted) == (100_836, 100_836)
    assert report.tables["items"].accepted == 9_742
    low = rows_of(home, "events", "count(*) filter (where rating::double < 3.5) / count(*)")[0][0]
    assert round(low, 2) == 0.39
    with zipfile.ZipFile(tmp_path / "ml-latest-small.zip", "w") as archive:
        for name in ("ratings.csv", "movies.csv"):
            archive.write(DATA / "ml-latest-small" / name, f"ml-latest-small/{name}")
    again = take(home, "movielens", tmp_path / "ml-latest-small.zip", "r2")
    assert (again.committed, again.tables["events"].duplicates) == ([], 100_836)
    title = rows_of(home, "items", "item_id, title, categories")[0]
    assert title == ("1", "Toy Story (1995)", ["Adventure", "Animation", "Children", "Comedy", "Fantasy"])


@real
@pytest.mark.slow
def test_online_retail_tells_missing_customers_cancellations_zero_prices_and_non_products_apart(
    home: Home, tmp_path: Path
) -> None:
    source = tmp_path / "year 1"
    source.mkdir()
    shutil.copy(DATA / "online-retail" / "online_retail_II_2009-2010_full_columns.parquet", source)
    events = take(home, "online_retail", source).tables["events"]
    assert events.read == 525_461
    assert events.quarantined["missing_user"] == 107_927
    assert events.read == events.accepted + events.num_quarantined + events.duplicates
    assert events.by_event["cancellation"] > 9_000
    assert events.quarantined["not_a_product"] > 1_000
    assert events.broken["zero_price"] > events.quarantined["zero_price"] > 0
    codes = rows_of(home, "events", "count(*) filter (where item_id in ('POST', 'M', 'D', 'BANK CHARGES'))")
    assert codes == [(0,)]
    cancelled = rows_of(home, "events", "max(quantity) filter (where event = 'cancellation' and price > 0)")
    assert cancelled[0][0] <= 1  # one line of the year is a cancellation with a quantity of 1


@real
@pytest.mark.slow
def test_online_retail_reads_both_spellings_and_the_days_that_overlap_once(home: Home) -> None:
    first = take(home, "online_retail", DATA / "online-retail")
    events = first.tables["events"]
    assert events.read == 525_461 + 240_007
    assert events.read == events.accepted + events.num_quarantined + events.duplicates
    per_day = rows_of(home, "events", "count(distinct source_file) filter (where timestamp::date = '2010-12-06')")
    assert per_day == [(1,)]
    second = take(home, "online_retail", DATA / "online-retail", "r2")
    assert second.committed == []
    assert second.tables["events"].duplicates == events.accepted + events.duplicates


@real
def test_complete_journey_comes_in(home: Home) -> None:
    report = take(home, "complete_journey", DATA / "completejourney")
    events = report.tables["events"]
    assert (events.read, events.accepted, events.quarantined["no_quantity"]) == (75_000, 74_584, 416)
    assert rows_of(home, "users", "count(*)") == [(801,)]


@real
def test_open_bandit_comes_in_as_impressions_clicks_and_feedback(home: Home) -> None:
    report = take(home, "ads", DATA / "obd-small")
    assert report.tables["events"].by_event == {"impression": 59_713, "click": 287}
    assert report.tables["items"].accepted == 80 + 34 + 46
    assert rows_of(home, "events", "count(distinct user_id), count(distinct item_id)") == [(790, 160)]
    assert report.tables["feedback"].accepted == 60_000
    logs = "count(distinct policy || campaign), min(propensity) > 0, max(propensity) <= 1, max(position)"
    assert rows_of(home, "feedback", logs) == [(6, True, True, 3)]


@real
def test_open_bandit_comes_in_as_feedback_with_its_log(home: Home) -> None:
    report = take(home, "open_bandit", DATA / "obd-small")
    assert report.tables["feedback"].accepted == 60_000
    assert rows_of(home, "feedback", "count(distinct log), min(propensity) > 0, max(propensity) <= 1, max(position)") == [
        (6, True, True, 3)
    ]
