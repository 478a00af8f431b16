"""The stage between inference and publishing: order, overflow, and that frames and credits are given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.analysis.picture_requests import PictureOutputs
from daemon.analysis.stage import AnalysisStage, Outputs
from daemon.config.schema import Config
from daemon.records import CameraStatus, Drop, Event, EventType, Frame, FrameResult
from daemon.stats import CameraCount, Stats
from daemon.system.credits import Credits
from engines.pictures import BgrPicture
from tests.conftest import wait_for
from tests.daemon.publishing import UNREACHABLE, result

IMAGE = BgrPicture(np.zeros((8, 8, 3), np.uint8))


def config(cameras: str = "front yard", every: str = "frame", **events: Any) -> Config:
    return Config.model_validate(
        {
            "device": "gate",
            "mqtt": {"host": "localhost", "every": every},
            "events": {"appear_frames": 1, **events},
            "cameras": {name: {"source": f"rtsp://{name}/1"} for name in cameras.split()},
        }
    )


def _unwanted(*_: object) -> Any:
    pytest.fail("a picture of an object")


class Analysed:
    """A stage and, in their order, everything that it did."""

    def __init__(self, settings: Config, limit: int = 256) -> None:
        self.done: list[object] = []
        self.released: list[int] = []
        self.offered: list[int] = []
        self.goes = threading.Event()
        self.goes.set()
        self.stats, self.failures = Stats(), list[BaseException]()
        self.credits = Credits(limit)
        self.published = self.credits.consumer("publish")
        pictures = PictureOutputs(self._request, self._offer, _unwanted, _unwanted)
        outputs = Outputs(self._results, self.done.append, pictures, self.done.append)
        self.stage = AnalysisStage(settings, outputs, self.stats, self.credits, self.failures.append)

    def put(self, *results: FrameResult) -> None:
        for one in results:
            if not one.live:
                self.credits.take()
        self.stage.results(results, [self._frame(one) for one in results])

    def _frame(self, of: FrameResult) -> Frame:
        return Frame(of.camera, of.sequence, IMAGE, 0, 0, None, of.live, lambda: self.released.append(of.sequence))

    def _results(self, results: Sequence[FrameResult]) -> None:
        for one in results:
            self.done.append(one)
            if not one.live:
                self.published()

    def _request(self, camera: str, annotated: bool, label: str) -> None:
        self.done.append((camera, annotated, label))

    def _offer(self, of: FrameResult, _image: object) -> None:
        self.goes.wait()
        assert of.sequence not in self.released
        self.offered.append(of.sequence)


@contextmanager
def analysed(settings: Config, limit: int = 256) -> Iterator[Analysed]:
    made = Analysed(settings, limit)
    made.stage.start()
    try:
        yield made
    finally:
        made.goes.set()
        made.stage.stop()
        assert made.stage.join(20)
    assert not made.failures


def kinds(done: list[object]) -> list[str]:
    """In words, what was handed on."""
    return [
        f"{one.type.value} {one.label}" if isinstance(one, Event) else f"{one.camera} {one.sequence}"
        for one in done
        if isinstance(one, (Event, FrameResult))
    ]


def test_an_event_comes_after_earlier_results_and_before_that_of_its_frame() -> None:
    with analysed(config(), limit=9) as made:
        made.put(result(1, count=0), result(2, count=1), result(3, count=2))
    assert kinds(made.done) == ["front 1", "appeared person", "front 2", "appeared bicycle", "front 3"]
    assert made.released == made.offered == [1, 2, 3]


def test_results_are_filtered_and_what_mqtt_every_leaves_out_is_marked() -> None:
    settings = config(every="change")
    cameras = {**settings.cameras, "front": settings.cameras["front"].model_copy(update={"confidence": 0.6})}
    with analysed(settings.model_copy(update={"cameras": cameras})) as made:
        made.put(*(result(number, count=3) for number in (1, 2)))  # of scores 0.9, 0.7 and 0.5
    results = [one for one in made.done if isinstance(one, FrameResult)]
    assert [len(one.detections) for one in results] == [2, 2]
    assert [one.skipped for one in results] == [False, True]
    assert made.stats.totals(["front"]).cameras["front"][CameraCount.SKIPPED] == 1


@pytest.mark.parametrize(
    ("snapshot", "wished"),
    [("none", []), ("plain", [("front", False, "person")]), ("annotated", [("front", True, "person")])],
)
def test_which_events_ask_for_a_snapshot(snapshot: str, wished: list[object]) -> None:
    with analysed(config(snapshot="none", gone_after=0.1)) as made:
        made.stage.configure(config(snapshot=snapshot, gone_after=0.1))
        made.stage.camera_status(UNREACHABLE)
        frames = [result(n, count=int(n == 1)) for n in (1, 2, 3)]
        made.put(*(replace(frame, captured_mono=frame.sequence) for frame in frames))
    assert [e.type for e in made.done if isinstance(e, Event)] == [
        EventType.CAMERA_STATE,
        EventType.APPEARED,
        EventType.GONE,
    ]
    assert [one for one in made.done if isinstance(one, tuple)] == wished


def test_of_live_cameras_the_newest_are_kept_and_nothing_else_is_dropped() -> None:
    with analysed(config("front yard file")) as made:
        made.goes.clear()
        made.put(result(0, camera="yard"))
        wait_for(lambda: made.stage.waiting() == 0, "the thread to be busy")
        made.put(*(result(1000 + n, live=False, camera="file") for n in range(256)))
        made.stage.camera_status(UNREACHABLE)
        made.put(*(result(n, count=0) for n in range(1, 301)))
        assert made.stats.totals(["front"]).cameras["front"].dropped == {Drop.ANALYSIS_QUEUE: 44}
        assert made.released == list(range(1, 45))
        made.goes.set()
        made.stage.stop()
        assert made.stage.join(20)
    assert [n for n in made.offered if 0 < n < 1000] == list(range(45, 301))
    assert [n for n in made.offered if n >= 1000] == list(range(1000, 1256))
    assert sum(isinstance(one, Event) and one.camera == "yard" for one in made.done) > 0
    assert sorted(made.released) == [*range(301), *range(1000, 1256)]
    assert made.credits.room() == 256


def test_a_camera_that_was_removed_gives_everything_back() -> None:
    with analysed(config()) as made:
        made.stage.configure(config("yard"))
        made.put(result(1), result(2, live=False), result(3, camera="yard"))
    assert kinds(made.done)[-1] == "yard 3"
    assert not any(isinstance(one, FrameResult) and one.camera == "front" for one in made.done)
    assert made.released == [1, 2, 3]
    assert made.credits.room() == 256


ITEMS = st.one_of(
    st.tuples(st.sampled_from(["front", "yard", "gone"]), st.booleans()),
    st.sampled_from(["configure", "state"]),
)


@given(st.lists(ITEMS, max_size=40), st.sampled_from(["frame", "change", "1"]))
def test_every_frame_is_released_once_and_every_credit_given_back(items: list[Any], every: str) -> None:
    with analysed(config(every=every)) as made:
        for number, item in enumerate(items):
            if item == "configure":
                made.stage.configure(config("front yard" if number % 2 else "yard", every=every))
            elif item == "state":
                made.stage.camera_status(CameraStatus("yard", UNREACHABLE.state, None, "", number, number))
            else:
                made.put(result(number, camera=item[0], live=item[1]))
    assert made.released == [number for number, item in enumerate(items) if not isinstance(item, str)]
    assert made.credits.room() == 256
