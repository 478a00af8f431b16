"""The public API: a Detector loads a model and finds objects in images."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from engines.backends import Backend, SessionSettings, choose, find_prepared, open_session, prepare
from engines.errors import DetectorError, ImageError, NotPreparedError
from engines.model import NO_OVERRIDE, Model, read_model
from engines.records import Detections, DetectorSession, Handle, InputOverride

Image = NDArray[np.uint8]
"""[H, W, 3] BGR of any size, as OpenCV reads it"""
DEFAULTS = SessionSettings()


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in one image."""

    label: str
    class_id: int
    """index into Detector.labels"""
    score: float
    """0 to 1"""
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the image, clipped to it"""


class Detector:
    """Finds objects in images. Use it as a context manager, or call `close`.

    Threads may share it; their calls wait for one another.
    """

    def __init__(self, model: Model, backend: Backend, settings: SessionSettings = DEFAULTS) -> None:
        """Opens a model that has already been read. Raises what `load` raises."""
        prepared = find_prepared(backend, model, settings)
        if prepared is None:
            raise NotPreparedError(
                f"{model.path}: not built yet for {backend.name} {backend.version}; call Detector.prepare "
                "with the same arguments once, or run ospreyd engine build"
            )
        self.labels = model.labels
        """class names, indexed by class id"""
        self.backend = backend
        """the backend that runs the model, and why it was chosen"""
        self._session: DetectorSession | None = open_session(prepared)
        self._in_flight: deque[tuple[Handle, Sequence[Image]]] = deque()
        self._lock = threading.RLock()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        labels: str | None = None,
        family: str = "auto",
        override: InputOverride = NO_OVERRIDE,
        backend: str = "auto",
        settings: SessionSettings = DEFAULTS,
    ) -> Self:
        """Reads an ONNX file and opens a session for it; never builds anything.

        `labels` is 'coco', a text file with one name per line, or None for the model's metadata; `family` is a name in
        docs/models.md, or 'auto'; `backend` is one of backends.BACKENDS.

        Raises NotPreparedError if `prepare` must build something first; ModelError and LabelsError for the files;
        BackendError if the backend does not work here; PrecisionError, CalibrationError and CacheError for settings.
        """
        return cls(read_model(Path(path), family, labels, override), choose(backend), settings)

    @staticmethod
    def prepare(
        path: str | Path,
        *,
        labels: str | None = None,
        family: str = "auto",
        override: InputOverride = NO_OVERRIDE,
        backend: str = "auto",
        settings: SessionSettings = DEFAULTS,
        progress: Callable[[str, float], None] = lambda _what, _fraction: None,
    ) -> None:
        """Builds and caches what `load` with the same arguments needs; returns at once if the cache has it.

        TensorRT takes minutes, and so does the calibration of INT8 and FP8; FP32 on ONNX Runtime needs no build.
        `progress` is called from any thread with the current step and the fraction of all work that is done, 0 to 1.

        Raises what `load` raises, and BuildError if TensorRT fails.
        """
        prepare(choose(backend), read_model(Path(path), family, labels, override), settings, progress)

    @property
    def max_batch(self) -> int:
        """The largest batch: settings.max_batch, or 1 if the model mixes the images of a batch."""
        return self._open.max_batch

    @property
    def slots(self) -> int:
        """The largest number of batches in flight, that is submitted and not yet collected."""
        return self._open.slots

    def set_confidence(self, confidence: float) -> None:
        """Sets the lowest score of the objects that `detect` and `collect` return, 0 to 1."""
        self._open.set_confidence(confidence)

    def detect(self, image: Image) -> list[Detection]:
        """The objects in one image, in descending order of score.

        Raises ImageError for anything but an image, BackendError if the backend fails, and DetectorError if batches are
        in flight or the detector is closed.
        """
        with self._lock:
            if self._in_flight:
                raise DetectorError(f"{len(self._in_flight)} batches are in flight; collect them before detect")
            return self.collect(self.submit([image]))[0]

    def submit(self, images: Sequence[Image]) -> Handle:
        """Starts a batch of 1 to `max_batch` images; do not change them until the batch is collected.

        Raises ImageError, BackendError, and DetectorError if the batch has a wrong size, `slots` batches are in flight
        or the detector is closed.
        """
        batch = [_checked(image) for image in images]
        with self._lock:
            session = self._open
            if not 1 <= len(batch) <= session.max_batch:
                raise DetectorError(f"a batch has 1 to {session.max_batch} images, not {len(batch)}; set max_batch")
            if len(self._in_flight) == session.slots:
                raise DetectorError(f"{session.slots} batches are in flight already; collect the oldest first")
            handle = session.submit(batch)
            self._in_flight.append((handle, batch))  # keeps the images alive: the backend may read them in place
            return handle

    def collect(self, handle: Handle) -> list[list[Detection]]:
        """Waits for the oldest batch in flight; returns the objects in each image, in descending order of score.

        Raises BackendError if the backend fails, and DetectorError for any other batch or a closed detector.
        """
        with self._lock:
            session = self._open
            if not self._in_flight or self._in_flight[0][0] != handle:
                raise DetectorError(f"batch {handle} is not the oldest in flight; collect each once, in order")
            try:
                found = session.collect(handle).detections
            finally:
                self._in_flight.popleft()
            return [self._named(detections) for detections in found]

    def close(self) -> None:
        """Frees everything; batches in flight are lost. May be called more than once."""
        with self._lock:
            if self._session is not None:
                self._session.close()
            self._session = None
            self._in_flight.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _open(self) -> DetectorSession:
        if self._session is None:
            raise DetectorError("the detector is closed; load it again")
        return self._session

    def _named(self, found: Detections) -> list[Detection]:
        rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
        return [
            Detection(self.labels[label], label, score, (x1, y1, x2, y2)) for label, score, (x1, y1, x2, y2) in rows
        ]


def _checked(image: object) -> Image:
    """The image as a contiguous array. Raises ImageError."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"an image is a uint8 array [height, width, 3] in BGR order, this is {what}")
    if not image.size:
        raise ImageError("an image has at least one pixel, this has none")
    contiguous: Image = np.ascontiguousarray(image)
    return contiguous
