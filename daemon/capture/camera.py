"""One thread a camera: keeps its source open, hands its frames on and says how it stands."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from daemon.capture.buffers import Buffers, FrameMemory
from daemon.capture.frozen import FrozenPicture
from daemon.capture.rate_limit import Thinning
from daemon.capture.sources.base import Source, SourceError
from daemon.capture.sources.open import open_source
from daemon.capture.state_machine import Happening, Standing, after
from daemon.config.schema import Camera, Pace
from daemon.config.sources import is_live
from daemon.records import CameraStatus, Drop, Frame, Reason
from daemon.stats import CameraCount, Stats
from daemon.system.backoff import Backoff
from daemon.system.worker_thread import WorkerThread

_log = logging.getLogger("ospreyd.capture")
_MEMORY = FrameMemory()
_RECORDED_BYTES = 256 << 20  # for more buffers where no frame is dropped, so that one file can fill every batch
_STEADY = 5.0  # seconds of streaming after which the next loss is a new one, not one more of a series
_LATE = 1.0  # seconds behind a recording's clock from which on it is set anew instead of caught up with
_GAP = 10.0  # seconds between two frames of a recording that are believed
_GRACE = 0.5  # seconds by which a call may exceed its time-out before it is said to hang
_CLOSE_WITHIN = 5.0  # seconds


class CameraThread:
    """Captures from one camera until it is stopped, or until a recording that does not loop has ended."""

    def __init__(
        self,
        name: str,
        config: Camera,
        deliver: Callable[[Frame], None],
        report: Callable[[CameraStatus], None],
        stats: Stats,
        on_fatal: Callable[[BaseException], None],
        memory: FrameMemory = _MEMORY,
    ) -> None:
        """`deliver` takes each frame: a live one at once, another when there is room or it is time to stop.

        `report` takes each change of state, `on_fatal` the exception that ends the thread. All are called from the
        camera's thread, but for a disabled camera, which has none. Frames lie in `memory`.
        """
        self._name = name
        self._config = config
        self._deliver = deliver
        self._report = report
        self._stats = stats
        self._allocate = memory.allocate
        self._thinning = Thinning(config.fps)
        """replaced as a whole, also while the thread uses it"""
        self._recorded = not is_live(config.source)
        self._live = not (self._recorded and config.pace is Pace.AS_FAST_AS_POSSIBLE)
        self._buffers = Buffers(memory.frames, 0 if self._live else _RECORDED_BYTES)
        self._backoff = Backoff()
        self._frozen = None if config.frozen_after is None else FrozenPicture(config.frozen_after)
        self._status: CameraStatus | None = None
        self._standing: Standing | None = None
        self._changing = threading.Lock()
        """guards both, and the order in which changes are reported"""
        self._call: tuple[float, str] | None = None
        """the call that the thread is in: time.monotonic() by which it should be over, and what it means if not"""
        self._sequence = 0
        self._clock = math.inf
        """time.monotonic() at which a recording's first frame was due"""
        self._stopping = threading.Event()
        self._on_end: Callable[[CameraThread], None] = _nobody
        self._thread = WorkerThread(f"capture:{name}", self._run, on_fatal)

    @property
    def name(self) -> str:
        """The camera's."""
        return self._name

    @property
    def enabled(self) -> bool:
        """Whether it is to be opened at all."""
        return self._config.enabled

    def limit(self, fps: float | None) -> None:
        """From now on takes at most so many frames a second; None: all."""
        self._thinning = Thinning(fps)

    def start(self, on_end: Callable[[CameraThread], None] | None = None) -> None:
        """Starts capturing; a disabled camera only says that it is. The thread calls `on_end` as its last act."""
        if self._config.enabled:
            self._on_end = on_end or _nobody
            self._thread.start()
        else:
            self._change(Happening.SWITCHED_OFF)

    def wait_for_predecessor(self) -> None:
        """Reports that the camera is connecting, and from `check` on what it waits for if it is not started soon."""
        self._change(Happening.STARTED)
        self._enter(
            0.0,
            "the camera's last connection is not closed yet: a call hangs in the driver, the network or the file "
            "system; the camera is opened when it has ended",
        )

    def stop(self) -> None:
        """Asks the thread to end and returns at once; even one that hangs delivers and reports nothing afterwards."""
        self._stopping.set()
        self._buffers.close()

    def join(self, timeout: float) -> bool:
        """Whether the thread ended within `timeout` seconds; one that hangs in a driver may not, and is left behind."""
        return self._thread.join(timeout)

    def check(self, now: float) -> None:
        """Reports that the camera hangs, if a call should have been over by `now`; to be called from the hang monitor.

        The call cannot be interrupted, so the camera is tried again only when it has come back: a camera that hangs
        holds one thread, however long it does.
        """
        call = self._call
        if call is not None and now > call[0]:
            self._change(Happening.HANGS, SourceError(Reason.TIMEOUT, call[1]), call)

    def _run(self) -> None:
        self._leave()
        try:
            self._change(Happening.STARTED)
            while not self._stopping.is_set() and self._capture():
                self._stopping.wait(self._backoff.next())
        finally:
            self._on_end(self)

    def _capture(self) -> bool:
        """One connection, from opening to its end; whether another is to be tried."""
        try:
            source = open_source(self._config, self._enter)
        except SourceError as error:
            self._leave()
            self._change(Happening.NOT_OPENED, error)
            return True
        self._leave()
        self._stats.count(CameraCount.CONNECTIONS, self._name)
        began = time.monotonic()
        if self._frozen is not None:
            self._frozen.interrupt(began)
        try:
            self._stream(source)
        except SourceError as error:
            if time.monotonic() - began >= _STEADY:
                self._backoff.reset()
            again = self._config.loop or not self._recorded
            self._change(Happening.LOST if again else Happening.ENDED, error)
            return again
        finally:
            self._enter(
                _CLOSE_WITHIN, f"closing hangs for longer than {_CLOSE_WITHIN:g} s, in the driver or the network"
            )
            source.close()
            self._leave()
            self._buffers.drop_memory()
        return False

    def _enter(self, seconds: float, hangs: str) -> None:
        """A call begins that may hang; `hangs` says so if it is not over after `seconds`."""
        self._call = (time.monotonic() + seconds + _GRACE, hangs)

    def _leave(self) -> None:
        self._call = None

    def _stream(self, source: Source) -> None:
        """Hands frames on until it is time to stop. Raises SourceError when the source has no more."""
        silent = f"no frame for {self._config.stall_after:g} s"
        while not self._stopping.is_set():
            self._enter(self._config.stall_after, silent)
            try:
                source.grab()
            finally:
                self._leave()
            if not self._thinning.wants(time.monotonic() if source.due is None else source.due):
                continue
            if self._live and source.due is not None:
                self._wait_until_due(source.due)
            if self._stopping.is_set():
                return
            captured_at, captured_mono = time.time(), time.monotonic()
            self._sequence += 1
            self._stats.count(CameraCount.CAPTURED, self._name)
            buffer = self._buffers.take(wait=not self._live)
            if buffer is None:
                self._stats.dropped(self._name, Drop.NO_BUFFER)
                continue
            release = partial(self._buffers.give, buffer, buffer.ticket)
            try:
                image = buffer.fill(source, self._allocate)
                self._check_frozen(image, captured_mono)
            except SourceError:
                release()
                raise
            self._change(Happening.FRAME)
            self._deliver(
                Frame(
                    camera=self._name,
                    sequence=self._sequence,
                    image=image,
                    captured_at=captured_at,
                    captured_mono=captured_mono,
                    stream_time=source.stream_time,
                    live=self._live,
                    release=release,
                )
            )

    def _check_frozen(self, image: NDArray[np.uint8], now: float) -> None:
        """Raises SourceError where the picture no longer changes; a new connection is worth a try then."""
        if self._frozen is not None and self._frozen.look(image, now):
            raise SourceError(Reason.FROZEN, f"the picture has not changed for {self._config.frozen_after:g} s")

    def _wait_until_due(self, due: float) -> None:
        """Waits as long as a recording would take to show the frame that is `due` seconds after its first."""
        now = time.monotonic()
        wait = self._clock + due - now
        if not -_LATE <= wait <= _GAP:
            self._clock = now - due
        elif wait > 0:
            self._stopping.wait(wait)

    def _change(self, what: Happening, error: SourceError | None = None, call: tuple[float, str] | None = None) -> None:
        """Reports and logs where the camera stands after `what`, if that is not what was said last.

        `call` is the one that hangs: where the thread has left it by now, nothing has happened.
        """
        with self._changing:
            if self._stopping.is_set() or (call is not None and self._call is not call):
                return
            standing = after(self._standing, what, error.reason if error else None)
            if standing == self._standing:
                return
            last, self._standing = self._status, standing
            now = time.time()
            since = last.since if last is not None and last.state is standing.state else now
            detail = str(error) if error and standing.reason else ""
            self._status = CameraStatus(self._name, standing.state, standing.reason, detail, since, now)
            self._log(self._status)
            self._report(self._status)

    def _log(self, status: CameraStatus) -> None:
        level = logging.INFO if status.reason in (None, Reason.ENDED) else logging.WARNING
        explained = f" ({status.reason.value}): {status.detail}" if status.reason else ""
        _log.log(level, "camera %s: %s%s", self._name, status.state.value, explained)


def _nobody(_: CameraThread) -> None:
    """Who waits for the end of a thread that nobody waits for."""
