"""Live pictures of cameras in other processes: these write into the memory that comes with a wish."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from daemon.app.shard_messages import ForgetPictures, PictureFilled, WantPicture
from daemon.capture.picture_wishes import Filled, PictureWishes, Wish

_REMEMBERED = 1024  # wishes that may still be filled; one that was replaced never is


class RemoteWishes(PictureWishes):
    """Hands wishes on, with the descriptor of their memory."""

    def __init__(self) -> None:
        super().__init__()
        self._send: Callable[[str | None, object, Sequence[int]], None] = lambda *_: None
        self._remembering = threading.Lock()
        self._last = 0
        self._pending: OrderedDict[int, Callable[[Filled], None]] = OrderedDict()

    def connect(self, send: Callable[[str | None, object, Sequence[int]], None]) -> None:
        """`send` tells the process of a camera, or all (None), something, and takes descriptors over."""
        self._send = send

    def want(self, camera: str, wish: Wish) -> None:
        """See PictureWishes."""
        if wish.descriptor is None:
            raise ValueError("a picture of another process needs the descriptor of its memory")
        with self._remembering:
            self._last += 1
            self._pending[self._last] = wish.filled
            if len(self._pending) > _REMEMBERED:
                self._pending.popitem(last=False)
            message = WantPicture(self._last, camera, wish.width, wish.edited)
        self._send(camera, message, [os.dup(wish.descriptor.number)])

    def forget_all(self) -> None:
        """See PictureWishes."""
        self._send(None, ForgetPictures(), ())

    def filled(self, message: PictureFilled) -> None:
        """Tells who wished for it."""
        with self._remembering:
            told = self._pending.pop(message.number, None)
        if told is not None:
            told(message.filled)
