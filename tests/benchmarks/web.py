"""What the web page costs: the daemon, the page's process, and how old the pictures are; off and on in turns.

`python -m tests.benchmarks.web` runs one daemon with 16 cameras that play one film of 1280x720 at 15 frames a second,
with a model that computes nothing (with `--gpu` the detector of the street), and the page beside it. Each line is the
median of the rounds; a round is some
seconds without and some with viewers, and a difference is of the two halves of one round. `null` is off against off.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.connection import Connection

from daemon.capture.picture_wishes import PictureWishes
from daemon.demo.film import Shot, film
from daemon.records import Frame
from engines.pictures import BgrPicture
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.engines.making import TWO_NAMES, Making
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.proxy import Proxy
from tests.servers.subscriber import Subscriber
from tests.web.killing import killed_while_saving
from tests.web.running import WebPage, folders, page, web_box

_TICKS = os.sysconf("SC_CLK_TCK")
_NARROW = 125_000  # bytes a second


class Viewer:
    """A page that watches some cameras and asks for a picture whenever one has come."""

    def __init__(self, socket: Connection, cameras: list[str], fps: float) -> None:
        self.ages: list[float] = []
        self.sizes: list[int] = []
        self._socket = socket
        self._watch(cameras, fps)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _watch(self, cameras: list[str], fps: float) -> None:
        self._socket.send(json.dumps({"watch": {name: {"width": 640, "fps": fps} for name in cameras}}))
        for name in cameras * 2:
            self._socket.send(json.dumps({"more": name}))

    def _run(self) -> None:
        with suppress(ConnectionClosed):
            for message in self._socket:
                if isinstance(message, bytes):
                    self.sizes.append(len(message))
                    header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])
                    captured = datetime.fromisoformat(header["captured_at"].replace("Z", "+00:00")).timestamp()
                    self.ages.append(time.time() - captured)
                    self._socket.send(json.dumps({"more": header["camera"]}))


def cpu(pid: int) -> float:
    """Processor time of a process until now, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> float:
    """Proportional set size, MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Bench:
    """A daemon, its page, and what a subscriber sees of it."""

    def __init__(self, web: WebPage, client: httpx.Client, daemon: int, subscriber: Subscriber) -> None:
        self.web = web
        self.client = client
        self.daemon = daemon
        self.subscriber = subscriber

    @contextmanager
    def viewers(self, count: int, cameras: int, port: int | None = None) -> Iterator[list[Viewer]]:
        """Through another port where one is given."""
        with ExitStack() as open_sockets:
            sockets = [open_sockets.enter_context(self.web.live(self.client, port)) for _ in range(count)]
            yield [Viewer(socket, [f"cam{number}" for number in range(cameras)], 10) for socket in sockets]

    def measured(self, seconds: float, viewers: list[Viewer]) -> dict[str, float]:
        """Of the next seconds: per cent of a core, pictures per second, their age, and latency to publishing."""
        time.sleep(1)
        before = cpu(self.daemon), cpu(self.web.process.pid), [len(one.ages) for one in viewers]
        began, seen = time.monotonic(), len(self.subscriber.messages())
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        ages = [age for one, count in zip(viewers, before[2], strict=True) for age in one.ages[count:]]
        came = self.subscriber.messages()[seen:]
        totals = [m.json()["latency_ms"]["total"] for m in came if m.topic.endswith("/detections")]
        return {
            "daemon_cpu": 100 * (cpu(self.daemon) - before[0]) / elapsed,
            "web_cpu": 100 * (cpu(self.web.process.pid) - before[1]) / elapsed,
            "pictures_per_s": len(ages) / elapsed,
            "age_p50_ms": 1000 * float(np.percentile(ages, 50)) if ages else 0.0,
            "age_p95_ms": 1000 * float(np.percentile(ages, 95)) if ages else 0.0,
            "daemon_mb": memory(self.daemon),
            "web_mb": memory(self.web.process.pid),
            "p99_ms": float(np.percentile(totals, 99)) if totals else 0.0,
        }


def compared(bench: Bench, count: int, cameras: int, rounds: int, seconds: float) -> dict[str, float]:
    """Medians of the rounds: what is measured with viewers, and what differs from without."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        off = bench.measured(seconds, [])
        with bench.viewers(count, cameras) as viewers:
            on = bench.measured(seconds, viewers)
        for key in ("web_cpu", "web_mb", "pictures_per_s", "age_p50_ms", "age_p95_ms"):
            found.setdefault(key, []).append(on[key])
        found.setdefault("daemon_cpu_off", []).append(off["daemon_cpu"])
        for key in ("daemon_cpu", "daemon_mb", "p99_ms"):
            found.setdefault(f"{key}_more", []).append(on[key] - off[key])
    return {key: round(statistics.median(values), 2) for key, values in found.items()}


def narrow(bench: Bench, seconds: float) -> dict[str, float]:
    """One viewer of one camera behind 1 Mbit/s: pictures, their age, and the time that one takes to be transferred."""
    page = int(bench.web.origin.rpartition(":")[2])
    with closing(Proxy(page, random.Random(0), _NARROW)) as proxy:
        proxy.slow = True
        with bench.viewers(1, 1, proxy.port) as viewers:
            found = bench.measured(seconds, viewers)
            size = statistics.median(viewers[0].sizes)
    kept = {key: round(found[key], 1) for key in ("pictures_per_s", "age_p50_ms", "age_p95_ms")}
    return {**kept, "transfer_ms": round(1000 * size / _NARROW)}


def save_to_running(bench: Bench) -> dict[str, float]:
    """Seconds from a save to its answer, which comes when the daemon runs with it; frames lost by other cameras."""
    path = "api/cameras/cam0/shapes"
    before = bench.client.get("api/state").json()["stats"]["cameras"]["cam1"]["connections"]
    found = bench.client.get(path).json()
    shapes = {**found["shapes"], "zones": {"porch": {"polygon": [[0, 0], [1, 0], [1, 1]]}}}
    began = time.monotonic()
    answer = bench.client.put(path, json={"shapes": shapes}, headers={"If-Match": found["revision"]})
    took = time.monotonic() - began
    assert answer.status_code == 200, answer.text
    time.sleep(3)
    after = bench.client.get("api/state").json()["stats"]["cameras"]["cam1"]["connections"]
    return {"save_s": round(took, 2), "other_cameras_reconnected": after - before}


def kills(bench: Bench, count: int, start: Callable[[], WebPage]) -> dict[str, float]:
    """The page's process is killed while it is looked at and saves; what the daemon has of it afterwards."""
    descriptors, used = len(list(Path(f"/proc/{bench.daemon}/fd").iterdir())), memory(bench.daemon)
    captured, chance, saved = _captured(bench), random.Random(1), 0
    for _ in range(count):
        with bench.viewers(1, 4):
            saved += killed_while_saving(bench.web, bench.client, "cam0", chance)
        bench.web = start()
        bench.client.cookies.clear()
        bench.client.post("api/session", json={"token": bench.web.token()})
    time.sleep(2)
    return {
        "kills": count,
        "files_new_others_old": saved,
        "descriptors_more": len(list(Path(f"/proc/{bench.daemon}/fd").iterdir())) - descriptors,
        "daemon_mb_more": round(memory(bench.daemon) - used, 1),
        "frames_captured": _captured(bench) - captured,
    }


def _captured(bench: Bench) -> int:
    wait_for(lambda: bench.client.get("api/state").json()["stats"], "statistics")
    cameras: dict[str, Any] = bench.client.get("api/state").json()["stats"]["cameras"]
    return sum(camera["captured"] for camera in cameras.values())


def unwatched() -> dict[str, float]:
    """What a frame costs the daemon while nobody looks: one look-up in the camera's thread."""
    wishes, frame = (
        PictureWishes(),
        Frame("cam", 1, BgrPicture(np.zeros((2, 2, 3), np.uint8)), 0, 0, None, True, lambda: None),
    )
    times = 1_000_000
    nothing = min(timeit.repeat(lambda: None, number=times, repeat=5, timer=time.process_time))
    took = min(
        timeit.repeat(lambda: wishes.delivered(frame, edited=False), number=times, repeat=5, timer=time.process_time)
    )
    return {"look_up_us": round((took - nothing) / times * 1e6, 3)}


def detector(folder: Path, gpu: bool) -> dict[str, Any]:
    """A model that computes nothing, so that only what lies around it is measured; or a real one, on the GPU."""
    if gpu:
        return {"models": {"default": "street"}, "tracking": {}}
    model = Making({"out": np.zeros((1, 84, 7), np.float32)}, {"out": "Identity"}, metadata=TWO_NAMES)
    return {
        "models": {"default": {"file": str(model.save(folder / "nothing.onnx"))}},
        "inference": {"backend": "onnxruntime", "threads": 1},
        "tracking": {},
    }


def run(given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """One line after the other."""
    cameras, rounds, seconds = given.cameras, given.rounds, given.seconds
    video = film(Shot("cam", 1280, 720, 15.0, seed=21), folder / "film.mp4", 4.0).file
    with folders(folder), Mosquitto(folder) as broker, ExitStack() as pages:
        names = {f"cam{number}": {"source": str(video), "loop": True} for number in range(cameras)}
        document = web_box(broker, names, {"max_viewers": 8}, **detector(folder, given.gpu))
        with daemon(folder, document) as process, Subscriber(HOST, broker.port) as subscriber:
            began = time.monotonic()
            web = pages.enter_context(page(folder, document))
            cold = time.monotonic() - began
            with web.client() as client:
                wait_for(lambda: len(client.get("api/state").json()["cameras"]) == cameras, "the cameras", 60)
                time.sleep(5)
                bench = Bench(web, client, process.pid, subscriber)
                idle = bench.measured(seconds, [])
                yield "P0 nobody looks", {"web_cpu": round(idle["web_cpu"], 2), **unwatched()}
                yield "null", compared(bench, 0, 0, rounds, seconds)
                yield "P1, P2, P5 one viewer, one camera", compared(bench, 1, 1, rounds, seconds)
                yield "P3, P4 four viewers, four cameras", compared(bench, 4, 4, rounds, seconds)
                yield "P5 one viewer behind 1 Mbit/s", narrow(bench, 3 * seconds)
                yield "P6", {"first_page_s": round(cold, 2), **save_to_running(bench)}
                yield "kill -9", kills(bench, given.kills, lambda: pages.enter_context(page(folder, document)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of half a round")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--gpu", action="store_true", help="a real model on the GPU in place of one that does nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for what, line in run(given, Path(folder)):
            print(f"{what}: {json.dumps(line)}", flush=True)


if __name__ == "__main__":
    main()
