"""What the tests of publishing share: records, and `python -m tests.daemon.publishing PORT`, a publisher to kill."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from daemon.config.camera import Camera
from daemon.config.mqtt import Mqtt
from daemon.config.schema import Config
from daemon.publish.publisher import Publisher
from daemon.records import (
    CameraState,
    CameraStatus,
    ConfigurationInfo,
    DaemonInfo,
    FrameResult,
    Latency,
    ModelInfo,
    ModelState,
    ModelStatus,
    Reason,
)
from daemon.stats import Stats
from daemon.system.credits import Credits
from engines.records import Detections
from tests.conftest import wait_for

LABELS = ("person", "bicycle", "car")
INFO = DaemonInfo(
    version="0.1.0",
    backend="onnxruntime",
    backend_reason="it was asked for",
    gpu=None,
    tensorrt=None,
    models={
        "default": ModelInfo(
            file="street",
            family="yolox",
            width=416,
            height=416,
            labels=LABELS,
            precision="fp32",
            status=ModelStatus(ModelState.BUILDING, 40, "calibrating"),
        )
    },
    cameras=("front", "yard"),
    configuration=ConfigurationInfo(loaded_at=100.0),
)
UNREACHABLE = CameraStatus(
    camera="yard",
    state=CameraState.OFFLINE,
    reason=Reason.UNREACHABLE,
    detail="rtsp://camera.local/stream1 cannot be reached: Connection refused",
    since=100.0,
    changed_at=1769860900.0,
)


def result(
    sequence: int = 1, *, live: bool = True, count: int = 2, camera: str = "front", skipped: bool = False
) -> FrameResult:
    """A frame of 1280 x 720 in which `count` objects were seen."""
    corners = np.random.default_rng(sequence).uniform(0, 700, (count, 2)).astype(np.float32)
    return FrameResult(
        camera=camera,
        sequence=sequence,
        width=1280,
        height=720,
        captured_at=time.time(),
        captured_mono=time.monotonic(),
        stream_time=sequence / 25,
        live=live,
        model="default",
        labels=LABELS,
        detections=Detections(
            boxes=np.hstack([corners, corners + np.float32(20.125)]),
            scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
            labels=(np.arange(count) % len(LABELS)).astype(np.int32),
        ),
        batch=1,
        latency=Latency(queue=0.004, preprocess=0.001, detector=0.02, postprocess=0.0005),
        skipped=skipped,
    )


def config(port: int, device: str = "gate", **mqtt: object) -> Config:
    """Of a device with the cameras front and yard, for a broker on 127.0.0.1."""
    return Config(
        device=device,
        mqtt=Mqtt.model_validate({"host": "127.0.0.1", "port": port, **mqtt}),
        cameras={"front": Camera(source="rtsp://a/1"), "yard": Camera(source="rtsp://b/1")},
    )


@contextmanager
def publisher(settings: Config, stats: Stats | None = None, credit: Credits | None = None) -> Iterator[Publisher]:
    """A publisher that runs; it must not fail."""
    failures: list[BaseException] = []
    with no_thread_left():
        made = Publisher(settings, INFO, stats or Stats(), failures.append, credit=credit)
        made.start()
        try:
            yield made
        finally:
            made.stop(5)
    assert not failures


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Waits for the end of the threads of publishing that were started inside."""
    before = set(threading.enumerate())

    def left() -> list[threading.Thread]:
        return [
            t for t in threading.enumerate() if t.name.startswith(("publish", "mqtt:", "outbox")) and t not in before
        ]

    yield
    wait_for(lambda: not left(), "the end of the threads publish and mqtt")


def in_background(work: Callable[[], object]) -> threading.Thread:
    """A started thread that does `work`."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    with publisher(config(int(sys.argv[1]))) as running:
        running.camera_status(UNREACHABLE)
        threading.Event().wait()
