"""The thread of other formats: order, what makes room, credits, and an end in time, with a format that takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from daemon.mqtt.topics import DeviceTopics
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.frigate import Frigate
from daemon.publish.formats.thread import FormatsThread
from daemon.records import Drop, Event, EventType, FrameResult
from daemon.stats import DaemonCount, Stats
from tests.conftest import wait_for
from tests.daemon.publishing import INFO, config, result


class Formatted:
    """Frigate's and DeepStream's formats in their thread, and what they give; Frigate's can be held up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = config(1, formats={"frigate": {}, "deepstream": {}})
        topics = DeviceTopics.of(settings.mqtt.prefix, settings.device)
        self.goes = threading.Event()
        self.goes.set()
        self.seconds = 0.0
        self.done: list[str] = []
        self.stats, self.failures = Stats(), list[BaseException]()
        formats = Formats(settings.mqtt, topics, settings.device, lambda _: None)
        self.thread = FormatsThread(formats, self._send, lambda *_: None, self.stats, self.failures.append)
        of_frame, of_event, at_end = Frigate.result, Frigate.event, Frigate.close

        def slow(frigate: Frigate, frame: FrameResult) -> object:
            self.goes.wait()
            time.sleep(self.seconds)
            return of_frame(frigate, frame)

        def event(frigate: Frigate, event: Event) -> object:
            self.done.append(event.type.value)
            return of_event(frigate, event)

        def close(frigate: Frigate) -> object:
            self.done.append("closed")
            return at_end(frigate)

        monkeypatch.setattr(Frigate, "result", slow)
        monkeypatch.setattr(Frigate, "event", event)
        monkeypatch.setattr(Frigate, "close", close)
        self.thread.configure(settings, INFO)

    def _send(self, frame: FrameResult, messages: Sequence[object]) -> None:
        self.done.append(f"{frame.sequence}:{len(messages)}")


@contextmanager
def formatted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Formatted]:
    made = Formatted(monkeypatch)
    made.thread.start()
    yield made
    made.goes.set()
    assert made.thread.stop(20)
    assert not made.failures


def test_events_and_results_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    with formatted(monkeypatch) as made:
        made.thread.results([result(1), result(2)])
        made.thread.event(Event("front", EventType.APPEARED, 0.0, "car", 1))
        made.thread.results([result(3, skipped=True)])
    assert made.done == ["1:1", "2:1", "appeared", "3:0", "closed"]
    assert made.stats.totals(()).counts[DaemonCount.RESULTS_FORMATTED] == 3


def test_of_live_results_the_oldest_make_room_and_all_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with formatted(monkeypatch) as made:
        made.goes.clear()
        made.thread.results([result(0)])
        wait_for(lambda: made.thread.waiting() == 0, "the thread to be busy")
        made.thread.results([result(n, live=False, camera="yard") for n in range(1000, 1300)])
        made.thread.event(Event("front", EventType.APPEARED, 0.0, "car", 1))
        made.thread.results([result(n) for n in range(1, 301)])
        assert made.stats.totals(["front"]).cameras["front"].dropped == {Drop.FORMATS_QUEUE: 44}
        assert made.done == [f"{n}:0" for n in range(1, 45)], "the dropped ones give their credits back"
    assert made.done[44:] == [
        "0:1",
        *(f"{n}:1" for n in range(1000, 1300)),
        "appeared",
        *(f"{n}:1" for n in range(45, 301)),
        "closed",
    ]


def test_a_stop_drops_results_when_its_time_is_over_but_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    with formatted(monkeypatch) as made:
        made.seconds = 0.05
        made.thread.results([result(n) for n in range(200)])
        made.thread.event(Event("front", EventType.GONE, 0.0, "car", 0))
        assert made.thread.stop(2.0)
    dropped = made.stats.totals(["front"]).cameras["front"].dropped[Drop.FORMATS_QUEUE]
    assert 0 < dropped < 200
    assert made.done[-2:] == ["gone", "closed"]
    assert len(made.done) == 202, "each result has come to its end"
