"""A publisher that is killed at any moment leaves the old set or the new one, never a mix, and the next one goes on."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bowerbird.store import published
from bowerbird.store.home import RECOMMENDATIONS, Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.tables import relation
from bowerbird.warehouse.connection import connect
from tests.store.sets import write_lists

TRIES = 20
USERS = 20_000
PUBLISHER = """
import sys
from itertools import count
from pathlib import Path
import deltalake, pandas
from bowerbird.store import published
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
home, folder, attempt = Home.open(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
with writer_lock(home.lock, wait_seconds=0):
    print("ready", flush=True)
    for number in count():
        lists = folder / f"set{number % 2}.parquet"
        published.publish(home, lists, run_id=f"{attempt}-{number}", handle=home.recommendations.open())
"""


def read_checksum(home: Home, copy: Path) -> str:
    """The checksum of what a reader sees now."""
    with connect() as con:
        relation(con, home.recommendations, "seen")
        rows = con.sql("select * from seen order by user_id, rank").to_arrow_table()
    pq.write_table(rows.cast(RECOMMENDATIONS), copy)
    return published.checksum(copy)


@pytest.mark.slow
def test_publisher_killed_at_any_moment_leaves_the_old_set_or_the_new(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "home é")
    home.create_tables(retention_days=30)
    sets = [write_lists(tmp_path, f"set{number}", users=USERS) for number in range(2)]
    allowed = {published.checksum(path) for path in sets}
    published.publish(home, sets[1], run_id="first", handle=home.recommendations.open())
    draw = random.Random(5)
    committed = 0
    for attempt in range(TRIES):
        before = home.recommendations.version()
        command = [sys.executable, "-c", PUBLISHER, str(home.path), str(tmp_path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:
            assert publisher.stdout is not None and publisher.stdout.readline() == "ready\n"
            time.sleep(draw.uniform(0, 0.25))  # the moment of the kill, not a wait for anything
            publisher.kill()
        present = published.current(home)
        assert present is not None and present.version == home.recommendations.version()
        assert read_checksum(home, tmp_path / "copy.parquet") == present.checksum and present.checksum in allowed
        committed += present.version - before
        with writer_lock(home.lock, wait_seconds=0):
            run_id = f"after {attempt}"
            version = published.publish(home, sets[attempt % 2], run_id=run_id, handle=home.recommendations.open())
        assert version == present.version + 1 and published.current(home) != present
    assert committed > 0, "no publisher lived long enough to commit: the kills prove nothing"
