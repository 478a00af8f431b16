"""Pictures of cameras on demand: taken where image and detections are both there, drawn and packed elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, Queue

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.media.draw import annotate
from daemon.records import FrameResult
from daemon.system.worker_thread import WorkerThread
from engines.pictures import Picture

WANTED_FOR = 10.0  # seconds until a request expires
_WAITING = 2  # pictures that wait to be drawn; a large one is 25 MB
_LARGEST = 512 * 1024  # bytes of a JPEG
_QUALITIES = (90, 75, 60, 45, 30)  # of JPEG, tried in turn until the picture is small enough
_SHRINK = 0.7  # of each side, where no quality makes it so
_IDLE = 0.5  # seconds; how long the thread sleeps at most before it looks whether it should stop


@dataclass(frozen=True, slots=True)
class _Wanted:
    annotated: bool
    until: float
    """time.monotonic()"""
    labels: Mapping[str, float]
    """classes whose appearance it is wanted of, and until when, time.monotonic()"""


@dataclass(frozen=True, slots=True)
class _Taken:
    result: FrameResult
    image: NDArray[np.uint8]
    """[H, W, 3] BGR, our own copy"""
    annotated: bool
    labels: frozenset[str]
    """classes whose appearance it was wanted of"""


class Snapshots:
    """Owns the thread `snapshots`. `on_fatal` gets unexpected errors.

    `deliver` gets the camera, the classes that it was wanted of and the JPEG there; `largest` says, for these, how many
    bytes the broker takes.
    """

    def __init__(
        self,
        deliver: Callable[[str, frozenset[str], bytes], None],
        largest: Callable[[str, frozenset[str]], int | None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._deliver = deliver
        self._largest = largest
        self._requesting = threading.Lock()
        self._wanted: dict[str, _Wanted] = {}
        """by camera; to look whether one is there takes no lock"""
        self._taken: Queue[_Taken] = Queue(_WAITING)
        self._stopping = threading.Event()
        self._thread = WorkerThread("snapshots", self._run, on_fatal)

    def request(self, camera: str, annotated: bool, label: str | None = None) -> None:
        """Wants the camera's next frame, if it comes in time; asked again before that, it is one picture.

        `label`: the class whose appearance it is wanted of.
        """
        now = time.monotonic()
        until = now + WANTED_FOR
        with self._requesting:
            before = self._wanted.get(camera)
            labels = {} if before is None else _alive(before.labels, now)
            if label is not None:
                labels[label] = until
            self._wanted[camera] = _Wanted(annotated, until, labels)

    def offer(self, result: FrameResult, image: Picture) -> None:
        """Copies the image of a result if it is wanted, else costs nothing. For one thread.

        Where too many wait to be drawn, it goes on being wanted.
        """
        if result.camera not in self._wanted or self._taken.full():
            return
        with self._requesting:
            wanted = self._wanted.pop(result.camera)
        now = time.monotonic()
        if now < wanted.until:
            labels = frozenset(_alive(wanted.labels, now))
            self._taken.put_nowait(_Taken(result, image.host().copy(), wanted.annotated, labels))

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; returns at once."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                taken = self._taken.get(timeout=_IDLE)
            except Empty:
                continue
            picture = taken.image
            if taken.annotated:
                picture = annotate(picture, taken.result.detections, taken.result.labels)
            camera, labels = taken.result.camera, taken.labels
            largest = self._largest(camera, labels)
            packed = jpeg(picture) if largest is None else jpeg(picture, min(_LARGEST, largest))
            self._deliver(camera, labels, packed)


def _alive(labels: Mapping[str, float], now: float) -> dict[str, float]:
    return {label: until for label, until in labels.items() if now < until}


def jpeg(picture: NDArray[np.uint8], largest: int = _LARGEST) -> bytes:
    """A BGR picture [H, W, 3] as JPEG of at most `largest` bytes: of lower quality, then smaller, until it fits."""
    while True:
        for quality in _QUALITIES:
            _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if packed.size <= largest or max(picture.shape[:2]) == 1:
                return packed.tobytes()
        picture = np.asarray(cv2.resize(picture, None, fx=_SHRINK, fy=_SHRINK, interpolation=cv2.INTER_AREA), np.uint8)
