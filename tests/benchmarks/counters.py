"""A running daemon's counters, from its metrics page."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tests.servers.mosquitto import HOST

_LOOK_EVERY = 0.5  # seconds
_TELL_EVERY = 5.0  # seconds
_CAMERAS = re.compile(r'^ospreyd_frames_(captured|processed|published)_total\{camera="([^"]+)"\} (\S+)', re.MULTILINE)
_DROPPED = re.compile(r'^ospreyd_frames_dropped_total\{camera="[^"]+",reason="([^"]+)"\} (\S+)', re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """Frames since the daemon started."""

    at: float
    """time.monotonic()"""
    cameras: Mapping[str, Mapping[str, int]]
    """by captured, processed or published, and by camera"""
    dropped: Counter[str]
    """by reason"""

    def __getitem__(self, what: str) -> Mapping[str, int]:
        return self.cameras.get(what, {})


class Counters:
    """Of a daemon as a child process."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        """`port` of its metrics page."""
        self._url = f"http://{HOST}:{port}/metrics"
        self._process = process

    def read(self) -> Counts:
        """Now. Raises OSError where it does not answer."""
        with urllib.request.urlopen(self._url, timeout=30) as answer:  # noqa: S310  its own URL
            text = answer.read().decode()
        cameras: dict[str, dict[str, int]] = {}
        for what, camera, count in _CAMERAS.findall(text):
            cameras.setdefault(what, {})[camera] = int(float(count))
        dropped: Counter[str] = Counter()
        for reason, count in _DROPPED.findall(text):
            dropped[reason] += int(float(count))
        return Counts(time.monotonic(), cameras, dropped)

    def wait(self, seconds: float) -> None:
        """Returns after so many seconds; fails at once where the daemon ends."""
        self._wait(lambda: False, seconds)

    def wait_for_all(self, names: Collection[str], seconds: float) -> list[str]:
        """Until a frame of each camera has been published, or so many seconds have passed; the cameras without one.

        Says on stderr how it goes.
        """
        before, told = self._published_or_nothing(), time.monotonic()
        silent = list(names)

        def have_come() -> bool:
            nonlocal silent, told
            now = self._published_or_nothing()
            silent = [name for name in names if now.get(name, 0) <= before.get(name, 0)]
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                came = f"{len(names) - len(silent)} of {len(names)} cameras, {sum(now.values())} frames"
                print(f"published so far: {came}", file=sys.stderr, flush=True)
            return not silent

        self._wait(have_come, seconds)
        return silent

    def _published_or_nothing(self) -> Mapping[str, int]:
        """What is published; nothing while it starts."""
        try:
            return self.read()["published"]
        except (urllib.error.URLError, TimeoutError):
            return {}

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the daemon has ended with {self._process.returncode}")
            if condition():
                return True
            time.sleep(max(0.0, min(_LOOK_EVERY, end - time.monotonic())))
        return False
