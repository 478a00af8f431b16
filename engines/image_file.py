"""Reads image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import ImageError


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as BGR [H, W, 3]; grey is converted to BGR, 16 bits to 8, and alpha is dropped.

    Raises ImageError if there is no such file or OpenCV cannot read it.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such image file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        # imdecode, unlike imread, keeps OpenCV's own warnings off the terminal
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path}: is not an image that OpenCV can read, or is damaged")
    return image.astype(np.uint8, copy=False)
