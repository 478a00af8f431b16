"""Calibration images for 8-bit precisions: reading and filling their folder, and preprocessing them."""

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
from engines.session_options import session_options
from engines.text import counted

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_QUALITY = 95
_HOW = "take images of your own scenes with ospreyd engine build --calibrate-from a folder, a video or a camera"


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Images of the scenes that a detector will process."""

    folder: Path
    files: tuple[Path, ...]
    """in name order"""
    digest: str
    """SHA-256 of the contents, in name order"""


def read_calibration_set(folder: Path, least: int = 32) -> CalibrationSet:
    """The images in a folder, at least `least`. Raises CalibrationError."""
    if not folder.is_dir():
        raise CalibrationError(f"{folder}: there is no such folder of calibration images; {_HOW}")
    files = _image_files(folder)
    if len(files) < least:
        images = counted(len(files), "image") if files else "no images"
        raise CalibrationError(f"{folder}: has {images}; at least {least} are needed: {_HOW}")
    digest = hashlib.sha256()
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CalibrationError(f"{path}: cannot be read: {error.strerror}") from None
        if not cv2.haveImageReader(str(path)):
            raise CalibrationError(f"{path}: is not an image that OpenCV can read; remove it from the folder")
        # digests have a fixed length, so the boundaries between images count
        digest.update(hashlib.sha256(content).digest())
    return CalibrationSet(folder, files, digest.hexdigest())


def add_images(folder: Path, frames: Iterable[NDArray[np.uint8]]) -> int:
    """Adds frames [H, W, 3] BGR to a folder as numbered images; returns how many.

    Raises CalibrationError if they cannot be written.
    """
    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.stem) for path in _image_files(folder) if path.stem.isdecimal()), default=0)
        for written, frame in enumerate(frames, 1):
            image = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
            unfinished = folder / f"{number + written:06}.part"
            unfinished.write_bytes(image.tobytes())
            unfinished.replace(unfinished.with_suffix(".jpg"))
    except OSError as error:
        raise CalibrationError(f"{folder}: calibration images cannot be written: {error.strerror}") from None
    return written


def model_inputs(model: Model, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[Any]]:
    """The detector's input [1, ...] for each image [H, W, 3] BGR, one at a time.

    Uses the graph of the preprocess engine, so that calibration sees the same input as inference.
    """
    graph = preprocess_model(model.geometry, model.width, model.height, model.input_type, model.planar)
    session = ort.InferenceSession(graph.SerializeToString(), session_options(), providers=["CPUExecutionProvider"])
    for image in images:
        yield session.run(None, {FRAMES: image[None]})[0]


def _image_files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES))
