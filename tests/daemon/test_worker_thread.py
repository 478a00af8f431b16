"""How the daemon's threads start, end and fail."""

from __future__ import annotations

import re
import threading

import pytest

from daemon.publish.publisher import Publisher
from daemon.stats import Stats
from daemon.system.worker_thread import WorkerThread
from tests.conftest import ROOT
from tests.daemon.publishing import INFO, config
from tests.servers.mosquitto import free_port

_ALLOWED = {
    "system/worker_thread.py": "it is the one",
    "system/threads.py": "they end at once, to see how many there may be",
    "service/http_server.py": "a client of the metrics, whose errors are logged",
    "capture/sources/server.py": "a look-up of a name, whose answer is waited for",
    "doctor/reach.py": "a command's own, whose answer is waited for",
}


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_every_exception_that_ends_a_thread_is_reported(error: BaseException) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        raise error

    thread = WorkerThread("worker", run, failures.append)
    thread.start()
    assert thread.join(10)
    assert failures == [error]


def test_join_of_a_thread_that_never_started_returns_at_once() -> None:
    assert WorkerThread("worker", lambda: None, lambda _: None).join(0)


def test_join_is_bounded() -> None:
    release = threading.Event()

    def wait() -> None:
        release.wait(60)

    thread = WorkerThread("worker", wait, lambda _: None)
    thread.start()
    assert not thread.join(0.01)
    release.set()
    assert thread.join(10)


def test_every_thread_of_the_daemon_is_a_worker_thread() -> None:
    made = {
        file.relative_to(ROOT / "daemon").as_posix()
        for file in (ROOT / "daemon").rglob("*.py")
        if re.search(r"\bThread\(target", file.read_text(encoding="utf-8"))
    }
    assert made == set(_ALLOWED)


def test_threads_of_two_links_have_distinct_names() -> None:
    publisher = Publisher(config(free_port(), formats={"frigate": {}}), INFO, Stats(), lambda _: None)
    before = set(threading.enumerate())
    publisher.start()
    names = [thread.name for thread in threading.enumerate() if thread not in before]
    publisher.stop(5)
    assert sum(name.startswith("mqtt:") for name in names) > 1
    assert len(set(names)) == len(names)
