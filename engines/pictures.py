"""Reading picture files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import ImageError


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture file as BGR [H, W, 3]; grey becomes BGR, 16 bits become 8, transparency is dropped.

    Raises ImageError where there is no such file or it is no picture that OpenCV can read.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such picture") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        # imdecode, unlike imread, keeps OpenCV's own warnings off the terminal
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        picture = None
    if picture is None:
        raise ImageError(f"{path}: is not a picture that OpenCV can read, or is damaged")
    return picture.astype(np.uint8, copy=False)
