"""Tells systemd how the service stands: sd_notify(3), one datagram for each message."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Mapping

_PATIENCE = struct.pack("ll", 1, 0)  # struct timeval: seconds and microseconds for a manager that is behind


class Notifier:
    """Sends to the socket that systemd gave this process; does nothing where it gave none."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        # @ stands for the zero byte that begins the name of an abstract socket
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = _watchdog(environment) if address else None
        """seconds within which the watchdog must be fed; None: there is none"""
        self._stopping = False
        self._sending = threading.Lock()
        """guards it, and the order of messages"""

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
        """The service is on its way to its end; nothing is said after that, whatever a thread still finds."""
        self._send("STOPPING=1", last=True)

    def _send(self, message: str, *, last: bool = False) -> None:
        with self._sending:
            if not self._address or self._stopping:
                return
            self._stopping = last
            # A manager that is gone is no reason to stop: it will act upon what it misses.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # by the kernel: for Python's own timeout poll(2) calls a full queue of datagrams writable, and spins
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
                sender.sendto(message.encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # it is for another process, whose environment this one has inherited
    period = environment.get("WATCHDOG_USEC", "")
    return int(period) / 1e6 if period.isascii() and period.isdigit() and int(period) > 0 else None
