"""Messages to systemd, received as systemd receives them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from daemon.service.sdnotify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A bound socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(20)
        receiver.bind(str(tmp_path / "notify") if request.param == "path" else f"\0ospreyd-test-{uuid4()}")
        yield receiver


def address(manager: socket.socket) -> str:
    name = manager.getsockname()
    return f"@{name[1:].decode()}" if isinstance(name, bytes) else str(name)


def test_every_message_reaches_the_socket(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address(manager)})
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.ready()
    notifier.status("2 of 3 cameras streaming")
    notifier.feed()
    notifier.reloading()
    notifier.stopping()
    said = [manager.recv(4096).decode() for _ in range(5)]
    kind, stamp = said.pop(3).split("\n")
    assert said == ["READY=1", "STATUS=2 of 3 cameras streaming", "WATCHDOG=1", "STOPPING=1"]
    assert kind == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_nothing_is_said_after_the_end(manager: socket.socket) -> None:
    """A READY of a thread that is late would take STOPPING back."""
    notifier = Notifier({"NOTIFY_SOCKET": address(manager)})
    notifier.stopping()
    notifier.ready()
    assert manager.recv(4096) == b"STOPPING=1"
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


def test_notify_times_out_when_manager_is_busy(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address(manager)})
    longest = 0.0
    worked = time.thread_time()
    while longest < 0.5:  # until its queue is full
        began = time.monotonic()
        notifier.feed()
        longest = time.monotonic() - began
    assert longest < 10
    assert time.thread_time() - worked < 0.3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_the_one_of_this_process(environment: dict[str, str], expected: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/x", **environment}).watchdog == expected
