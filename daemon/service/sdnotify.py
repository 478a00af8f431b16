"""sd_notify(3): readiness, status and watchdog messages for systemd, one datagram each."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Mapping

_PATIENCE = struct.pack("ll", 1, 0)  # struct timeval: how long to wait for a busy manager


class Notifier:
    """Sends to NOTIFY_SOCKET; does nothing if it is not set."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        # @ stands for the zero byte that begins the name of an abstract socket
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = _watchdog(environment) if address else None
        """watchdog period, seconds; None without a watchdog"""
        self._stopping = False
        self._sending = threading.Lock()
        """guards it, and the order of messages"""

    def ready(self) -> None:
        """The service has started, or has applied its new configuration."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """The status line of `systemctl status`."""
        self._send(f"STATUS={text}")

    def feed(self) -> None:
        """Feeds the watchdog for another period."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        # Type=notify-reload ignores a time stamp from before its signal
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service is stopping; later messages of other threads are not sent."""
        self._send("STOPPING=1", last=True)

    def _send(self, message: str, *, last: bool = False) -> None:
        with self._sending:
            if not self._address or self._stopping:
                return
            self._stopping = last
            # Not an error of the service: systemd acts on what it misses.
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # the kernel's timeout: Python's own spins, because poll(2) reports a full datagram queue as writable
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
                sender.sendto(message.encode(), self._address)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # inherited from the environment of another process
    period = environment.get("WATCHDOG_USEC", "")
    return int(period) / 1e6 if period.isascii() and period.isdigit() and int(period) > 0 else None
