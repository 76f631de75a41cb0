"""Lets Ctrl-C end what other threads are at: Python raises KeyboardInterrupt in the main thread alone, and waits for the rest.

A thread that works inside ``interruptible`` gets one of its own from ``interrupt_all``, at its next line of Python: a product of
matrices that is under way is still ended, a fit or a training is not.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_working: set[int] = set()


@contextmanager
def interruptible() -> Iterator[None]:
    """Have ``interrupt_all`` end what this thread does in the block."""
    _working.add(threading.get_ident())
    try:
        yield
    finally:
        _working.discard(threading.get_ident())


def interrupt_all() -> None:
    """Raise KeyboardInterrupt in all threads that are inside ``interruptible``."""
    for thread in tuple(_working):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
