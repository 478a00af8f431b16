"""Pictures as they come from a decoder: BGR in host memory, or NV12 in host memory or on a GPU."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""[H, W, 3] BGR"""
_ROWS = 128  # of pixels that are converted at once; even


class ColourMatrix(Enum):
    """How luma and chroma are made of red and blue: their weights in luma."""

    BT601 = (0.299, 0.114)
    BT709 = (0.2126, 0.0722)


@lru_cache(maxsize=4)
def bgr_of_yuv(matrix: ColourMatrix, full_range: bool) -> NDArray[np.float32]:
    """[3, 4]: what Y, U, V and 1, in values of 8 bits, add to B, G and R, 0 to 255 before they are clipped."""
    red, blue = matrix.value
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0) if full_range else (255 / 219, 255 / 224, 16)
    u_blue, v_red = 2 * (1 - blue), 2 * (1 - red)
    weights = np.array(
        [
            [luma, chroma * u_blue, 0],
            [luma, -chroma * u_blue * blue / green, -chroma * v_red * red / green],
            [luma, 0, chroma * v_red],
        ]
    )
    return np.column_stack([weights, -weights @ (black, 128, 128)]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class BgrPicture:
    """In host memory."""

    pixels: Image
    """contiguous"""

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])

    def host(self, into: Image | None = None) -> Image:  # noqa: ARG002
        """Its own pixels; `into` is not used."""
        return self.pixels

    def copied(self) -> BgrPicture:
        """The same, in memory of its own."""
        return BgrPicture(self.pixels.copy())

    def digest(self) -> int:
        """Another one for every other picture, but for a chance of one in four thousand millions."""
        return zlib.crc32(np.ascontiguousarray(self.pixels).data)


@dataclass(frozen=True, slots=True, eq=False)
class Nv12Picture:
    """Luma of every pixel, and chroma of every second one in both directions: U and V in turn.

    Of an odd size, the last column and row of chroma belong to one column and row of pixels.
    """

    width: int
    """pixels"""
    height: int
    """pixels"""
    luma: int
    """address of the plane [height, pitch]"""
    chroma: int
    """address of the plane [ceil(height / 2), pitch]"""
    pitch: int
    """bytes from one row to the next, of both planes"""
    matrix: ColourMatrix
    full_range: bool
    """False: luma 16 to 235, chroma 16 to 240"""
    gpu: int | None
    """index of the GPU that the addresses are of; None: host memory"""
    ready: int | None
    """handle of the CUDA event after which the planes are written; None: they are"""
    owner: object
    """keeps the planes' memory, and the event"""
    read: Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    """both planes in host memory, [height, pitch] and [ceil(height / 2), pitch]; those of a GPU are copied"""

    @classmethod
    def in_host_memory(
        cls,
        planes: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        width: int,
        matrix: ColourMatrix,
        full_range: bool,
        owner: object,
    ) -> Nv12Picture:
        """Of planes [height, pitch] and [ceil(height / 2), pitch] that `owner` keeps. Raises ValueError for others."""
        luma, chroma = planes
        height, pitch = luma.shape
        fits = chroma.shape == ((height + 1) // 2, pitch) and pitch >= width + width % 2
        if not fits or (luma.strides, chroma.strides) != ((pitch, 1), (pitch, 1)):
            raise ValueError(f"planes of {luma.shape} and {chroma.shape} are not NV12 of {width}x{height}")
        return cls(
            width=width,
            height=height,
            luma=luma.ctypes.data,
            chroma=chroma.ctypes.data,
            pitch=pitch,
            matrix=matrix,
            full_range=full_range,
            gpu=None,
            ready=None,
            owner=owner,
            read=lambda: planes,
        )

    def host(self, into: Image | None = None) -> Image:
        """Converted, in `into` if that has its shape, else newly allocated; each pixel has the chroma nearest to it."""
        luma, chroma = self.read()
        shape = self.height, self.width, 3
        out = into if into is not None and into.shape == shape else np.empty(shape, np.uint8)
        for top in range(0, self.height, _ROWS):
            rows = slice(top, min(top + _ROWS, self.height))
            self._convert(luma[rows], chroma[top // 2 : (rows.stop + 1) // 2], out[rows])
        return out

    def copied(self) -> Nv12Picture:
        """The same, in host memory of its own."""
        luma, chroma = self.read()
        planes = (luma, chroma) if self.gpu is not None else (luma.copy(), chroma.copy())
        return Nv12Picture.in_host_memory(planes, self.width, self.matrix, self.full_range, planes)

    def digest(self) -> int:
        """See BgrPicture.digest; of the luma."""
        return zlib.crc32(np.ascontiguousarray(self.read()[0][:, : self.width]).data)

    def _convert(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8], out: Image) -> None:
        """Rows of the picture, and the rows of chroma that belong to them, at most _ROWS."""
        rows, pairs = len(out), (self.width + 1) // 2
        near, u, v, yuv = _memory.of(self.width)
        near, u, v, yuv = near[: len(chroma) * 2], u[:rows], v[:rows], yuv[:rows]
        chroma = chroma[:, : pairs * 2].reshape(len(chroma), pairs, 2)
        cv2.resize(chroma, (near.shape[1], near.shape[0]), dst=near, interpolation=cv2.INTER_NEAREST)
        cv2.split(near[:rows, : self.width], [u, v])
        cv2.merge([luma[:, : self.width], u, v], dst=yuv)
        cv2.transform(yuv, bgr_of_yuv(self.matrix, self.full_range), dst=out)


class _Memory(threading.local):
    """What converting takes, kept by each thread: to allocate it each time takes longer than to convert."""

    def __init__(self) -> None:
        self._width = 0
        self._arrays: tuple[NDArray[np.uint8], ...] = ()

    def of(self, width: int) -> tuple[NDArray[np.uint8], ...]:
        """For _ROWS of a picture: chroma [_ROWS, even width, 2], U and V [_ROWS, width], YUV [_ROWS, width, 3]."""
        if width != self._width:
            shapes = [(width + width % 2, 2), (width,), (width,), (width, 3)]
            self._arrays = tuple(np.empty((_ROWS, *shape), np.uint8) for shape in shapes)
            self._width = width
        return self._arrays


_memory = _Memory()

Picture: TypeAlias = BgrPicture | Nv12Picture
"""what a frame shows; `host` gives it as BGR to whoever needs pixels, and costs a conversion unless it is BGR"""

Pixels: TypeAlias = Image | Nv12Picture
"""what a session takes: BGR, or NV12 as a decoder gives it"""
