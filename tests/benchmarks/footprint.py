"""Memory and processor time of the daemon, and how long it takes to start.

`python -m tests.benchmarks.footprint --seconds 20` runs `ospreyd run` with 0, 4 and 16 cameras that play one film of
1280x720 at 15 frames a second, publishing to a Mosquitto. Detection is left out: the model is one that computes
nothing, so what is measured is decoding, letterboxing, hand-offs and publishing. Two more rows, of the most cameras,
have a model that finds ten objects in every frame, which are not followed, and followed through three zones and over
six lines. `--imports` prints what importing takes instead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from daemon.demo.film import Shot, film
from tests.benchmarks.mot_areas import LINES, ZONES
from tests.engines.making import TWO_NAMES, Making
from tests.servers.mosquitto import HOST, Mosquitto, free_port

FPS = 15.0
_SETTLING = 5.0  # seconds
_READY_WITHIN = 60.0  # seconds
_OBJECTS = 10  # in each frame of the last two rows
_AREAS = {
    "zones": {name: zone.model_dump(exclude_unset=True) for name, zone in ZONES.items()},
    "lines": {name: line.model_dump(exclude_unset=True, by_alias=True) for name, line in LINES.items()},
}


def measure(
    cameras: int,
    seconds: float,
    video: Path,
    folder: Path,
    settling: float = _SETTLING,
    objects: int = 0,
    *,
    tracking: bool = False,
) -> dict[str, float]:
    """One daemon with so many cameras, from its start; measured from `settling` seconds after READY on.

    There are `objects` in every frame, 14 at most, and they are followed where `tracking` says so.
    """
    port = free_port()
    with Mosquitto(folder) as broker, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(_READY_WITHIN)
        camera = {"source": str(video), "loop": True, **(_AREAS if tracking else {})}
        names = {f"cam{number}": camera for number in range(cameras)}
        document = {
            "device": "box",
            "tracking": {} if tracking else None,
            "mqtt": {"host": HOST, "port": broker.port},
            "models": {"default": {"file": str(_model(objects).save(folder / "made.onnx"))}},
            "inference": {"backend": "onnxruntime", "threads": 1},
            "service": {"metrics": {"port": port}},
            "cameras": names or {"none": {"source": str(video), "enabled": False}},
        }
        (folder / "box.yaml").write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "daemon", "run", str(folder / "box.yaml")]
        began = time.monotonic()
        with (folder / "log").open("w") as log:
            environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "STATE_DIRECTORY": str(folder)}
            process = subprocess.Popen(command, stderr=log, env=environment)
        try:
            while manager.recv(4096) != b"READY=1":
                if process.poll() is not None:
                    raise RuntimeError((folder / "log").read_text())
            ready = time.monotonic() - began
            manager.close()  # nobody reads it from now on
            time.sleep(settling)
            row = {"cameras": cameras, "objects": objects, "tracking": tracking, "ready_s": round(ready, 2)}
            return {**row, **_use(process.pid, seconds, port)}
        finally:
            process.terminate()
            process.wait(20)


def _model(objects: int) -> Making:
    """Computes nothing, and says that there are so many: laid out as YOLOX, with boxes a cell of 8 x 8 apart."""
    found = np.zeros((1, 84, 7), np.float32)
    cells = [8 * row + column for row in (1, 3) for column in range(1, 8)][:objects]
    found[0, cells, 4:6] = 0.9, 0.9
    return Making({"out": found}, {"out": "Identity"}, metadata=TWO_NAMES)


def imports() -> list[dict[str, float | str]]:
    """What importing the command takes, the modules of 20 ms and more with all that they import, slowest first."""
    command = [sys.executable, "-X", "importtime", "-c", "import daemon.__main__"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", said)
    times = sorted(((int(microseconds) / 1000, name) for microseconds, name in found), reverse=True)
    return [{"module": name, "ms": round(ms)} for ms, name in times if ms >= 20]


def _use(pid: int, seconds: float, port: int) -> dict[str, float]:
    """Of a process, over so many seconds."""
    frames, cpu, began = _processed(port), _cpu(pid), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        "fps": round((_processed(port) - frames) / took, 1),
        "cpu_percent_of_a_core": round(100 * (_cpu(pid) - cpu) / took, 1),
        "memory_mb": round(int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024, 1),
        "threads": int(re.findall(r"Threads:\s+(\d+)", status)[0]),
    }


def _cpu(pid: int) -> float:
    """Processor seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _processed(port: int) -> float:
    """Frames so far, of all cameras."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return sum(map(float, re.findall(r"^ospreyd_frames_processed_total\{.*\} (\S+)", text, re.MULTILINE)))


def main() -> None:
    """Prints one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--cameras", type=int, nargs="*", default=[0, 4, 16])
    parser.add_argument("--imports", action="store_true")
    asked = parser.parse_args()
    result: dict[str, Any] = {}
    if asked.imports:
        result["imports"] = imports()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            video = Path(scratch) / "street.mp4"
            film(Shot("street", 1280, 720, FPS, seed=21), video, 10.0)
            result["cameras"] = []
            for count in asked.cameras:
                (folder := Path(scratch) / str(count)).mkdir()
                result["cameras"].append(measure(count, asked.seconds, video, folder))
            for tracking in (False, True):
                (folder := Path(scratch) / f"objects-{tracking}").mkdir()
                row = measure(max(asked.cameras), asked.seconds, video, folder, objects=_OBJECTS, tracking=tracking)
                result["cameras"].append(row)
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
