"""One thread a camera: keeps its source open, hands its frames on and says how it stands."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from functools import partial

from daemon.backoff import Backoff
from daemon.capture.buffers import Allocate, Buffers
from daemon.capture.diagnosis import SourceError
from daemon.capture.source import Source, open_source
from daemon.capture.thinning import Thinning
from daemon.config.schema import Camera, Pace
from daemon.config.sources import SourceKind, source_kind
from daemon.records import CameraState, CameraStatus, Drop, Frame, Reason
from daemon.stats import Stats

_log = logging.getLogger("ospreyd.capture")
_BUFFERS = 4  # one being filled, one waiting for its batch, one in each of two batches on their way
_RECORDED_BYTES = 256 << 20  # for more buffers where no frame is dropped, so that one file can fill every batch
_STEADY = 5.0  # seconds of streaming after which the next loss is a new one, not one more of a series
_LATE = 1.0  # seconds behind a recording's clock from which on it is set anew instead of caught up with
_GAP = 10.0  # seconds between two frames of a recording that are believed


class CameraThread:
    """Captures from one camera until it is stopped, or until a recording that does not loop has ended."""

    def __init__(
        self,
        name: str,
        config: Camera,
        deliver: Callable[[Frame], None],
        report: Callable[[CameraStatus], None],
        stats: Stats,
        fail: Callable[[BaseException], None],
        allocate: Allocate | None = None,
    ) -> None:
        """`deliver` takes each frame: a live one at once, another when there is room or it is time to stop.

        `report` takes each change of state, `fail` the exception that ends the thread. All are called from the
        camera's thread, but for a disabled camera, which has none. Frames lie in memory that `allocate` gives.
        """
        self._name = name
        self._config = config
        self._deliver = deliver
        self._report = report
        self._stats = stats
        self._fail = fail
        self._allocate = allocate
        self._recorded = source_kind(config.source) is SourceKind.PATH
        self._live = not (self._recorded and config.pace is Pace.AS_FAST_AS_POSSIBLE)
        self._buffers = Buffers(_BUFFERS, 0 if self._live else _RECORDED_BYTES)
        self._backoff = Backoff()
        self._status: CameraStatus | None = None
        self._sequence = 0
        self._clock = math.inf
        """time.monotonic() at which a recording's first frame was due"""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"capture:{name}", daemon=True)

    def start(self) -> None:
        """Starts capturing; a disabled camera only says that it is."""
        if self._config.enabled:
            self._thread.start()
        else:
            self._change(CameraState.DISABLED)

    def stop(self) -> None:
        """Asks the thread to end and returns at once."""
        self._stopping.set()
        self._buffers.close()

    def join(self, timeout: float) -> bool:
        """Whether the thread ended within `timeout` seconds; one that hangs in a driver may not, and is left behind."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._change(CameraState.CONNECTING)
            while not self._stopping.is_set() and self._capture():
                self._stopping.wait(self._backoff.next())
        except BaseException as error:
            self._fail(error)

    def _capture(self) -> bool:
        """One connection, from opening to its end; whether another is to be tried."""
        try:
            source = open_source(self._config)
        except SourceError as error:
            self._change(CameraState.OFFLINE, error)
            return True
        began = time.monotonic()
        try:
            self._stream(source)
        except SourceError as error:
            if time.monotonic() - began >= _STEADY:
                self._backoff.reset()
            return self._lost(error)
        finally:
            source.close()
            self._buffers.drop_memory()
        return False

    def _lost(self, error: SourceError) -> bool:
        """After a stream that had begun; whether to open it again."""
        if self._recorded and not self._config.loop:
            self._change(CameraState.OFFLINE, error)
            return False
        self._change(CameraState.STALLED if error.reason is Reason.TIMEOUT else CameraState.CONNECTING, error)
        return True

    def _stream(self, source: Source) -> None:
        """Hands frames on until it is time to stop. Raises SourceError when the source has no more."""
        thinning = Thinning(self._config.fps)
        while not self._stopping.is_set():
            source.grab()
            if not thinning.wants(time.monotonic() if source.due is None else source.due):
                continue
            if self._live and source.due is not None:
                self._wait_until_due(source.due)
            if self._stopping.is_set():
                return
            captured_at, captured_mono = time.time(), time.monotonic()
            self._change(CameraState.STREAMING)
            self._sequence += 1
            self._stats.captured(self._name)
            buffer = self._buffers.take(wait=not self._live)
            if buffer is None:
                self._stats.dropped(self._name, Drop.NO_BUFFER)
                continue
            release = partial(self._buffers.give, buffer, buffer.ticket)
            try:
                image = buffer.fill(source, self._allocate)
            except SourceError:
                release()
                raise
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

    def _wait_until_due(self, due: float) -> None:
        """Waits as long as a recording would take to show the frame that is `due` seconds after its first."""
        now = time.monotonic()
        wait = self._clock + due - now
        if not -_LATE <= wait <= _GAP:
            self._clock = now - due
        elif wait > 0:
            self._stopping.wait(wait)

    def _change(self, state: CameraState, error: SourceError | None = None) -> None:
        """Reports and logs the state, if it is not what was said last."""
        last, reason = self._status, error.reason if error else None
        if last is not None and (last.state, last.reason) == (state, reason):
            return
        since = last.since if last is not None and last.state is state else time.time()
        self._status = CameraStatus(self._name, state, reason, str(error) if error else "", since)
        level = logging.WARNING if error and reason is not Reason.ENDED else logging.INFO
        explained = f" ({reason.value}): {error}" if reason else ""
        _log.log(level, "camera %s: %s%s", self._name, state.value, explained)
        self._report(self._status)
