"""systemd's end of the notification socket."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from tests.conftest import wait_for

WATCHDOG = 2.0
"""seconds within which the daemon has to feed it"""


class Manager:
    """Receives what a daemon sends to NOTIFY_SOCKET, and when."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._heard: list[tuple[float, str]] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while message := self._socket.recv(4096).decode():
            self._heard.append((time.monotonic(), message))

    @property
    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}

    def said(self, after: float = 0.0) -> list[str]:
        return [message for at, message in list(self._heard) if at > after]

    def wait_for(self, what: str) -> None:
        wait_for(lambda: any(what in message for message in self.said()), f"{what} in {self.said()}", 60)

    def is_fed_for(self, seconds: float) -> bool:
        """Whether the watchdog would have been content for all of the next `seconds`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if "WATCHDOG=1" not in self.said(time.monotonic() - WATCHDOG):
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._socket.close()
