"""Six cameras, five of whose servers are killed, stopped, reset, silenced, slowed, corrupted and replaced at random.

`python -m tests.benchmarks.chaos --seconds 180 [--seed N]` prints its seed, what it did, what the cameras said and
what is wrong with that, and exits with 1 if anything is.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor
from daemon.config.camera import Camera
from daemon.records import CameraState, CameraStatus, Frame, Reason
from daemon.stats import Stats
from tests.benchmarks.reconnects import Held, held
from tests.conftest import ROOT
from tests.daemon.capturing import decoded_by
from tests.servers.proxy import Proxy
from tests.servers.rtsp import PROGRAM, PYTHON

FPS = 15
SIZES = ("320x240", "400x304")
LIMITS = {"stall_after": (STALL_AFTER := 2.0), "open_timeout": (OPEN_TIMEOUT := 3.0)}  # seconds
NOTICED_WITHIN = STALL_AFTER + 2.0  # seconds, of a stream that is gone
BACK_WITHIN = 30.0 + OPEN_TIMEOUT + 3.0  # seconds: the ceiling of the waits, and one attempt with its diagnosis
MAY_LOSE = 0.01  # of the untouched camera's frames
MAY_GROW = 1.05  # of memory
AWAY: set[CameraState | None] = {CameraState.CONNECTING, CameraState.STALLED, CameraState.OFFLINE}
FOLLOWS: dict[CameraState, set[CameraState | None]] = {
    CameraState.CONNECTING: AWAY | {None, CameraState.STREAMING},
    CameraState.STREAMING: AWAY,
    CameraState.STALLED: AWAY | {CameraState.STREAMING},
    CameraState.OFFLINE: AWAY,
}
"""What a live camera's state can have been before each, None: nothing; the same again is for another reason"""
SILENT = {"stop": {Reason.TIMEOUT}, "silence": {Reason.TIMEOUT}}
"""Reasons that fit what is done to a camera that streams; other deeds may be told in several ways, but have one"""


class Server:
    """A camera's server, a process, and the network before it."""

    def __init__(self, kind: str, rng: random.Random, *, fault_injected: bool) -> None:
        """A fault-injected one runs as SCHED_IDLE: its restarts would otherwise take a core for a second each time."""
        self._command = ["chrt", "--idle", "0"] if fault_injected else []
        self._command += {
            "mjpeg": [sys.executable, "-m", "tests.servers.mjpeg_program"],
            "rtsp-tcp": [PYTHON, str(PROGRAM), "--transport=tcp"],
            "rtsp-udp": [PYTHON, str(PROGRAM), "--transport=udp"],
        }[kind]
        self.port = 0
        self.start(SIZES[0])
        self.proxy = Proxy(self.port, rng)
        scheme = "http" if kind == "mjpeg" else "rtsp"
        self.url = f"{scheme}://127.0.0.1:{self.proxy.port}/stream"

    def start(self, size: str) -> None:
        """Runs it, on the same port each time, and waits until it is ready."""
        command = [*self._command, f"--port={self.port}", f"--size={size}", f"--fps={FPS}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
        ready = self.process.stdout.readline() if self.process.stdout else ""
        if not ready:
            raise RuntimeError(f"{command} did not start")
        self.port = int(ready)

    def kill(self) -> None:
        """Ends it without a word."""
        self.process.kill()
        self.process.communicate()

    def close(self) -> None:
        """Ends it and its network."""
        self.proxy.close()
        self.kill()


@dataclass
class Watched:
    """A camera and all that is known of it."""

    name: str
    server: Server
    statuses: list[tuple[float, CameraStatus]] = field(default_factory=list)
    """with time.monotonic() of each"""
    frames: list[tuple[float, float | None]] = field(default_factory=list)
    """time of capture and the stream's own, seconds"""
    sizes: set[tuple[int, int]] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def report(self, status: CameraStatus) -> None:
        """Takes a status; two that say the same are wrong."""
        last = self.statuses[-1][1] if self.statuses else None
        if last is not None and (last.state, last.reason) == (status.state, status.reason):
            self.wrong.append(f"{self.name}: {status.state.value} was said twice")
        self.statuses.append((time.monotonic(), status))

    def deliver(self, frame: Frame) -> None:
        """Takes a frame; one of a camera that is not streaming is wrong."""
        if self.state is not CameraState.STREAMING:
            self.wrong.append(f"{self.name}: a frame while {self.state}")
        if self.frames and frame.captured_mono <= self.frames[-1][0]:
            self.wrong.append(f"{self.name}: an older frame after a newer one")
        self.frames.append((frame.captured_mono, frame.stream_time))
        self.sizes.add((frame.image.height, frame.image.width))
        frame.release()

    @property
    def state(self) -> CameraState | None:
        """What was said last."""
        return self.statuses[-1][1].state if self.statuses else None

    def streams_since(self, moment: float) -> bool:
        """Whether it streams, and a frame came after `moment`."""
        return self.state is CameraState.STREAMING and bool(self.frames) and self.frames[-1][0] > moment


def inject_faults(camera: Watched, rng: random.Random, until: float, say: Callable[[str], None]) -> None:
    """Does one bad thing after another to the camera's server, until it is time to end; then all is well again."""
    server, proxy = camera.server, camera.server.proxy
    while (pause := rng.uniform(1.0, 6.0)) and time.monotonic() + pause < until:
        time.sleep(pause)
        what, lasts = rng.choice(("kill", "stop", "reset", "silence", "slow", "corrupt", "resize")), rng.uniform(1, 7)
        began, streamed = time.monotonic(), camera.streams_since(time.monotonic() - 0.5)
        say(f"{camera.name}: {what} for {lasts:.1f} s")
        if what == "kill":
            server.kill()
            time.sleep(lasts)
            server.start(SIZES[0])
        elif what == "resize":
            server.kill()
            server.start(rng.choice(SIZES))
        elif what == "stop":
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(lasts)
            server.process.send_signal(signal.SIGCONT)
        elif what == "reset":
            proxy.reset()
        else:
            attribute = {"silence": "silent"}.get(what, what)
            setattr(proxy, attribute, True)
            time.sleep(lasts)
            setattr(proxy, attribute, False)
        surely = what in ("kill", "stop", "silence") and lasts > NOTICED_WITHIN
        said = [status for at, status in camera.statuses if began <= at <= began + NOTICED_WITHIN]
        told = [status for status in said if status.state is not CameraState.STREAMING]
        if streamed and surely and not told:
            camera.wrong.append(f"{camera.name}: {what} for {lasts:.1f} s was not noticed: {camera.statuses[-3:]}")
        if streamed and surely and told and told[0].reason not in SILENT.get(what, set(Reason)):
            camera.wrong.append(f"{camera.name}: {what} for {lasts:.1f} s was told as {told[0]}")


def inject_all(cameras: Sequence[Watched], seed: int, until: float, say: Callable[[str], None]) -> None:
    """Faults of all these cameras at the same time, in the order that the seed gives each."""
    threads = [
        threading.Thread(
            target=inject_faults, args=(camera, random.Random(f"{seed} {camera.name}"), until, say), name="faults"
        )
        for camera in cameras
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def untrue(camera: Watched) -> list[str]:
    """What cannot have happened in the order in which it was told."""
    wrong: list[str] = []
    last: CameraStatus | None = None
    for _, status in camera.statuses:
        before = last.state if last else None
        if before not in FOLLOWS[status.state] or (last is not None and status.since < last.since):
            wrong.append(f"{camera.name}: {status} after {last}")
        last = status
    return wrong


def lateness(camera: Watched, since: float, until: float) -> float:
    """99th percentile of how much later than the earliest, by the stream's clock, frames were captured, seconds."""
    ages = [at - stream for at, stream in camera.frames if since <= at < until and stream is not None]
    return float(np.percentile(np.asarray(ages) - min(ages), 99))


def lost(camera: Watched) -> float:
    """Share of the frames of one connection that did not come, by the stream's clock."""
    times = [stream for _, stream in camera.frames if stream is not None]
    expected = (times[-1] - times[0]) * FPS + 1
    return 1 - len(times) / expected


def run(seed: int, seconds: float, quiet: float, say: Callable[[str], None]) -> dict[str, object]:
    """What came of it; `wrong` is empty where all is as it should be."""
    kinds = ("rtsp-tcp", "rtsp-tcp", "rtsp-tcp", "rtsp-udp", "mjpeg", "mjpeg")  # the first one is left alone
    failures: list[BaseException] = []
    cameras = [
        Watched(f"{kind}-{number}", Server(kind, random.Random(f"{seed} network {number}"), fault_injected=number > 0))
        for number, kind in enumerate(kinds)
    ]
    monitor, threads = HangMonitor(failures.append), []
    for camera in cameras:
        way = {"transport": "udp" if "udp" in camera.name else "tcp"}
        config = Camera.model_validate({"source": camera.server.url, **way, **LIMITS})
        reports = camera.deliver, camera.report, Stats(), failures.append
        threads.append(CameraThread(camera.name, config, *reports))
        monitor.add(threads[-1])
        threads[-1].start()
    monitor.start()
    try:
        _wait(lambda: all(camera.streams_since(0) for camera in cameras), 30.0)
        began = time.monotonic()
        time.sleep(quiet)
        before, chaos = held(), time.monotonic()
        inject_all(cameras[1:], seed, chaos + seconds, say)
        over = time.monotonic()
        _wait(lambda: all(camera.streams_since(over) for camera in cameras), BACK_WITHIN)
        back = time.monotonic() - over
        away = [camera.name for camera in cameras if not camera.streams_since(over)]
        time.sleep(1.0)  # what the last connections left behind is cleared away
        then = held()
        wrong = [text for camera in cameras for text in [*camera.wrong, *untrue(camera)]]
        wrong += [f"{name}: not back after {back:.0f} s" for name in away] + [f"failed: {error}" for error in failures]
        wrong += _grown(before, then)
        untouched = cameras[0]
        share, calm, stormy = lost(untouched), lateness(untouched, began, chaos), lateness(untouched, chaos, over)
        if len(untouched.statuses) > 2 or share > MAY_LOSE:
            wrong.append(f"the untouched camera lost {share:.1%} of its frames: {untouched.statuses}")
        if stormy > 2 * max(calm, 1 / FPS):
            wrong.append(f"the untouched camera's p99 lateness was {stormy * 1000:.0f} ms instead of {calm * 1000:.0f}")
        return {
            "seed": seed,
            "seconds": round(over - chaos, 1),
            "back_after_s": round(back, 1),
            "statuses": {camera.name: len(camera.statuses) for camera in cameras},
            "frames": {camera.name: len(camera.frames) for camera in cameras},
            "untouched_lost": round(share, 4),
            "untouched_p99_ms": {"quiet": round(calm * 1000, 1), "chaos": round(stormy * 1000, 1)},
            "held": {"before": str(before), "after": str(then)},
            "wrong": wrong,
        }
    finally:
        monitor.stop()
        for capture in threads:
            capture.stop()
        stopped = [capture.join(5.0) for capture in threads]
        for camera in cameras:
            camera.server.close()
        if not all(stopped):
            raise RuntimeError("a camera did not stop within 5 s")


def _grown(before: Held, then: Held) -> list[str]:
    wrong = []
    if then.memory > before.memory * MAY_GROW:
        wrong.append(f"memory grew from {before.memory:.0f} to {then.memory:.0f} MB")
    if then.threads > before.threads or then.descriptors > before.descriptors:
        wrong.append(f"threads or descriptors were left behind: {before}, {then}")
    return wrong


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    """Until the condition is true, or the time is over: what is wrong then is said later."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def main() -> None:
    """Prints what is done as it is done, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--quiet", type=float, default=20.0, help="seconds before that, to compare with")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--decoder", choices=("opencv", "pyav", "both"), default="opencv")
    options = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:6.1f} {text}\n")

    say(f"seed {options.seed}")
    with decoded_by(options.decoder):
        result = run(options.seed, options.seconds, options.quiet, say)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    sys.exit(bool(result["wrong"]))


if __name__ == "__main__":
    main()
