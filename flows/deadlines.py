"""What becomes of held runs that nobody has answered in time."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bowerbird.settings import Settings
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from tasks import answers


@flow(name="deadlines")
def deadlines(home: str = "", wait_seconds: float = 600) -> State[list[str]]:
    """Decide the held runs whose deadline has passed, as their policies say; a nightly run does the same when it begins.

    Args:
        home: The home folder of the runs. Empty for the worker's own.
        wait_seconds: How long to wait for another run in the same home.
    """
    opened = Home.open(Path(home) if home else Settings().home)
    with writer_lock(opened.lock, wait_seconds=wait_seconds):
        decided = answers.decide_overdue(opened)
    return Completed(name="Decided" if decided else "Nothing due", message="; ".join(decided), data=decided)
