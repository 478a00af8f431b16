"""How long cameras wait while a model is exchanged, in a real daemon on ONNX Runtime, beside the same wait in quiet.

`python -m tests.benchmarks.exchange [--exchanges 6]` prints, for each exchange, the longest time between two messages
of a camera until the next model has run for two seconds.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import yaml

from daemon.demo.film import Shot, film
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber

CAMERAS = ("a", "b")
FPS = 10.0
_SETTLED = 2.0  # seconds
_PRECISIONS = ("fp16", "fp32")


@dataclass(frozen=True)
class Waits:
    """The longest time between two messages of a camera, seconds."""

    quiet: float
    exchanges: list[tuple[str, float]]
    """precision of the model that comes, and the wait meanwhile"""


def measure(broker: Mosquitto, subscriber: Subscriber, folder: Path, exchanges: int) -> Waits:
    """Exchanges a model for one of another precision, which has to be built the first time, and back."""
    street = film(Shot("street", 416, 256, FPS, seed=21), folder / "street.mp4", 4.0)
    cameras = {name: {"source": str(street.file), "loop": True} for name in CAMERAS}
    inference = {"backend": "onnxruntime", "threads": 1, "cache": "engines"}
    document = box(broker, cameras, models={"default": {"file": "street", "precision": "fp32"}}, inference=inference)
    with daemon(folder, document) as process:
        subscriber.wait(partial(_runs, "fp32", 0), "the first model", 60)
        subscriber.wait(lambda m: all(_times(m, name, 0.0)[20:] for name in CAMERAS), "the cameras", 60)
        began = time.monotonic()
        time.sleep(2 * _SETTLED)
        quiet = _longest(subscriber, began)
        seen = [(p, _exchange(process, subscriber, folder, document, p)) for p in islice(cycle(_PRECISIONS), exchanges)]
        stop(process)
    return Waits(quiet, seen)


def _exchange(
    process: subprocess.Popen[str], subscriber: Subscriber, folder: Path, document: dict[str, Any], precision: str
) -> float:
    document["models"]["default"]["precision"] = precision
    (folder / "new").write_text(yaml.safe_dump(document))
    (folder / "new").replace(folder / "box.yaml")
    began, before = time.monotonic(), len(subscriber.messages())
    process.send_signal(signal.SIGHUP)
    subscriber.wait(partial(_runs, precision, before), f"the model at {precision}", 90)
    time.sleep(_SETTLED)
    return _longest(subscriber, began)


def _runs(precision: str, after: int, messages: list[Message]) -> bool:
    """Whether it is said last that a model of this precision is ready, in a message that came later."""
    said = [m.json()["models"].get("default") for m in messages[after:] if m.topic == f"{TOPICS}/info"]
    model = said[-1] if said else None
    return bool(model and (model["state"], model["precision"], model["detail"]) == ("ready", precision, ""))


def _times(messages: list[Message], camera: str, since: float) -> list[float]:
    return [m.at for m in messages if m.topic == f"{TOPICS}/{camera}/detections" and m.at > since]


def _longest(subscriber: Subscriber, since: float) -> float:
    messages, now = subscriber.messages(), time.monotonic()
    steps = [[since, *_times(messages, camera, since), now] for camera in CAMERAS]
    return max(later - earlier for times in steps for earlier, later in pairwise(times))


def main() -> None:
    """Prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=6)
    exchanges = parser.parse_args().exchanges
    with (
        tempfile.TemporaryDirectory() as folder,
        Mosquitto(Path(folder)) as broker,
        Subscriber(HOST, broker.port) as subscriber,
    ):
        waits = measure(broker, subscriber, Path(folder), exchanges)
    print(f"quiet: {waits.quiet * 1e3:.0f} ms")
    for precision, wait in waits.exchanges:
        print(f"to {precision}: {wait * 1e3:.0f} ms, {(wait - waits.quiet) * 1e3:+.0f} ms")


if __name__ == "__main__":
    main()
