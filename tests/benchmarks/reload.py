"""A daemon under load whose configuration is edited at random, and what that costs cameras that are not touched.

`python -m tests.benchmarks.reload --edits 100 [--seed N]` prints its seed, each edit, and what is wrong afterwards; it
exits with 1 if anything is. Cameras come, change and go, models are exchanged, commands are given, files are bad.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from daemon.demo.film import Shot, film
from tests.daemon.running import TOPICS, box, daemon, detections_of, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber

MAY_GROW = 1.05  # of memory
TELLS_MEMORY_FROM = 100  # edits; what libraries keep for later is more than a leak in fewer
_WITHIN = 60.0  # seconds for an edit to be applied
_STILL = ("still-1", "still-2")
_Document = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """What the daemon holds."""

    memory: float
    """resident, MB"""
    threads: int
    descriptors: int

    @classmethod
    def by(cls, pid: int) -> Held:
        process = Path(f"/proc/{pid}")
        pages = int((process / "statm").read_text().split()[1])
        threads, descriptors = (len(list((process / what).iterdir())) for what in ("task", "fd"))
        return cls(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, threads, descriptors)


class Edits:
    """Random edits of a document."""

    def __init__(self, rng: random.Random, video: Path) -> None:
        self._rng = rng
        self._video = video

    def make(self, document: _Document) -> tuple[str, _Document]:
        """What is done, and the document after it."""
        new = copy.deepcopy(document)
        others = [name for name in new["cameras"] if name not in _STILL]
        kinds: list[Callable[[_Document, str], str]] = [self._add, self._threshold, self._waits, self._model]
        if others:
            kinds += [self._remove, self._reopen, self._toggle, self._other_model]
        return self._rng.choice(kinds)(new, self._rng.choice(others) if others else ""), new

    def bad(self, document: _Document) -> _Document:
        """A document with a mistake, and with a good edit that must not be applied for it."""
        new = copy.deepcopy(document)
        new["cameras"]["never"] = {"source": str(self._video)}
        new["cameras"][_STILL[0]]["fps"] = self._rng.choice([-1, "ten", 0])
        return new

    def _add(self, new: _Document, _other: str) -> str:
        name = f"c{self._rng.randrange(6)}"
        new["cameras"][name] = {"source": str(self._video), "loop": True, "fps": self._rng.choice([1, 2, 3])}
        return f"add {name}"

    def _remove(self, new: _Document, other: str) -> str:
        del new["cameras"][other]
        return f"remove {other}"

    def _reopen(self, new: _Document, other: str) -> str:
        new["cameras"][other]["rotate"] = self._rng.choice([90, 180, 270])
        return f"turn {other}"

    def _toggle(self, new: _Document, other: str) -> str:
        new["cameras"][other]["enabled"] = not new["cameras"][other].get("enabled", True)
        return f"enable or disable {other}"

    def _other_model(self, new: _Document, other: str) -> str:
        new["cameras"][other]["model"] = self._rng.choice(["default", "other"])
        return f"model of {other}"

    def _threshold(self, new: _Document, _other: str) -> str:
        name = self._rng.choice(list(new["cameras"]))
        new["cameras"][name]["confidence"] = round(self._rng.uniform(0.2, 0.8), 2)
        return f"confidence of {name}"

    def _waits(self, new: _Document, _other: str) -> str:
        new["inference"]["max_delay_ms"] = self._rng.choice([5, 10, 20])
        return "max_delay_ms"

    def _model(self, new: _Document, _other: str) -> str:
        new["models"][self._rng.choice(["default", "other"])]["iou"] = round(self._rng.uniform(0.3, 0.7), 3)
        return "another model"


class Driven:
    """The daemon that is edited."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, subscriber: Subscriber) -> None:
        self._process = process
        self._file = folder / "box.yaml"
        self._subscriber = subscriber

    def write(self, document: _Document, *, tell: bool) -> None:
        """As an editor does; without `tell` the daemon has to notice by itself. Returns when it has."""
        loaded = _info(self._subscriber.messages()).get("configuration")
        new = self._file.with_suffix(".new")
        new.write_text(yaml.safe_dump(document))
        new.replace(self._file)
        if tell:
            self._process.send_signal(signal.SIGHUP)
        self.wait_for(lambda info: info["configuration"] != loaded, "the file to be read")

    def wait_for(self, condition: Callable[[Any], object], what: str) -> None:
        """Until it is true of the last `info`."""
        self._subscriber.wait(lambda messages: (info := _info(messages)) and condition(info), what, _WITHIN)

    def settle(self, document: _Document) -> None:
        """Until what runs is what the document says."""
        used = sorted({camera.get("model", "default") for camera in document["cameras"].values()})
        self.wait_for(lambda info: info["cameras"] == sorted(document["cameras"]), "the cameras")
        self.wait_for(lambda info: sorted(info["models"]) == used, "the models")
        ready = {"state": "ready", "detail": ""}  # and no successor under way
        self.wait_for(
            lambda info: all(ready.items() <= model.items() for model in info["models"].values()), "the models"
        )
        for name, camera in document["cameras"].items():
            state = "streaming" if camera.get("enabled", True) else "disabled"
            self._subscriber.wait(partial(_stands, name, state), f"{name} {state}", _WITHIN)


def _stands(camera: str, state: str, messages: list[Message]) -> bool:
    return bool(_last(messages, f"{TOPICS}/{camera}/status").get("state") == state)


def _info(messages: list[Message]) -> Any:
    return _last(messages, f"{TOPICS}/info")


def _last(messages: list[Message], topic: str) -> Any:
    found = next((m.payload for m in reversed(messages) if m.topic == topic), b"")
    return json.loads(found) if found else {}


def run(seed: int, edits: int, folder: Path, say: Callable[[str], None]) -> dict[str, object]:
    """What came of it; `wrong` is empty where all is as it should be."""
    rng = random.Random(seed)
    video = film(Shot("street", 416, 256, 15.0, seed=21), folder / "street.mp4", 2.0).file
    still = {"source": str(video), "loop": True}
    with Mosquitto(folder) as broker, Subscriber(HOST, broker.port) as subscriber:
        first = box(
            broker,
            {_STILL[0]: {**still, "fps": 5}, _STILL[1]: {**still, "fps": 2}},
            models={"default": {"file": "street"}, "other": {"file": "street", "iou": 0.5}},
            inference={"backend": "onnxruntime", "threads": 1, "max_age_ms": 20000},
        )
        first["mqtt"]["stats_every"] = 0.5
        maker, document = Edits(rng, video), first
        with daemon(folder, first) as process:
            driven = Driven(process, folder, subscriber)
            driven.settle(first)
            began = time.monotonic()
            held: list[Held] = []
            for number in range(edits):
                if number in (edits // 4, edits // 2, 3 * edits // 4):
                    held.append(_at_rest(driven, document, first, process.pid))
                    document = first
                if rng.random() < 0.15:
                    say(f"{number}: a bad file")
                    driven.write(maker.bad(document), tell=rng.random() < 0.8)
                    driven.wait_for(lambda info: info["configuration"]["errors"], "the refusal")
                    driven.write(document, tell=True)
                    driven.wait_for(lambda info: not info["configuration"]["errors"], "the good file")
                else:
                    what, document = maker.make(document)
                    say(f"{number}: {what}")
                    driven.write(document, tell=rng.random() < 0.8)
                    driven.settle(document)
            took = time.monotonic() - began
            held.append(_at_rest(driven, document, first, process.pid))
            stats = subscriber.messages(f"{TOPICS}/stats")[-1].json()["cameras"]
            stop(process)
        wrong = [text for name in _STILL for text in _lost(subscriber, name, stats[name])]
        before, then = held[1], held[-1]  # by the half what libraries keep for later has been had
        if edits >= TELLS_MEMORY_FROM and then.memory > before.memory * MAY_GROW:
            wrong.append(f"memory grew from {before.memory:.0f} to {then.memory:.0f} MB")
        # the log has a thread of its own while it holds a line about a state that changes often
        if then.threads > before.threads + 1 or then.descriptors > before.descriptors:
            wrong.append(f"threads or descriptors were left behind: {before}, {then}")
        return {
            "seed": seed,
            "edits": edits,
            "seconds": round(took, 1),
            "frames": {name: len(detections_of(subscriber, name)) for name in _STILL},
            "dropped": {name: sum(stats[name]["dropped"].values()) for name in _STILL},
            "connections": {name: stats[name]["connections"] for name in _STILL},
            "held": [asdict(one) for one in held],
            "wrong": wrong,
        }


def _at_rest(driven: Driven, document: _Document, first: _Document, pid: int) -> Held:
    """What is held when it runs as it did at first."""
    if document != first:
        driven.write(first, tell=True)
    driven.settle(first)
    time.sleep(2.0)  # what was closed is cleared away
    return Held.by(pid)


def _lost(subscriber: Subscriber, camera: str, counted: dict[str, Any]) -> list[str]:
    """What is wrong with a camera that was not touched."""
    sequences = [m["sequence"] for m in detections_of(subscriber, camera)]
    missing = sequences[-1] - sequences[0] + 1 - len(sequences)
    wrong = [] if sequences == sorted(set(sequences)) else [f"{camera}: frames out of order"]
    if missing > sum(counted["dropped"].values()):
        wrong.append(f"{camera}: {missing} frames are missing, and {counted['dropped']} were dropped")
    if counted["connections"] != 1:
        wrong.append(f"{camera}: it was opened {counted['connections']} times")
    return wrong


def main() -> None:
    """Prints what is done as it is done, and one JSON object at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    sys.stderr.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STATE_DIRECTORY"] = folder
        result = run(options.seed, options.edits, Path(folder), lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps(result, indent=1))
    sys.exit(bool(result["wrong"]))


if __name__ == "__main__":
    main()
