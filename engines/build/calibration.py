"""Pictures that 8-bit precisions are calibrated on: a folder, how it is filled, and what a model gets of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.errors import CalibrationError
from engines.graphs.preprocess import FRAMES, preprocess_model
from engines.model import Model

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_QUALITY = 95
_HOW = "take some of your own scenes with ospreyd engine build --calibrate-from a folder, a video or a camera"


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Pictures of the scenes that a detector will see."""

    folder: Path
    pictures: tuple[Path, ...]
    """in name order"""
    digest: str
    """SHA-256 of the pictures' contents, in name order"""


def read_set(folder: Path, least: int = 32) -> CalibrationSet:
    """The pictures in a folder, which must be `least` or more. Raises CalibrationError."""
    if not folder.is_dir():
        raise CalibrationError(f"{folder}: there is no such folder of calibration pictures; {_HOW}")
    pictures = _pictures(folder)
    if len(pictures) < least:
        raise CalibrationError(f"{folder}: has {len(pictures) or 'no'} pictures; {least} are needed at least: {_HOW}")
    digest = hashlib.sha256()
    for path in pictures:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CalibrationError(f"{path}: cannot be read: {error.strerror}") from None
        if not cv2.haveImageReader(str(path)):
            raise CalibrationError(f"{path}: is not a picture that OpenCV can read; remove it from the folder")
        # of fixed length, so that it counts where one picture ends
        digest.update(hashlib.sha256(content).digest())
    return CalibrationSet(folder, pictures, digest.hexdigest())


def add_pictures(folder: Path, frames: Iterable[NDArray[np.uint8]]) -> int:
    """Writes frames [H, W, 3] BGR as numbered pictures beside those that are there; gives how many.

    Raises CalibrationError where they cannot be written.
    """
    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.stem) for path in _pictures(folder) if path.stem.isdecimal()), default=0)
        for written, frame in enumerate(frames, 1):
            picture = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
            unfinished = folder / f"{number + written:06}.part"
            unfinished.write_bytes(picture.tobytes())
            unfinished.replace(unfinished.with_suffix(".jpg"))
    except OSError as error:
        raise CalibrationError(f"{folder}: calibration pictures cannot be written: {error.strerror}") from None
    return written


def model_images(model: Model, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[Any]]:
    """What the detector's input `images` gets for each picture [H, W, 3] BGR, one at a time: [1, ...].

    The graph of the preprocess engine computes it, so a detector is calibrated on what it will see.
    """
    graph = preprocess_model(model.geometry, model.width, model.height, model.input_type, model.planar)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for picture in pictures:
        yield session.run(None, {FRAMES: picture[None]})[0]


def _pictures(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES))
