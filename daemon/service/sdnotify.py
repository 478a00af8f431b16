"""Tells systemd how the service stands: sd_notify(3), one datagram for each message."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_PATIENCE = 1.0  # seconds for a manager that is behind


class Notifier:
    """Sends to the socket that systemd gave this process; does nothing where it gave none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        # @ stands for the zero byte that begins the name of an abstract socket
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = _watchdog(environment) if address else None
        """seconds within which the watchdog must be fed; None: there is none"""

    def ready(self) -> None:
        """The service has started, or has taken its new configuration."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def feed(self) -> None:
        """Frames move: the watchdog is content for another period."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A new configuration is being taken; `ready` ends it."""
        # systemd with Type=notify-reload takes only one that is stamped after its signal
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service is on its way to its end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that is gone is no reason to stop: it will act upon what it misses.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_PATIENCE)
            sender.sendto(message.encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # it is for another process, whose environment this one has inherited
    period = environment.get("WATCHDOG_USEC", "")
    return int(period) / 1e6 if period.isascii() and period.isdigit() and int(period) > 0 else None
