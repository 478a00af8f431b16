"""The pipeline against the model alone on a CPU: `python -m tests.benchmarks.cpu_pipeline --model M` prints JSON.

The pipeline is the daemon's own: frame queue, inference worker, session, NMS and message building, fed with decoded
pictures. The model alone is the same canonical detector in the same ONNX Runtime session settings, run in
a loop on a batch that never changes. The two take turns, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config.model import BUILTIN_MODEL
from daemon.demo.street.generator import StreetScene
from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.model_config import find_model
from daemon.inference.worker import InferenceWorker, OpenModel
from daemon.publish import payloads
from daemon.records import Frame, FrameResult
from daemon.stats import Stats
from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import FRAMES
from engines.image_file import read_image
from engines.model import Model
from engines.onnx_runtime import OnnxRuntimeSession, open_detector
from engines.pictures import BgrPicture, Pixels
from engines.postprocess import Thresholds
from engines.records import BatchDetections, DetectorSession, Handle

_CAMERA = "bench"
_FILLING = 3  # batches until the pipe is full


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What to measure."""

    batch: int
    threads: int
    """that ONNX Runtime computes with, in the pipeline and alone"""
    seconds: float
    """of each turn"""
    rounds: int
    confidence: float


def bench(model: Model, pictures: Sequence[NDArray[np.uint8]], settings: BenchSettings) -> dict[str, Any]:
    """Measures; `pictures` are BGR frames [H, W, 3] fed in turn. The report is ready for JSON."""
    detector, any_batch = open_detector(model, settings.threads)
    batch = settings.batch if any_batch else 1
    canvas = np.random.default_rng(0).integers(0, 256, (batch, model.height, model.width, 3)).astype(np.uint8)

    def alone() -> float:
        return _per_second(lambda: detector.run(list(CANONICAL), {FRAMES: canvas}), settings.seconds) * batch

    def pipeline() -> float:
        return _Pipeline(_session(model, settings, batch), model.labels, settings, pictures).run(settings.seconds)

    rounds = []
    for _ in range(settings.rounds):
        fps = {"model_alone_fps": alone(), "pipeline_fps": pipeline()}
        rounds.append({**fps, "ratio": fps["pipeline_fps"] / fps["model_alone_fps"]})
    return {
        "model": model.path.name,
        "input": {"width": model.width, "height": model.height},
        "frames": sorted({f"{p.shape[1]}x{p.shape[0]}" for p in pictures}),
        "batch": batch,
        "threads": settings.threads,
        "rounds": rounds,
        **{key: statistics.median(r[key] for r in rounds) for key in rounds[0]},
        **_latency_and_overhead(model, pictures, settings, batch),
    }


def _latency_and_overhead(
    model: Model, pictures: Sequence[NDArray[np.uint8]], settings: BenchSettings, batch: int
) -> dict[str, Any]:
    """Latency of one frame at a time, by stage; and microseconds of a frame outside decoding and the model.

    `threads` is the frame queue, the inference worker, counting and the bookkeeping of results: what the same pipeline
    costs on a model that answers at once, less the message that it builds.
    """
    single = _Pipeline(_session(model, settings, 1), model.labels, settings, pictures)
    single.run(settings.seconds, one_at_a_time=True)
    latency = single.stats.report((_CAMERA,)).latency
    each = cycle(single.results[-len(pictures) :])
    message = 1.0 / _per_second(lambda: payloads.detections(_CAMERA, next(each)), 0.5)
    session = _session(model, settings, batch)
    outcomes = [session.collect(session.submit(list(islice(cycle(pictures), batch)))) for _ in range(10)]
    session.close()
    parts = {
        "letterbox": statistics.median(o.preprocess for o in outcomes) / batch,
        "nms_and_mapping": statistics.median(o.postprocess for o in outcomes) / batch,
        "threads": 1.0 / _Pipeline(_Instant(outcomes[0]), model.labels, settings, pictures).run(1.0) - message,
        "message": message,
    }
    return {
        "latency_ms": {stage: {key: round(v, 3) for key, v in asdict(p).items()} for stage, p in latency.items()},
        "overhead_us_per_frame": {
            name: round(seconds * 1e6, 1) for name, seconds in {**parts, "total": sum(parts.values())}.items()
        },
    }


def _session(model: Model, settings: BenchSettings, batch: int) -> OnnxRuntimeSession:
    return OnnxRuntimeSession(model, Thresholds(settings.confidence, 0.45), batch, settings.threads)


def _per_second(call: Callable[[], object], seconds: float) -> float:
    """How often a call can be made, after one to warm up."""
    call()
    calls, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        call()
        calls += 1
    return calls / elapsed


class _Pipeline:
    """The daemon's stages between decoding and MQTT, around a session that it closes."""

    def __init__(
        self,
        session: DetectorSession,
        labels: tuple[str, ...],
        settings: BenchSettings,
        pictures: Sequence[NDArray[np.uint8]],
    ) -> None:
        self.stats = Stats()
        self.results: list[FrameResult] = []
        self._pictures = cycle(pictures)
        self._done: list[float] = []
        self._ready = threading.Semaphore()
        self._failure: BaseException | None = None
        self._frame_queue = FrameQueue(Batcher({_CAMERA: "m"}, 0.01, 1.0), self.stats)
        self._inference = InferenceWorker(
            "cpu:0",
            self._frame_queue,
            self._deliver,
            self.stats,
            self._on_fatal,
        )
        floor = partial(float, settings.confidence)
        self._inference.use(OpenModel("m", labels, session, floor, lambda session: session.close(), self._on_fatal))

    def run(self, seconds: float, one_at_a_time: bool = False) -> float:
        """Frames per second, from pictures in memory to messages ready to send."""
        self._inference.start()
        deadline = time.perf_counter() + seconds
        for sequence in count(1):
            if one_at_a_time:
                self._ready.acquire()
            if time.perf_counter() > deadline or self._failure is not None:
                break
            picture = BgrPicture(next(self._pictures))
            self._frame_queue.put(
                Frame(_CAMERA, sequence, picture, time.time(), time.monotonic(), None, live=False, release=_nothing)
            )
        self._frame_queue.close()
        self._inference.stop()
        self._inference.join(60)
        if self._failure is not None:
            raise self._failure
        return self._rate()

    def _rate(self) -> float:
        """Frames per second once the pipe is full, from the end of one batch to the end of the last."""
        first = 0
        for _ in range(_FILLING):
            if first >= len(self.results):
                break
            first += self.results[first].batch
        if first >= len(self.results):
            sys.exit("too few frames were done to measure anything; give more --seconds")
        return (len(self._done) - first) / (self._done[-1] - self._done[first - 1])

    def _deliver(self, results: Sequence[FrameResult], _frames: Sequence[Frame]) -> None:
        for result in results:
            payloads.detections(_CAMERA, result)
            self.stats.published([(_CAMERA, time.monotonic() - result.captured_mono)])
            self.results.append(result)
            self._done.append(time.perf_counter())
            self._ready.release()

    def _on_fatal(self, error: BaseException) -> None:
        self._failure = error
        self._ready.release()


class _Instant:
    """A session that answers at once, always the same."""

    slots = 2

    def __init__(self, answer: BatchDetections) -> None:
        self._answer = answer
        self.max_batch = len(answer.detections)
        self._sizes: deque[int] = deque()

    def set_confidence(self, confidence: float) -> None:
        del confidence

    def submit(self, pictures: Sequence[Pixels]) -> Handle:
        self._sizes.append(len(pictures))
        return Handle(0)

    def is_done(self, handle: Handle) -> bool:
        del handle
        return True

    def collect(self, handle: Handle) -> BatchDetections:
        del handle
        return replace(self._answer, detections=self._answer.detections[: self._sizes.popleft()])

    def close(self) -> None:
        pass


def _nothing() -> None:
    pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=BUILTIN_MODEL, help="a file; default: the one that ships with the project")
    parser.add_argument("--family", default="auto")
    parser.add_argument("--labels")
    parser.add_argument("--picture", type=Path, action="append", help="default: eight of the demonstration street")
    parser.add_argument("--width", type=int, default=1280, help="of the demonstration street, pixels")
    parser.add_argument("--height", type=int, default=720, help="of the demonstration street, pixels")
    parser.add_argument("--batch", type=int, default=8, help="frames that go through the model together")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads of the model")
    parser.add_argument("--confidence", type=float, default=0.4, help="least score")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of model alone and pipeline")
    given = parser.parse_args()
    scene = StreetScene(given.width, given.height, seed=1)
    pictures = [read_image(file) for file in given.picture or ()] or [scene.render(t)[0] for t in range(8)]
    settings = BenchSettings(given.batch, given.threads, given.seconds, given.rounds, given.confidence)
    json.dump(bench(find_model(given.model, given.family, given.labels), pictures, settings), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
