"""A process that looks at a daemon through its Unix socket, as the web page's does."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conftest import PATIENCE, wait_for


def memory(size: int, seal: int = fcntl.F_SEAL_SHRINK) -> int:
    """A memfd of so many bytes."""
    descriptor = os.memfd_create("picture", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seal)
    return descriptor


class Looker:
    """One connection; everything that came is kept."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(0.05)
        self._unread = b""
        self._ids = 0
        self.lines: list[dict[str, Any]] = []
        self.ended = False

    def close(self) -> None:
        self._socket.close()

    def say(self, *, fds: tuple[int, ...] = (), **message: Any) -> int:
        """Sends a line; its id."""
        self._ids += 1
        self.send(json.dumps({"id": self._ids, **message}).encode() + b"\n", fds)
        return self._ids

    def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        socket.send_fds(self._socket, [data], list(fds))

    def ask(self, **message: Any) -> dict[str, Any]:
        """The answer to a line."""
        number = self.say(**message)
        return self.wait(lambda one: one.get("id") == number, f"the answer to {message}")

    def picture(self, camera: str, width: int, edited: bool) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """What is sent of a picture, and the picture [H, W, 3]."""
        descriptor = memory(width * width * 6)
        try:
            told = self.ask(do="picture", camera=camera, width=width, edited=edited, shown=1, fds=(descriptor,))
            data = os.pread(descriptor, told["width"] * told["height"] * 3, 0)
        finally:
            os.close(descriptor)
        return told, np.frombuffer(data, np.uint8).reshape(told["height"], told["width"], 3)

    def wait(self, wanted: Any, what: str) -> dict[str, Any]:
        """The first line of which `wanted` is true."""
        wait_for(lambda: any(map(wanted, self.read())), what)
        return next(filter(wanted, self.lines))

    def read(self) -> list[dict[str, Any]]:
        """All lines until now."""
        try:
            data = self._socket.recv(1 << 16)
            self.ended = not data
        except TimeoutError:
            data = b""
        except ConnectionResetError:
            data, self.ended = b"", True
        *whole, self._unread = (self._unread + data).split(b"\n")
        self.lines += [json.loads(line) for line in whole]
        return self.lines

    def of(self, kind: str, **more: Any) -> list[dict[str, Any]]:
        """Lines of a kind that came so far."""
        return [one for one in self.read() if one["kind"] == kind and more.items() <= one.items()]


@contextmanager
def looking(device: str = "box") -> Iterator[Looker]:
    """A connection to the daemon of a device, which may still be starting."""
    path = Path(os.environ["RUNTIME_DIRECTORY"]) / f"{device}.sock"
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            looker = Looker(path)
            break
        except (FileNotFoundError, ConnectionRefusedError):
            assert time.monotonic() < deadline, f"nobody listens on {path}"
            time.sleep(0.02)
    try:
        yield looker
    finally:
        looker.close()
