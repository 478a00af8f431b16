"""Pictures of cameras as JPEG: asked for one at a time, packed once for everybody who waits for it."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import mmap
import os
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.web.answers import Refusal
from daemon.web.daemon_link import DaemonLink, Line

_log = logging.getLogger("ospreyd.web")
WITHIN = 3.0  # seconds in which a picture must come
_WIDEST = 1280  # pixels
_QUALITY = 70
_TALLEST = 2  # times as high as it is wide


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a camera."""

    jpeg: bytes
    sequence: int
    """of its frame"""
    captured_at: str
    width: int
    """pixels"""
    height: int
    """pixels"""

    def told(self) -> dict[str, object]:
        """What is sent beside it, fit for JSON."""
        return {name: getattr(self, name) for name in ("sequence", "captured_at", "width", "height")}


class LivePictures:
    """For one event loop."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link
        self._desks: dict[tuple[str, bool], _Desk] = {}

    async def next(self, camera: str, width: int, edited: bool) -> Picture:
        """The camera's next picture, at most so many pixels wide. Raises Refusal where none comes in time."""
        key = camera, edited
        if key not in self._desks:
            self._desks[key] = _Desk(self._link, camera, edited)
        return await self._desks[key].next(min(width, _WIDEST))


class _Desk:
    """The pictures of one camera, edited or not."""

    def __init__(self, link: DaemonLink, camera: str, edited: bool) -> None:
        self._link = link
        self._camera = camera
        self._edited = edited
        self._wanted: list[tuple[int, asyncio.Future[Picture]]] = []
        """widths, and who waits"""
        self._memory: _Memory | None = None
        self._working: asyncio.Task[None] | None = None
        self._shown = 0
        """how many got a picture since the daemon was last asked for one"""
        self._wrong = ""
        """what was logged last"""

    async def next(self, width: int) -> Picture:
        future: asyncio.Future[Picture] = asyncio.get_running_loop().create_future()
        self._wanted.append((width, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """While somebody waits."""
        while wanted := [one for one in self._wanted if not one[1].done()]:
            width = max(width for width, _ in wanted)
            try:
                await self._serve(width)
            except Refusal as refusal:
                self._give(width, refusal)
            except Exception as error:  # whoever waits must be told, else would wait for ever
                if str(error) != self._wrong:  # it is tried again many times a second
                    _log.exception("camera %s: no picture for the page", self._camera)
                self._wrong = str(error)
                self._give(width, Refusal(503, "no-picture", str(error)))

    async def _serve(self, width: int) -> None:
        """One picture for all who want it at most so wide. Raises Refusal, and others where a picture is not one."""
        self._memory = self._memory or _Memory(_WIDEST)
        told = await self._ask(width, self._memory.descriptor)
        pixels = self._memory.picture(told["width"], told["height"])
        for each in sorted({one for one, future in self._wanted if one <= width and not future.done()}):
            jpeg, size = await asyncio.to_thread(_packed, pixels, each)
            self._give(each, Picture(jpeg, told["sequence"], told["captured_at"], *size))

    async def _ask(self, width: int, memory: int) -> Line:
        """What the daemon says of a picture that it has written into memory."""
        shown, self._shown = self._shown, 0
        wanted = {"camera": self._camera, "width": width, "edited": self._edited, "shown": shown}
        return await self._link.picture(memory, WITHIN, **wanted)

    def _give(self, width: int, result: Picture | Refusal) -> None:
        """To all who want it at most so wide."""
        for one, future in self._wanted:
            if one > width or future.done():
                continue
            if isinstance(result, Refusal):
                future.set_exception(result)
            else:
                future.set_result(result)
                self._shown += 1
        self._wanted = [(one, future) for one, future in self._wanted if not future.done()]


class _Memory:
    """Shared with the daemon; only what is written takes room."""

    def __init__(self, widest: int) -> None:
        size = widest * widest * _TALLEST * 3
        self.descriptor = os.memfd_create("ospreyd-picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self._bytes = np.frombuffer(mmap.mmap(self.descriptor, size), np.uint8)

    def picture(self, width: int, height: int) -> NDArray[np.uint8]:
        """[height, width, 3] BGR."""
        return self._bytes[: width * height * 3].reshape(height, width, 3)


def _packed(pixels: NDArray[np.uint8], width: int) -> tuple[bytes, tuple[int, int]]:
    """JPEG of a BGR picture, reduced to a width, and its width and height."""
    height, present = pixels.shape[:2]
    if width < present:
        size = width, max(1, height * width // present)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    _, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return packed.tobytes(), (pixels.shape[1], pixels.shape[0])
