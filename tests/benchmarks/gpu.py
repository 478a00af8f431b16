"""How near a session comes to what the GPU can do: every figure is a ratio of figures of the same run, in turns.

python -m tests.benchmarks.gpu yolov8n.onnx PICTURES OUT --labels coco
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from engines.backends import SessionSettings, choose, open_session, prepare
from engines.build.cache import EngineCache
from engines.image_file import read_image
from engines.model import read_model
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import DetectorSession
from engines.tensorrt.backend import find
from engines.tensorrt.device import use_device
from engines.tensorrt.frames import allocate_frame
from tests.benchmarks import timeline
from tests.benchmarks.ceilings import Alone, alone
from tests.benchmarks.naive import naive_rate

THRESHOLDS = Thresholds(0.25, 0.45)
_SECONDS = 0.6
"""for each figure of a round"""
_Pictures = Sequence[NDArray[np.uint8]]


def main(
    model: Path,
    pictures: Path,
    out: Path,
    labels: str = "coco",
    rounds: int = 5,
    soak: Annotated[int, typer.Option(help="Batches of 2 that are run at the end.")] = 0,
    cache: Path | None = None,
) -> None:
    """Writes gpu.json and timeline.svg into `out`."""
    backend = choose()
    settings = SessionSettings(THRESHOLDS, max_batch=16, precision=Precision.FP16, cache=cache)
    read = read_model(model, labels=labels)
    prepared = prepare(backend, read, settings, lambda *_: None)
    frames = _frames(pictures)
    session = open_session(prepared)
    report: dict[str, Any] = {
        "date": date.today().isoformat(),
        "gpu": backend.gpu,
        "backend": f"{backend.name} {backend.version}",
        "python": platform.python_version(),
        "model": f"{model.name}, fp16",
        "frames": "1920x1080 BGR in page-locked memory",
    }
    assert prepared.engines is not None
    with alone(prepared.engines, find(backend.name), EngineCache(cache)) as single:
        for batch in (8, 16):
            report[f"throughput_{batch}"] = _throughput(session, single, frames, batch, rounds)
        report["naive"] = _naive(session, single, frames, rounds)
        report["latency"] = _latency(session, single, frames, rounds)
        batches = timeline.record(single.device, single.preprocess, single.detector, frames[:8], session.slots)
        title = f"{backend.gpu}: {read.path.stem} FP16, batch 8, {session.slots} slots"
        timeline.draw(batches, title, out / "timeline.svg")
        if soak:
            report["soak"] = _soak(session, frames, soak)
    session.close()
    text = json.dumps(report, indent=2)
    (out / "gpu.json").write_text(text + "\n")
    typer.echo(text)


def _frames(folder: Path) -> list[NDArray[np.uint8]]:
    """64 frames as a camera's decoder leaves them."""
    files = sorted(folder.iterdir())
    frames = []
    for file in islice(cycle(files), 64):
        frame = allocate_frame((1080, 1920, 3))
        frame[:] = cv2.resize(read_image(file), (1920, 1080))
        frames.append(frame)
    return frames


def _run(session: DetectorSession, frames: _Pictures, batch: int, until: Callable[[int], bool]) -> float:
    """Batches through the session with every slot in use until so many are enough; frames per second."""
    feed = cycle(frames)
    pending = [session.submit(list(islice(feed, batch))) for _ in range(session.slots)]
    for handle in pending:  # warm
        session.collect(handle)
    pending = [session.submit(list(islice(feed, batch))) for _ in range(session.slots)]
    done, began = 0, time.perf_counter()
    while not until(done):
        session.collect(pending.pop(0))
        done += 1
        pending.append(session.submit(list(islice(feed, batch))))
    rate = done * batch / (time.perf_counter() - began)
    for handle in pending:
        session.collect(handle)
    return rate


def _for(seconds: float) -> Callable[[int], bool]:
    end = time.perf_counter() + seconds
    return lambda _: time.perf_counter() > end


def _throughput(session: DetectorSession, single: Alone, frames: _Pictures, batch: int, rounds: int) -> dict[str, Any]:
    """Frames per second, medians; the ratio is that of each round to the lower of its two ceilings."""
    seen: dict[str, list[float]] = {"engine_only": [], "upload_only": [], "session": [], "ratio": []}
    for _ in range(rounds):
        seen["engine_only"].append(single.detector_rate(batch, _SECONDS))
        seen["upload_only"].append(single.upload_rate(frames[:batch], _SECONDS))
        seen["session"].append(_run(session, frames, batch, _for(_SECONDS)))
        seen["ratio"].append(seen["session"][-1] / min(seen["engine_only"][-1], seen["upload_only"][-1]))
    several = single.detector_rate(batch, _SECONDS, session.slots)
    return {**_medians(seen), "engine_only_all_slots": round(several), "ratios": [round(r, 3) for r in seen["ratio"]]}


def _naive(session: DetectorSession, single: Alone, frames: _Pictures, rounds: int) -> dict[str, Any]:
    seen: dict[str, list[float]] = {"naive": [], "session": [], "times": []}
    for _ in range(rounds):
        seen["naive"].append(naive_rate(single.device, single.detector, frames, THRESHOLDS.confidence, _SECONDS))
        seen["session"].append(_run(session, frames, 8, _for(_SECONDS)))
        seen["times"].append(seen["session"][-1] / seen["naive"][-1])
    return _medians(seen)


def _latency(session: DetectorSession, single: Alone, frames: _Pictures, rounds: int) -> dict[str, Any]:
    """Milliseconds from a frame in page-locked memory to its detections, against the sum of its stages alone."""
    seen: dict[str, list[float]] = {"stages": [], "p50": [], "p99": [], "p50_ratio": [], "p99_ratio": []}
    stages: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, value in single.stages(frames[0]).items():
            stages.setdefault(name, []).append(value * 1e3)
        total = sum(values[-1] for values in stages.values())
        took = []
        for frame in islice(cycle(frames), 1000):
            began = time.perf_counter()
            session.collect(session.submit([frame]))
            took.append((time.perf_counter() - began) * 1e3)
        p50, p99 = np.percentile(took, [50, 99])
        for key, value in zip(seen, (total, p50, p99, p50 / total, p99 / total), strict=True):
            seen[key].append(float(value))
    return {**_medians(seen, 3), "alone_ms": _medians(stages, 4)}


def _soak(session: DetectorSession, frames: _Pictures, batches: int) -> dict[str, Any]:
    """Memory and latency at every twentieth of the way."""
    steps = []
    for _ in range(20):
        began, cpu = time.perf_counter(), time.process_time()
        rate = _run(session, frames, 2, lambda done: done >= batches // 20)
        free, total = use_device().memory_info()
        took = []
        for frame in frames:
            start = time.perf_counter()
            session.collect(session.submit([frame]))
            took.append((time.perf_counter() - start) * 1e3)
        steps.append(
            {
                "frames_per_second": round(rate),
                "latency_p50_ms": round(statistics.median(took), 3),
                "resident_mb": round(_resident() / 1e6, 1),
                "device_mb": round((total - free) / 1e6, 1),
                "threads": threading.active_count(),
                "cpu": round((time.process_time() - cpu) / (time.perf_counter() - began), 2),
            }
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"batches": batches, "peak_resident_mb": round(peak, 1), "steps": steps}


def _resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _medians(seen: dict[str, list[float]], digits: int = 3) -> dict[str, float]:
    return {name: round(statistics.median(values), digits) for name, values in seen.items()}


if __name__ == "__main__":
    typer.run(main)
