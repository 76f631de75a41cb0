"""Ctrl-C reaches threads that said that it may, and no others."""

from __future__ import annotations

import threading
import time

from bowerbird.pipeline.interruptible import interrupt_all, interruptible


def test_a_thread_that_works_on_is_ended_where_it_said_that_it_may_be() -> None:
    ended: list[str] = []
    is_working, may_end = threading.Barrier(3, timeout=10), threading.Event()

    def fit() -> None:
        try:
            with interruptible():
                is_working.wait()
                while True:
                    sum(range(1000))
        except KeyboardInterrupt:
            ended.append("fit")

    def other() -> None:
        is_working.wait()
        while not may_end.is_set():
            time.sleep(0.01)
        ended.append("other")

    threads = [threading.Thread(target=work, daemon=True) for work in (fit, other)]
    for thread in threads:
        thread.start()
    is_working.wait()
    interrupt_all()
    threads[0].join(timeout=10)
    assert ended == ["fit"]
    may_end.set()
    threads[1].join(timeout=10)
    assert ended == ["fit", "other"]
