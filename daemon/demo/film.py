"""Films the street: video files for the demonstration's cameras, with the truth of every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene, Truth
from daemon.errors import DaemonError


@dataclass(frozen=True, slots=True)
class Shot:
    """What one camera films."""

    camera: str
    width: int
    """pixels"""
    height: int
    """pixels"""
    fps: float
    seed: int
    """which street"""


@dataclass(frozen=True, slots=True)
class Film:
    """A filmed shot."""

    shot: Shot
    file: Path
    truths: tuple[tuple[Truth, ...], ...]
    """by frame; boxes in pixels of the film"""

    def frame_at(self, stream_time: float) -> int:
        """Which frame the file's own timestamp, in seconds, belongs to."""
        return round(stream_time * self.shot.fps) % len(self.truths)

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """The frame as it was before it was encoded, BGR [height, width, 3]."""
        shot = self.shot
        return StreetScene(shot.width, shot.height, shot.seed).render(frame / shot.fps)[0]


SHOTS = (
    Shot("gate", 960, 540, 15.0, seed=7),
    Shot("corner", 640, 480, 10.0, seed=12),
)


def film(shot: Shot, file: Path, seconds: float, progress: Callable[[], None] = lambda: None) -> Film:
    """Films `seconds` of a shot into `file` (MPEG-4); calls `progress` for each frame.

    Raises DaemonError where the file cannot be written.
    """
    scene = StreetScene(shot.width, shot.height, shot.seed)
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), shot.fps, (shot.width, shot.height))
    if not writer.isOpened():
        raise DaemonError(f"{file}: cannot be written as a video; is the folder writable and OpenCV built with FFmpeg?")
    truths = []
    for frame in range(round(seconds * shot.fps)):
        picture, truth = scene.render(frame / shot.fps)
        writer.write(picture)
        truths.append(tuple(truth))
        progress()
    writer.release()
    return Film(shot, file, tuple(truths))
