"""One writer: the kernel frees the lock when its holder ends, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bowerbird.errors import HomeError, LockedError
from bowerbird.store.lock import writer_lock

HOLDER = """
import sys
from pathlib import Path
from bowerbird.store.lock import writer_lock
with writer_lock(Path(sys.argv[1]), wait_seconds=60):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is told to end."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_lock_names_its_holder_and_can_be_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with writer_lock(path, wait_seconds=0):
            assert path.read_text() == str(os.getpid())
    assert path.exists()


def test_second_process_waits_and_then_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        began = time.monotonic()
        with pytest.raises(LockedError) as caught, writer_lock(path, wait_seconds=0.3):
            pytest.fail("the lock was given away twice")
        assert 0.3 <= time.monotonic() - began < 5
        assert f"in use by process {process.pid}, waited 0.3 s" in caught.value.message
        assert str(tmp_path) in caught.value.message and "--wait" in caught.value.next_step
        assert caught.value.exit_code == 6
        assert path.read_text() == str(process.pid)


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        with writer_lock(path, wait_seconds=30):
            assert path.read_text() == str(os.getpid())


def test_lock_of_a_killed_holder_is_free_at_once_and_its_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as process:
        inode = path.stat().st_ino
        process.kill()
        process.wait()
        assert path.read_text() == str(process.pid)
        with writer_lock(path, wait_seconds=0):
            assert path.read_text() == str(os.getpid())
    assert path.stat().st_ino == inode  # a deleted lock could be held by two


def test_lock_is_freed_by_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), writer_lock(tmp_path / "lock", wait_seconds=0):
        raise RuntimeError("inside")
    with writer_lock(tmp_path / "lock", wait_seconds=0):
        pass


def test_two_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    refused: list[LockedError] = []

    def second() -> None:
        try:
            with writer_lock(tmp_path / "lock", wait_seconds=0):
                pass
        except LockedError as error:
            refused.append(error)

    with writer_lock(tmp_path / "lock", wait_seconds=0):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_programs_that_the_holder_starts_do_not_keep_the_lock(tmp_path: Path) -> None:
    started = []
    try:
        for _ in range(5):
            with writer_lock(tmp_path / "lock", wait_seconds=0):
                command = [sys.executable, "-c", "input()"]
                started.append(subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False))
    finally:
        for process in started:
            process.communicate(b"\n")


def test_child_that_has_the_file_open_does_not_keep_the_lock(tmp_path: Path) -> None:
    parent_end, child_end = os.pipe()
    with writer_lock(tmp_path / "lock", wait_seconds=0):
        child = subprocess.Popen(["cat"], stdin=parent_end, pass_fds=[int(name) for name in held_files(tmp_path / "lock")])
    try:
        with writer_lock(tmp_path / "lock", wait_seconds=0):
            pass
    finally:
        os.close(child_end)
        os.close(parent_end)
        child.wait()


def held_files(path: Path) -> list[str]:
    """The numbers under which this process has a file open."""
    return [found.name for found in Path("/proc/self/fd").iterdir() if found.exists() and found.samefile(path)]


def test_lock_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    for path in (tmp_path / "lock", tmp_path / "missing" / "lock"):
        with pytest.raises(HomeError, match="cannot open"), writer_lock(path, wait_seconds=0):
            pytest.fail("there is no lock to hold")
