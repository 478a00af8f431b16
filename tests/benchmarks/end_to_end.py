"""The whole daemon on video files read as fast as possible, against decoding alone with as many threads, in turns.

    python -m tests.benchmarks.end_to_end 1080p.mp4 --cameras 16 --model yolov8n.onnx --labels coco

Any H.264 file will do; it is read again and again. A broker is started with the test's Mosquitto.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.capture.buffers import Allocate, Buffer, FrameMemory
from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera
from engines.backends import choose, frame_allocator
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber

_WARM_UP = 3.0  # seconds
_BUFFERS = 4


def main(
    clip: Path,
    model: str = "street",
    labels: str | None = None,
    cameras: int = 16,
    rounds: int = 3,
    seconds: float = 8.0,
    cache: Annotated[Path | None, typer.Option(help="Of engines; default: a new one, which takes time.")] = None,
) -> None:
    """Prints frames per second of both and their ratio as JSON.

    `into_its_buffers` is decoding alone too, but each thread by turns into as many pictures as a camera of the daemon
    has at least, in the memory that the backend wants.
    """
    seen: dict[str, list[float]] = {"decoding_alone": [], "into_its_buffers": [], "daemon": [], "ratio": []}
    latest: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        document = _document(clip, model, labels, cameras, cache or Path(folder) / "engines")
        for number in range(rounds):
            seen["decoding_alone"].append(decode_alone(clip, cameras, seconds))
            seen["into_its_buffers"].append(decode_alone(clip, cameras, seconds, _BUFFERS, frame_allocator(choose())))
            place = Path(folder) / str(number)
            place.mkdir()
            rate, latest = _daemon(document, place, seconds)
            seen["daemon"].append(rate)
            seen["ratio"].append(rate / seen["decoding_alone"][-1])
    report = {name: round(statistics.median(values), 3) for name, values in seen.items()}
    each = {name: [round(v, 3) for v in values] for name, values in seen.items()}
    report_all = {**report, "rounds": each, "batch": latest["batch"], "latency_ms": latest["latency_ms"]}
    typer.echo(json.dumps(report_all, indent=2))


def _document(clip: Path, model: str, labels: str | None, cameras: int, cache: Path) -> dict[str, Any]:
    file = model if model == "street" else str(Path(model).absolute())
    camera = {"source": str(clip.absolute()), "pace": "as-fast-as-possible", "loop": True}
    settings = {"file": file} if labels is None else {"file": file, "labels": labels}
    return {
        "models": {"default": settings},
        "inference": {"cache": str(cache.absolute()), "max_batch": 16},
        "cameras": {f"c{i}": camera for i in range(cameras)},
    }


def decode_alone(clip: Path, threads: int, seconds: float, buffers: int = 1, allocate: Allocate | None = None) -> float:
    """Frames per second, from the same code that the daemon reads files with; each thread fills its buffers in turn."""
    counts = [0] * threads
    stopping = threading.Event()

    def decode(index: int) -> None:
        source = open_source(Camera(source=str(clip), loop=True))
        for buffer in cycle([Buffer() for _ in range(buffers)]):
            source.grab()
            buffer.fill(source, FrameMemory(allocate=allocate))
            counts[index] += 1
            if stopping.is_set():
                break
        source.close()

    running = [threading.Thread(target=decode, args=(i,)) for i in range(threads)]
    for thread in running:
        thread.start()
    time.sleep(_WARM_UP)
    before, began = sum(counts), time.perf_counter()
    time.sleep(seconds)
    rate = (sum(counts) - before) / (time.perf_counter() - began)
    stopping.set()
    for thread in running:
        thread.join()
    return rate


def _daemon(document: dict[str, Any], folder: Path, seconds: float) -> tuple[float, dict[str, Any]]:
    """Frames per second that were published, and the last statistics."""
    with Mosquitto(folder) as broker, Subscriber(HOST, broker.port, f"{TOPICS}/stats") as subscriber:
        whole = box(broker, **document)
        whole["mqtt"]["stats_every"] = 1
        with daemon(folder, whole) as process:
            subscriber.wait(_flows, "frames", 300)
            first = len(subscriber.messages()) + round(_WARM_UP)
            subscriber.wait(lambda messages: len(messages) > first + seconds, "the measurement", seconds + 60)
            stats = [message.json() for message in subscriber.messages()]
            stop(process)
    begin, end = stats[first], stats[-1]
    return (_published(end) - _published(begin)) / (end["uptime_s"] - begin["uptime_s"]), end


def _flows(messages: list[Message]) -> bool:
    return bool(messages) and _published(messages[-1].json()) > 0


def _published(stats: dict[str, Any]) -> int:
    return sum(camera["published"] for camera in stats["cameras"].values())


if __name__ == "__main__":
    typer.run(main)
