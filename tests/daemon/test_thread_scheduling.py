"""Time slices, as the kernel tells them."""

from __future__ import annotations

import platform
import threading
from pathlib import Path

import pytest

from daemon.system.thread_scheduling import request_short_slice


def _slice() -> int:
    """Of the calling thread, nanoseconds."""
    told = Path("/proc/thread-self/sched")
    lines = told.read_text().splitlines() if told.exists() else []
    values = [line.split(":")[1] for line in lines if line.startswith("se.slice")]
    if not values or tuple(map(int, platform.release().split(".")[:2])) < (6, 12):
        pytest.skip("the kernel has no time slices to be set, or does not tell them")
    return int(values[0])


def test_only_the_calling_thread_gets_a_short_slice() -> None:
    before, seen = _slice(), []

    def work() -> None:
        request_short_slice()
        seen.append(_slice())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [100_000] != [before] == [_slice()]
