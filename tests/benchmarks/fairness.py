"""Shares of cameras of different rates on a model that is too slow for them, against the ideal of the batcher.

`python -m tests.benchmarks.fairness` runs the daemon's own frame queue and inference worker with one camera at 60
frames a second, four at 15 and four at 5, and exits with 1 if a camera is more than 10 % off its ideal share.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.worker import InferenceWorker, OpenModel
from daemon.records import CameraStats, Frame
from daemon.stats import Stats
from engines.pictures import BgrPicture, Pixels
from engines.records import BatchDetections, Detections, Handle

CAMERAS = {"fast": 60.0, **{f"usual-{n}": 15.0 for n in range(4)}, **{f"slow-{n}": 5.0 for n in range(4)}}
"""frames a second of each"""
_NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
_SETTLING = 1.0  # seconds until the shares are counted


def ideal_shares(rates: Mapping[str, float], capacity: float, priority: Mapping[str, float]) -> dict[str, float]:
    """Frames a second of each camera by weighted max-min fairness; `capacity` is what all get together."""
    shares: dict[str, float] = {}
    left, open_cameras = capacity, set(rates)
    while open_cameras:
        level = left / sum(priority[camera] for camera in open_cameras)
        content = {camera for camera in open_cameras if rates[camera] <= level * priority[camera]}
        if not content:
            return shares | {camera: level * priority[camera] for camera in open_cameras}
        shares |= {camera: rates[camera] for camera in content}
        left -= sum(rates[camera] for camera in content)
        open_cameras -= content
    return shares


@dataclass(frozen=True, slots=True)
class Share:
    """What one camera got."""

    offered: float
    """frames a second, that the camera has really given: fewer than its rate where the machine is busy"""
    got: float
    """frames a second"""
    ideal: float
    """frames a second"""
    dropped: Mapping[str, int]
    """frames, by reason"""

    @property
    def off(self) -> float:
        """How far from the ideal, as a part of it."""
        return self.got / self.ideal - 1


class SlowSession:
    """A model that takes so many seconds a batch and a picture, and sees nothing."""

    def __init__(self, max_batch: int, seconds_batch: float, seconds_picture: float, slots: int = 2) -> None:
        self.max_batch = max_batch
        self.slots = slots
        self._seconds = seconds_batch, seconds_picture
        self._pending: dict[Handle, tuple[int, float]] = {}
        """how many pictures, and when they will be done, monotonic seconds"""
        self._submitted = 0
        self._free = 0.0
        """when all that was submitted will be done, monotonic seconds"""

    def set_confidence(self, confidence: float) -> None:
        pass

    def submit(self, pictures: Sequence[Pixels]) -> Handle:
        each_batch, each_picture = self._seconds
        self._free = max(self._free, time.monotonic()) + each_batch + each_picture * len(pictures)
        handle = Handle(self._submitted)
        self._submitted += 1
        self._pending[handle] = len(pictures), self._free
        return handle

    def is_done(self, handle: Handle) -> bool:
        return time.monotonic() >= self._pending[handle][1]

    def collect(self, handle: Handle) -> BatchDetections:
        count, done = self._pending.pop(handle)
        time.sleep(max(0.0, done - time.monotonic()))
        return BatchDetections((_NOTHING,) * count, 0.0, 0.0, 0.0)

    def close(self) -> None:
        pass


def measure(
    session: SlowSession,
    seconds: float,
    rates: Mapping[str, float] = CAMERAS,
    priority: Mapping[str, float] | None = None,
) -> dict[str, Share]:
    """Shares over so many seconds, after the first have passed."""
    stats, failures = Stats(), list[BaseException]()
    frame_queue = FrameQueue(Batcher(dict.fromkeys(rates, "m"), 0.01, 1.0, priority), stats)
    inference = InferenceWorker("cpu:0", frame_queue, lambda _, __: None, stats, failures.append)
    inference.use(OpenModel("m", (), session, lambda: 0.0, lambda session: session.close(), failures.append))
    inference.start()
    stop, offered = threading.Event(), dict.fromkeys(rates, 0)
    cameras = [
        threading.Thread(target=_offer, args=(name, rate, frame_queue, offered, stop)) for name, rate in rates.items()
    ]
    for camera in cameras:
        camera.start()
    time.sleep(_SETTLING)
    before, given, began = stats.report(tuple(rates)).cameras, dict(offered), time.monotonic()
    time.sleep(seconds)
    after, elapsed = stats.report(tuple(rates)).cameras, time.monotonic() - began
    measured = {camera: (count - given[camera]) / elapsed for camera, count in offered.items()}
    stop.set()
    frame_queue.close()
    inference.stop()
    for thread in cameras:
        thread.join()
    if not inference.join(10) or failures:
        raise RuntimeError(f"the inference worker did not end well: {failures}")
    return _shares(measured, priority or {}, before, after, elapsed)


def _offer(camera: str, rate: float, frame_queue: FrameQueue, offered: dict[str, int], stop: threading.Event) -> None:
    picture, sequence, began = BgrPicture(np.zeros((2, 2, 3), np.uint8)), 0, time.monotonic()
    while not stop.wait(max(0.0, began + sequence / rate - time.monotonic())):
        sequence += 1
        frame_queue.put(Frame(camera, sequence, picture, time.time(), time.monotonic(), None, True, lambda: None))
        offered[camera] += 1


def _shares(
    rates: Mapping[str, float],
    priority: Mapping[str, float],
    before: Mapping[str, CameraStats],
    after: Mapping[str, CameraStats],
    elapsed: float,
) -> dict[str, Share]:
    got = {camera: (after[camera].processed - before[camera].processed) / elapsed for camera in rates}
    ideal = ideal_shares(rates, sum(got.values()), {camera: priority.get(camera, 1.0) for camera in rates})
    return {
        camera: Share(
            rate,
            got[camera],
            ideal[camera],
            {why.value: count - before[camera].dropped.get(why, 0) for why, count in after[camera].dropped.items()},
        )
        for camera, rate in rates.items()
    }


def main() -> int:
    """Prints a table for each of several models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds, worst = parser.parse_args().seconds, 0.0
    for max_batch, batch, picture in ((4, 0.1, 0.0), (4, 0.0, 0.015), (8, 0.0, 0.025), (2, 0.01, 0.005), (1, 0.02, 0)):
        shares = measure(SlowSession(max_batch, batch, picture), seconds)
        print(f"\nbatches of up to {max_batch}, {batch * 1000:g} ms a batch and {picture * 1000:g} ms a picture")
        print("camera     offered     got   ideal      off  dropped")
        for camera, share in shares.items():
            row = f"{share.offered:7.1f} {share.got:7.2f} {share.ideal:7.2f} {share.off:+8.1%}  {dict(share.dropped)}"
            print(f"{camera:10} {row}")
            worst = max(worst, abs(share.off))
    print(f"\nfurthest from its ideal: {worst:.1%}")
    return 0 if worst <= 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
