"""Calibration pictures from a video or a camera: frames spread evenly over what there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from daemon.capture.sources.base import Source, SourceError, grab_usable
from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera
from daemon.config.credentials import shown_source
from daemon.config.sources import is_live
from daemon.records import Reason
from engines.errors import CalibrationError
from engines.pictures import Image


def collect(camera: Camera, frames: int, every: float, progress: Callable[[float], None]) -> Iterator[Image]:
    """At most so many frames: of a live camera one each `every` seconds, of a recording spread over its length.

    Each is [H, W, 3] BGR. Raises CalibrationError where the source cannot be read.
    """
    camera = camera.model_copy(update={"loop": False})
    try:
        if not is_live(camera.source):
            every = _duration(camera) / frames
        with closing(open_source(camera)) as source:
            yield from _spread(source, frames, every, progress)
    except SourceError as error:
        raise CalibrationError(f"no more calibration pictures from {shown_source(camera.source)}: {error}") from None


def _spread(source: Source, frames: int, every: float, progress: Callable[[float], None]) -> Iterator[Image]:
    taken, due, began = 0, 0.0, time.monotonic()
    while taken < frames and _grab(source):
        now = time.monotonic() - began if source.due is None else source.due
        if now >= due:
            yield source.retrieve(None).host()
            taken, due = taken + 1, due + every
            progress(taken / frames)


def _duration(camera: Camera) -> float:
    """Seconds that a recording lasts, found by going through it: containers are often wrong about it."""
    with closing(open_source(camera)) as source:
        while _grab(source):
            pass
        return source.due or 0.0


def _grab(source: Source) -> bool:
    """Whether there was another frame."""
    try:
        grab_usable(source)
    except SourceError as error:
        if error.reason is Reason.ENDED:
            return False
        raise
    return True
