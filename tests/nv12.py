"""NV12 pictures as a decoder gives them, by NumPy alone: made of BGR, and as BGR again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.pictures import ColourMatrix, Nv12Picture

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8]]

# ITU-R BT.601 and BT.709: R', G' and B' in luma
_WEIGHTS = {ColourMatrix.BT601: (0.299, 0.587, 0.114), ColourMatrix.BT709: (0.2126, 0.7152, 0.0722)}


def planes_of(bgr: NDArray[np.uint8], matrix: ColourMatrix, full_range: bool, pitch: int | None = None) -> Planes:
    """Luma [H, pitch] and chroma [ceil(H / 2), pitch], chroma being the mean of its pixels; noise fills up the rows."""
    height, width = bgr.shape[:2]
    blue, green, red = (bgr[..., channel] / 255 for channel in range(3))
    r, g, b = _WEIGHTS[matrix]
    y = r * red + g * green + b * blue
    u, v = (blue - y) / (2 * (1 - b)), (red - y) / (2 * (1 - r))
    pitch = pitch or width + width % 2
    rng = np.random.default_rng(7)
    luma = rng.integers(0, 256, (height, pitch)).astype(np.uint8)
    chroma = rng.integers(0, 256, ((height + 1) // 2, pitch)).astype(np.uint8)
    luma[:, :width] = np.rint(255 * y if full_range else 16 + 219 * y)
    for place, plane in enumerate((u, v)):
        even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
        mean = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3))
        scaled = 128 + (255 if full_range else 224) * mean
        chroma[:, place : even.shape[1] : 2] = np.clip(np.rint(scaled), 0, 255)
    return luma, chroma


def bgr_of(planes: Planes, width: int, matrix: ColourMatrix, full_range: bool) -> NDArray[np.float64]:
    """BGR [H, W, 3], 0 to 255, each pixel with the chroma of its square of four."""
    luma, chroma = planes
    rows, columns = np.arange(len(luma))[:, None], np.arange(width)[None]
    u, v = (chroma[rows // 2, columns // 2 * 2 + place] - 128.0 for place in (0, 1))
    y = luma[:, :width] / 255 if full_range else (luma[:, :width] - 16.0) / 219
    u, v = (plane / (255 if full_range else 224) for plane in (u, v))
    r, g, b = _WEIGHTS[matrix]
    red, blue = y + 2 * (1 - r) * v, y + 2 * (1 - b) * u
    green = (y - r * red - b * blue) / g
    return np.clip(np.stack([blue, green, red], axis=-1), 0, 1) * 255


def nv12(
    bgr: NDArray[np.uint8],
    matrix: ColourMatrix = ColourMatrix.BT709,
    full_range: bool = False,
    pitch: int | None = None,
) -> Nv12Picture:
    """The picture of a decoder that shows `bgr`."""
    planes = planes_of(bgr, matrix, full_range, pitch)
    return Nv12Picture.in_host_memory(planes, bgr.shape[1], matrix, full_range, planes)
