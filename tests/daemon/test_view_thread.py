"""The thread `view` where whoever connects cannot be let in."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from daemon.capture.picture_wishes import PictureWishes
from daemon.mqtt.link import LinkState
from daemon.records import OutboxCounts
from daemon.stats import Stats
from daemon.view import view_thread
from daemon.view.rendezvous import Rendezvous
from daemon.view.view_thread import Sources, View
from tests.conftest import wait_for
from tests.daemon.publishing import config

if TYPE_CHECKING:
    from daemon.service.status import StatusSnapshot


class Full(Rendezvous):
    """Has no descriptor for whoever connects, until `room` is set."""

    room = False
    refused = 0

    def accept(self) -> socket.socket | None:
        if self.room:
            return super().accept()
        self.refused += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@contextmanager
def viewed(rendezvous: Rendezvous) -> Iterator[None]:
    """A view of a device with one camera; it ends well."""
    settings, failures = config(1), SimpleQueue[BaseException]()
    status = cast("StatusSnapshot", SimpleNamespace(config=settings, cameras={}))
    sources = Sources(
        config=lambda: settings,
        status=lambda: status,
        broker=lambda: LinkState(connected=False, detail=""),
        outbox=lambda: OutboxCounts(0, 0, None),
        order=lambda _: True,
    )
    view = View(settings, rendezvous, Stats(), PictureWishes(), sources, failures.put)
    view.start()
    try:
        yield
    finally:
        view.stop()
        assert view.join(10)
    assert failures.empty()


def test_whoever_looks_takes_no_thread_more_than_the_one(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with viewed(Rendezvous(tmp_path, "gate")), socket.socket(socket.AF_UNIX) as looker:
        looker.connect(str(tmp_path / "gate.sock"))
        looker.settimeout(30)
        assert looker.recv(1 << 16).startswith(b'{"kind":"hello"')
        assert [thread.name for thread in threading.enumerate() if thread not in before] == ["view"]


def test_who_cannot_be_let_in_keeps_the_thread_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket stays readable: looking at it at once again would take all of a processor."""
    monkeypatch.setattr(view_thread, "EVERY", 0.2)
    rendezvous = Full(tmp_path, "gate")
    with viewed(rendezvous), socket.socket(socket.AF_UNIX) as looker:
        looker.connect(str(tmp_path / "gate.sock"))
        began = time.monotonic()
        wait_for(lambda: rendezvous.refused >= 5, "five refusals")
        assert time.monotonic() - began > 0.5
        rendezvous.room = True
        looker.settimeout(30)
        assert looker.recv(1 << 16).startswith(b'{"kind":"hello"')
