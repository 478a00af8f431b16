"""Pictures of cameras on demand: taken where image and detections are both there, drawn and packed elsewhere."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, Queue

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.media.draw import annotate
from daemon.records import FrameResult
from daemon.records.followed import Portrait
from daemon.system.worker_thread import WorkerThread
from engines.pictures import Picture
from engines.records import Detections

WANTED_FOR = 10.0  # seconds until a request expires
_WAITING = 2  # pictures that wait to be drawn; a large one is 25 MB
_LARGEST = 512 * 1024  # bytes of a JPEG
_KEPT = 64  # objects of which a best picture is kept; beyond that the one whose picture is the oldest has none
_QUALITIES = (90, 75, 60, 45, 30)  # of JPEG, tried in turn until the picture is small enough
_SHRINK = 0.7  # of each side, where no quality makes it so
_IDLE = 0.5  # seconds; how long the thread sleeps at most before it looks whether it should stop


@dataclass(frozen=True, slots=True)
class Subject:
    """What a picture is of."""

    camera: str
    labels: frozenset[str] = frozenset()
    """classes whose appearance it was wanted of, or that of the object"""
    object: str | None = None
    """identifier; None: of the whole frame"""

    @property
    def properties(self) -> tuple[tuple[str, str], ...]:
        """Names and values that go with its message."""
        return () if self.object is None else (("object", self.object),)


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
    image: Picture
    """our own copy; what is to be converted is so in the thread `snapshots`"""
    annotated: bool
    labels: frozenset[str]
    """classes whose appearance it was wanted of"""
    portraits: Sequence[Portrait] | None = None
    """of which objects it is; None: of the frame"""


@dataclass(frozen=True, slots=True)
class _Packed:
    subject: Subject
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class _Ended:
    object: str
    publish: bool


class Snapshots:
    """Owns the thread `snapshots`. `on_fatal` gets unexpected errors.

    `deliver` gets what it is of and the JPEG there; `largest` says, for the same, how many bytes the broker takes.
    """

    def __init__(
        self,
        deliver: Callable[[Subject, bytes], None],
        largest: Callable[[Subject], int | None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._deliver = deliver
        self._largest = largest
        self._requesting = threading.Lock()
        self._wanted: dict[str, _Wanted] = {}
        """by camera; to look whether one is there takes no lock"""
        self._taken: Queue[_Taken | _Packed | _Ended] = Queue()
        self._best: OrderedDict[str, tuple[Subject, bytes]] = OrderedDict()
        """by object, of the thread alone; JPEGs, the one that was taken last at the end"""
        self._stopping = threading.Event()
        self._thread = WorkerThread("snapshots", self._run, on_fatal)

    def request(self, camera: str, annotated: bool, label: str | None = None, at: float | None = None) -> None:
        """Wants the camera's next frame, if it comes in time; asked again before that, it is one picture.

        `label`: the class whose appearance it is wanted of. `at`: when it was asked for, time.monotonic(); None: now.
        """
        now = time.monotonic() if at is None else at
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
        if result.camera not in self._wanted or self._taken.qsize() >= _WAITING:
            return
        with self._requesting:
            wanted = self._wanted.pop(result.camera)
        now = time.monotonic()
        if now < wanted.until:
            labels = frozenset(_alive(wanted.labels, now))
            self._taken.put(_Taken(result, image.copied(), wanted.annotated, labels))

    def portray(self, result: FrameResult, image: Picture, portraits: Sequence[Portrait]) -> bool:
        """Copies the image of a result; False: too many wait to be drawn. For the thread of `offer`.

        The first picture of an object is delivered, and the last is kept until `end_portrait`.
        """
        if self._taken.qsize() >= _WAITING:
            return False
        self._taken.put(_Taken(result, image.copied(), True, frozenset(), portraits))
        return True

    def end_portrait(self, name: str, publish: bool) -> None:
        """Delivers the last picture of an object, or drops it; returns at once."""
        self._taken.put(_Ended(name, publish))

    def fit(self, subject: Subject, packed: bytes) -> None:
        """Delivers a JPEG of another process, made smaller where the broker takes less; returns at once."""
        self._taken.put(_Packed(subject, packed))

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end when it has done what waits; returns at once."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._taken.empty()):
            try:
                taken = self._taken.get(timeout=_IDLE)
            except Empty:
                continue
            if isinstance(taken, _Ended):
                best = self._best.pop(taken.object, None)
                if best is not None and taken.publish:
                    self._deliver(best[0], self._fitting(*best))
            elif isinstance(taken, _Packed):
                self._deliver(taken.subject, self._fitting(taken.subject, taken.jpeg))
            elif taken.portraits is not None:
                picture = taken.image.host()
                for portrait in taken.portraits:
                    self._portray(taken, picture, portrait)
            else:
                picture = taken.image.host()
                if taken.annotated:
                    picture = annotate(picture, taken.result.detections, taken.result.labels)
                subject = Subject(taken.result.camera, taken.labels)
                self._deliver(subject, jpeg(picture, self._limit(subject)))

    def _portray(self, taken: _Taken, picture: NDArray[np.uint8], portrait: Portrait) -> None:
        found, labels, index = taken.result.detections, taken.result.labels, portrait.index
        one = slice(index, index + 1)
        alone = Detections(found.boxes[one], found.scores[one], found.labels[one])
        subject = Subject(taken.result.camera, frozenset({labels[int(found.labels[index])]}), portrait.object)
        packed = jpeg(annotate(picture, alone, labels), self._limit(subject))
        self._best[portrait.object] = subject, packed
        self._best.move_to_end(portrait.object)
        if len(self._best) > _KEPT:
            self._best.popitem(last=False)
        if portrait.first:
            self._deliver(subject, packed)

    def _fitting(self, subject: Subject, packed: bytes) -> bytes:
        """A JPEG, made smaller where the broker takes less than it did when it was taken."""
        limit = self._limit(subject)
        if len(packed) <= limit:
            return packed
        picture = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
        return jpeg(np.asarray(picture, np.uint8), limit)

    def _limit(self, subject: Subject) -> int:
        largest = self._largest(subject)
        return _LARGEST if largest is None else min(_LARGEST, largest)


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
