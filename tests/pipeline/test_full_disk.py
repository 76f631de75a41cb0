"""A disk that fills up as a step begins: the error names it, readers see the old set, and the next run goes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bowerbird.errors import DiskFullError
from bowerbird.pipeline import judge, prepare, prove, release, tell, whole
from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.published import current, history
from tests.conftest import fill, mounted, shop_recipe, write_log

pytestmark = pytest.mark.slow
STEPS = {
    "ingest": (whole, "ingest_source"),
    "features": (prepare, "build_features"),
    "fit": (prove, "fit"),
    "score": (prove, "score"),
    "evaluate": (judge, "evaluate"),
    "recommend": (release, "prepare_lists"),
    "manifest": (release, "write_manifest"),
    "publish": (release, "publish"),
    "report": (tell, "finish"),
}
AFTER_THE_COMMIT = ("report",)


@pytest.mark.parametrize("place", STEPS)
def test_disk_that_fills_up_as_a_step_begins_is_named_and_the_next_run_goes_through(
    tmp_path: Path, source: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = STEPS[place]
    honest = getattr(owner, name)
    with mounted(tmp_path / "small disk", megabytes=64) as disk:
        home = Home.open(disk / "home é")
        write_log(source / "events.csv", days=range(35))
        assert run_all(home, shop_recipe(), source)["outcome"] == "published"
        first = current(home)
        write_log(source / "events2.csv", days=range(35, 41))

        def filling(*given: Any, **named: Any) -> Any:  # Any: any step
            fill(disk)
            return honest(*given, **named)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, filling)
            with pytest.raises(DiskFullError, match=r"home é.*(is full|which is as it was).*No space left") as caught:
                run_all(home, shop_recipe(), source)
        assert caught.value.exit_code == 1 and "free some space" in caught.value.next_step
        assert (current(home) == first) == (place not in AFTER_THE_COMMIT)
        (disk / "filler").unlink()
        after = run_all(home, shop_recipe(), source)
        assert after["outcome"] == ("unchanged" if place in AFTER_THE_COMMIT else "published")
        assert len(history(home)) == 2
