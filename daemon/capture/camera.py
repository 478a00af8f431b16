"""One thread a camera: keeps its source open, delivers its frames and reports its state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from daemon.capture.buffers import Buffers, FrameMemory
from daemon.capture.camera_log import as_source_error, log_status
from daemon.capture.frozen import FrozenPicture
from daemon.capture.rate_limit import RateLimiter
from daemon.capture.recording_clock import RecordingClock
from daemon.capture.sources.base import Received, Source, SourceError
from daemon.capture.sources.decoder import decided
from daemon.capture.sources.open import open_source
from daemon.capture.state_machine import CameraCondition, CameraTrigger, next_state
from daemon.config.camera import Camera, Pace
from daemon.config.sources import is_live
from daemon.records import CameraStatus, Drop, Frame, Reason
from daemon.stats import CameraCount, Stats
from daemon.system.backoff import Backoff
from daemon.system.worker_thread import WorkerThread
from engines.pictures import Picture

_MEMORY = FrameMemory()
_RECORDED_BYTES = 256 << 20  # of buffers where no frame is dropped, so that one file can fill every batch
_STEADY = 5.0  # seconds of streaming after which the next loss is a new one, not one more of a series
_GRACE = 0.5  # seconds by which a call may exceed its time-out before it is reported as hanging
_LOOK_EVERY = 1.0  # seconds between two looks for more of a source that may go on after its end
_CLOSE_WITHIN = 5.0  # seconds
_Call: TypeAlias = tuple[float, str]


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
        """`deliver` takes each frame: a live one at once, another when there is room or the camera is stopped.

        `report` takes each change of state, `on_fatal` the exception that ends the thread. All are called in the
        camera's thread; a disabled camera, which has none, reports in the thread that starts it. Frames lie in
        `memory`.
        """
        self._name = name
        self._config = config = decided(config, memory.gpu)
        self._deliver = deliver
        self._report = report
        self._stats = stats
        self._memory = memory
        self._rate_limiter = RateLimiter(config.fps)
        """replaced as a whole, also while the thread uses it"""
        self._recorded = not is_live(config.source)
        self._live = not (self._recorded and config.pace is Pace.AS_FAST_AS_POSSIBLE)
        self._buffers = Buffers(memory.frames, 0 if self._live else _RECORDED_BYTES)
        self._backoff = Backoff()
        self._frozen = None if config.frozen_after is None else FrozenPicture(config.frozen_after)
        self._status: CameraStatus | None = None
        self._condition: CameraCondition | None = None
        self._changing = threading.Lock()
        """guards both, and the order in which changes are reported"""
        self._call: _Call | None = None
        """what the thread is in and may hang: its deadline by time.monotonic(), and what to report after it"""
        self._sequence = 0
        self._earlier_passes = 0
        """through the recording, in earlier connections"""
        self._clock = RecordingClock()
        self._received: Received | None = None
        self._stopping = threading.Event()
        self._on_end: Callable[[CameraThread], None] = lambda _: None
        self._thread = WorkerThread(f"capture:{name}", self._run, on_fatal)

    @property
    def name(self) -> str:
        """The camera's."""
        return self._name

    @property
    def enabled(self) -> bool:
        """False: the camera is not opened and has no thread."""
        return self._config.enabled

    def on_received(self, received: Received) -> None:
        """Before the start: who sees each picture before it is edited, in the camera's thread."""
        self._received = received

    def limit(self, fps: float | None) -> None:
        """Sets the most frames a second to capture; None: all."""
        self._rate_limiter = RateLimiter(fps)

    def start(self, on_end: Callable[[CameraThread], None] = lambda _: None) -> None:
        """Starts capturing; a disabled camera only reports that it is. `on_end` is called last in the thread.

        Raises TooFewThreadsError; it may be called again then.
        """
        if self._config.enabled:
            self._on_end = on_end
            self._thread.start()
        else:
            self._change(CameraTrigger.DISABLED)

    def wait_for_predecessor(self) -> None:
        """Reports that the camera is connecting, and later, by `check`, why it has not been started."""
        self._change(CameraTrigger.STARTED)
        hangs = "a call hangs in the driver, the network or the file system; the camera is opened when the call returns"
        self._enter(0.0, f"the camera's last connection is not closed yet: {hangs}")

    def refuse(self, why: SourceError) -> None:
        """Reports why the camera has no thread yet; it may be started later."""
        self._change(CameraTrigger.OPEN_FAILED, why)

    def stop(self) -> None:
        """Asks the thread to end; returns at once. Even one that hangs delivers and reports nothing afterwards."""
        self._stopping.set()
        self._buffers.close()

    def join(self, timeout: float) -> bool:
        """Whether the thread ended within `timeout` seconds; one that hangs in a driver may not, and is left behind."""
        return self._thread.join(timeout)

    def check(self, now: float) -> None:
        """Reports that the camera hangs if a call has exceeded its deadline by `now`; for the hang monitor.

        The call cannot be interrupted, so the camera is tried again only when the call returns: a camera that hangs
        holds one thread, however long.
        """
        call = self._call
        if call is not None and now > call[0]:
            self._change(CameraTrigger.CALL_HANGS, SourceError(Reason.TIMEOUT, call[1]), call)

    def _run(self) -> None:
        self._leave()
        try:
            self._change(CameraTrigger.STARTED)
            while not self._stopping.is_set() and self._capture():
                self._stopping.wait(self._backoff.next())
        finally:
            self._on_end(self)

    def _capture(self) -> bool:
        """One connection, from opening to its end. Returns whether to try another."""
        try:
            source = open_source(self._config, self._enter, self._received)
        except Exception as error:
            self._leave()
            self._change(CameraTrigger.OPEN_FAILED, as_source_error(self._name, error))
            return True
        self._leave()
        self._stats.count(CameraCount.CONNECTIONS, self._name)
        began = time.monotonic()
        if self._frozen is not None:
            self._frozen.interrupt(began)
        try:
            self._stream_while_it_grows(source)
        except SourceError as error:
            if time.monotonic() - began >= _STEADY:
                self._backoff.reset()
            again = self._config.loop or not self._recorded
            self._change(CameraTrigger.LOST if again else CameraTrigger.ENDED, error)
            return again
        finally:
            hangs = f"closing hangs for longer than {_CLOSE_WITHIN:g} s, in the driver or the network"
            self._enter(_CLOSE_WITHIN, hangs)
            try:
                source.close()
            except Exception as error:
                as_source_error(self._name, error)  # which logs it; the connection is over anyway
            self._leave()
            self._buffers.drop_memory()
            self._earlier_passes += source.passes + 1
        return False

    def _stream_while_it_grows(self, source: Source) -> None:
        """As `_stream`, of a source that may go on after its end."""
        while True:
            try:
                return self._stream(source)
            except SourceError as error:
                if error.reason is not Reason.ENDED or not source.grows:
                    raise
                self._change(CameraTrigger.ENDED, error)
            self._buffers.drop_memory()
            if self._stopping.wait(_LOOK_EVERY):
                return None

    def _enter(self, seconds: float, hangs: str) -> None:
        """A call begins that may hang; if it takes longer than `seconds`, the camera reports `hangs`."""
        self._call = (time.monotonic() + seconds + _GRACE, hangs)

    def _leave(self) -> None:
        self._call = None

    def _stream(self, source: Source) -> None:
        """Delivers frames until the camera is stopped. Raises SourceError when the source has no more."""
        while not self._stopping.is_set():
            try:
                frame = self._next_frame(source)
            except Exception as error:
                raise as_source_error(self._name, error) from error
            if frame is not None:
                self._change(CameraTrigger.FRAME, note=source.fallback or "")
                self._deliver(frame)

    def _next_frame(self, source: Source) -> Frame | None:
        """Waits for a frame. Returns None if it is not to be delivered; raises whatever the source raises."""
        if source.next_at is not None and self._stopping.wait(max(0.0, source.next_at - time.monotonic())):
            return None
        silent = f"no frame for {self._config.stall_after:g} s"
        if (drop := self._grab(source, silent)) is not None:
            self._count_captured()
            self._stats.dropped(self._name, drop)
            return None
        if not self._rate_limiter.admits(time.monotonic() if source.due is None else source.due):
            return None
        if self._live and source.due is not None:
            self._clock.wait(source.due, self._stopping)
        if self._stopping.is_set():
            return None
        captured_at, captured_mono = time.time(), time.monotonic()
        self._count_captured()
        buffer = self._buffers.take(wait=not self._live)
        if buffer is None:
            self._stats.dropped(self._name, Drop.NO_BUFFER)
            return None
        release = partial(self._buffers.give, buffer, buffer.ticket)
        self._enter(self._config.stall_after, silent)
        try:
            image = buffer.fill(source, self._memory)
            self._check_frozen(image, captured_mono)
            return Frame(
                camera=self._name,
                sequence=self._sequence,
                image=image,
                captured_at=captured_at,
                captured_mono=captured_mono,
                stream_time=source.stream_time,
                live=self._live,
                release=release,
                picture=source.picture,
                passes=self._earlier_passes + source.passes if self._recorded else None,
            )
        except BaseException:
            release()
            raise
        finally:
            self._leave()

    def _grab(self, source: Source, silent: str) -> Drop | None:
        """As Source.grab."""
        self._enter(self._config.stall_after, silent)
        try:
            drop = source.grab()
        finally:
            self._leave()
        old = self._frozen is not None and self._frozen.passes_over(time.monotonic())
        return drop or (Drop.HELD_BACK if old else None)

    def _count_captured(self) -> None:
        self._sequence += 1
        self._stats.count(CameraCount.CAPTURED, self._name)

    def _check_frozen(self, image: Picture, now: float) -> None:
        """Raises SourceError if the picture no longer changes; a new connection may help."""
        if self._frozen is not None and self._frozen.check(image, now):
            raise SourceError(Reason.FROZEN, f"the picture has not changed for {self._config.frozen_after:g} s")

    def _change(
        self, trigger: CameraTrigger, error: SourceError | None = None, call: _Call | None = None, note: str = ""
    ) -> None:
        """Reports and logs the camera's condition after `trigger`, if it differs from the last one.

        `call` is the one that hangs: if it has returned meanwhile, nothing is reported. `note` is the detail of a state
        without a reason.
        """
        with self._changing:
            if self._stopping.is_set() or (call is not None and self._call is not call):
                return
            condition = next_state(self._condition, trigger, error.reason if error else None)
            if condition == self._condition:
                return
            last, self._condition = self._status, condition
            lasting = last is not None and last.state is condition.state
            now = time.monotonic()
            since = last.since if last is not None and lasting else now
            detail = str(error) if error and condition.reason else note
            self._status = CameraStatus(self._name, condition.state, condition.reason, detail, since, time.time(), now)
            log_status(self._status)
            self._report(self._status)
