"""One writer: an advisory lock on ``<home>/lock`` that the kernel frees when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bowerbird.errors import HomeError, LockedError

POLL_SECONDS = 0.2


@contextmanager
def writer_lock(path: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock, waiting at most ``wait_seconds`` for whoever has it.

    Raises
    ------
    LockedError
        Where it is still held after that; the message names the holder's process.
    HomeError
        Where the file cannot be opened.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HomeError(f"cannot open {str(path)!r}: {error.strerror}", next_step="give write permission") from error
    try:
        _acquire(file, path, time.monotonic() + wait_seconds, wait_seconds)
        os.truncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # a forked child has the file open too, and would hold on to the lock
        os.close(file)


def _acquire(file: int, path: Path, deadline: float, wait_seconds: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                holder = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
                raise LockedError(
                    f"the home folder {str(path.parent)!r} is in use by process {holder}, waited {wait_seconds:g} s",
                    next_step="wait for that run to end, or wait longer with --wait SECONDS",
                ) from error
            time.sleep(POLL_SECONDS)
