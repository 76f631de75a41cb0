"""Two runs, or two published versions, side by side."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bowerbird.settings import Settings
from bowerbird.store.home import Home
from tasks import comparison


@flow(name="compare", flow_run_name="{a}-and-{b}")
def compare(a: str, b: str = "latest", home: str = "") -> State[str]:
    """Compare what two runs have found for the same users, their lists, and what changed between them.

    Args:
        a: A run, a published version as in v3, or latest: the newest run that was evaluated.
        b: The other one; differences are b minus a.
        home: The home folder of both. Empty for the worker's own.
    """
    opened = Home.open(Path(home) if home else Settings().home)
    sentence = comparison.compare_runs(opened, a, b)
    return Completed(name="Compared", message=sentence, data=sentence)
