"""What has changed in the input since the last published run: counted by hand, and honest about chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.pipeline.drift import binned, measure, stability
from bowerbird.pipeline.run import Run, open_run, pin_versions
from bowerbird.pipeline.session import ingest_source
from bowerbird.store.home import Home
from bowerbird.store.runs import MANIFEST, write_json
from tests.conftest import shop_recipe


def ingested(home: Home, source: Path, rows: list[tuple[str, str, str, str, float]], name: str) -> Run:
    """Bring rows in as one run would, with the manifest that a published run leaves."""
    lines = ["user,item,kind,time,price", *(",".join(map(str, row)) for row in rows)]
    (source / f"events-{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:  # ids hold the second, and both runs may fall into one
        patch.setattr("bowerbird.pipeline.run.new_run_id", lambda _: f"20260120-00000{name}-abcdef")
        run = open_run(home, shop_recipe(), source)
    ingest_source(run)
    run = pin_versions(run)
    write_json(run.folder / MANIFEST, {"versions": run.versions})
    return run


def day(number: int, user: str, item: str, price: float = 5.0) -> tuple[str, str, str, str, float]:
    return user, item, "purchase", f"2026-01-{number:02}T12:00:00Z", price


@pytest.fixture
def two_runs(home: Home, tmp_path: Path) -> tuple[Run, Run]:
    """Ten days with two events each by the same two users, then two days with three each, some by somebody new."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "items.csv").write_text("item,title\na,A\nb,B\n", encoding="utf-8")
    old = [day(number, user, "a") for number in range(1, 11) for user in ("ann", "bob")]
    new = [day(number, user, item, 50.0) for number in (11, 12) for user, item in (("ann", "a"), ("cat", "b"), ("dan", "a"))]
    first = ingested(home, source, old, "1")
    second = ingested(home, source, new, "2")
    return first, second


def test_since_is_what_later_runs_brought_in(two_runs: tuple[Run, Run]) -> None:
    first, second = two_runs
    found = measure(second, first.run_id)
    assert found is not None
    assert (found.num_before, found.num_since) == (20, 6)
    assert (found.days_before, found.days_since) == (9.0, 2.0)
    volume, users, items = found.figures
    assert (volume.before, volume.since, volume.is_over) == ("2", "3", False)
    assert (users.before, users.since) == ("0.0 % of 2", "66.7 % of 3"), "cat and dan are new, ann is not"
    assert items.since == "50.0 % of 2"
    assert [(one.event, one.before, one.since) for one in found.mix] == [("purchase", 1.0, 1.0)]
    assert [(one.column, one.is_over) for one in found.columns] == [("price", True)], "5 then, 50 now"


def test_a_run_without_new_events_says_so_and_compares_no_column(two_runs: tuple[Run, Run]) -> None:
    _, second = two_runs
    found = measure(second, second.run_id)
    assert found is not None and found.num_since == 0
    assert found.figures == found.mix == found.columns == ()


def test_without_the_earlier_manifest_there_is_nothing_to_compare_with(two_runs: tuple[Run, Run]) -> None:
    first, second = two_runs
    (first.folder / MANIFEST).unlink()
    assert measure(second, first.run_id) is None


def test_the_index_is_that_of_two_bins_by_hand() -> None:
    psi, noise = stability(np.array([49.5, 49.5]), np.array([24.5, 74.5]))
    assert psi == pytest.approx(0.25 * np.log(3.0)), "shares of 1/2 and 1/2, then 1/4 and 3/4, half a row added to each"
    assert noise == pytest.approx(3.8415 * (1 / 99 + 1 / 99), rel=1e-4), "the chi-squared quantile of one degree of freedom"


def test_nothing_moved_is_zero_and_one_bin_says_nothing() -> None:
    assert stability(np.array([10.0, 30.0]), np.array([10.0, 30.0]))[0] == pytest.approx(0.0)
    assert stability(np.array([10.0]), np.array([3.0])) == (0.0, 0.0)


def test_chance_exceeds_the_noise_about_once_in_twenty() -> None:
    rng = np.random.default_rng(1)
    counts = [binned(*(pd.Series(rng.normal(size=size)) for size in (5000, 800))) for _ in range(400)]
    share = np.mean([psi > noise for psi, noise in (stability(*pair) for pair in counts)])
    assert 0.02 < share < 0.09


def test_numbers_fall_into_tenths_and_what_is_missing_into_a_bin_of_its_own() -> None:
    before, since = binned(pd.Series(np.arange(100.0)), pd.Series([0.0, 99.0, 250.0, None]))
    assert before.tolist() == [*[10.0] * 10, 0.0]
    assert since.tolist() == [1.0, *[0.0] * 8, 2.0, 1.0]


def test_words_are_counted_by_value_and_new_ones_together() -> None:
    before, since = binned(pd.Series(["no", "no", "se", None]), pd.Series(["no", "dk", "fi"]))
    assert before.tolist() == [2.0, 1.0, 0.0, 1.0]
    assert since.tolist() == [1.0, 0.0, 2.0, 0.0]


def test_of_free_text_only_what_is_missing_counts() -> None:
    before, since = binned(pd.Series([f"title {n}" for n in range(60)]), pd.Series(["another", None]))
    assert (before.tolist(), since.tolist()) == ([60.0, 0.0], [1.0, 1.0])
