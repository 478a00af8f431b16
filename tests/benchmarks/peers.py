"""ospreyd beside what people write instead, on the same clip in the same run.

    python -m tests.benchmarks.peers 1080p.mp4 --streams 16 --model yolov8n.onnx --labels coco --seconds 8

Each peer is a program of its own with all cores; what is not installed is skipped with the reason. `ultralytics` and
`torch` use yolov8n with random weights, which has few objects and so favours them. `--fps 30` paces the decoders, and
the newest picture of each stream counts; else all decode as fast as their pictures are taken. ultralytics decodes as
fast as it can in both cases, since its loader knows no pace. An age is from the decoded picture to its result.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.peer_loops import NAMES

_TIMEOUT = 300.0  # seconds, with building the engine


def main() -> None:
    """Prints one JSON object: figures by peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=lambda path: Path(path).absolute())
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--model", type=lambda path: Path(path).absolute(), required=True)
    parser.add_argument("--labels", default="")
    parser.add_argument("--fps", type=float, default=0.0, help="of each stream; 0: as fast as possible")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--peers", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--hw", nargs="*", default=["none", "nvdec"], help="ospreyd with each hw_acceleration")
    parser.add_argument("--cache", type=Path, help="of engines; default: a new one, which takes time")
    parser.add_argument("--json", type=Path, help="writes the figures there too")
    asked = parser.parse_args()
    report: dict[str, Any] = {"streams": asked.streams, "fps": asked.fps or "as fast as possible", "peers": {}}
    with tempfile.TemporaryDirectory() as folder:
        cache = (asked.cache or Path(folder) / "engines").absolute()
        for hw in asked.hw:
            report["peers"][f"ospreyd, {hw}"] = _ospreyd(asked, hw, cache, Path(folder))
        for name in asked.peers:
            report["peers"][name] = _peer(asked, name, cache)
            print(name, json.dumps(report["peers"][name]), file=sys.stderr, flush=True)
    text = json.dumps(report, indent=1)
    print(text)
    if asked.json is not None:
        asked.json.write_text(text + "\n")


def _peer(asked: argparse.Namespace, name: str, cache: Path) -> dict[str, Any]:
    values = (name, asked.clip, asked.streams, asked.fps, asked.seconds, asked.model, asked.labels, cache)
    return _last_object([sys.executable, "-m", "tests.benchmarks.peer_loops", *map(str, values)])


def _ospreyd(asked: argparse.Namespace, hw: str, cache: Path, folder: Path) -> dict[str, Any]:
    """The whole daemon with tracking, events and messages, and with whatever its subscribers get."""
    file = folder / "ospreyd.json"
    command = [sys.executable, "-m", "tests.benchmarks.streams", str(asked.clip), "--streams", str(asked.streams)]
    command += ["--model", str(asked.model), "--hw", hw, "--seconds", str(asked.seconds), "--cache", str(cache)]
    command += ["--json", str(file)]
    command += ["--labels", asked.labels] if asked.labels else []
    command += [] if asked.fps else ["--flat-out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        return {"failed": done.stderr[-500:]}
    (run,) = json.loads(file.read_text())["runs"]
    ages = run["capture_to_received_ms"]
    return {
        "fps": run["received_fps"],
        "age_p50_ms": ages["p50"],
        "age_p99_ms": ages["p99"],
        "cores": run["daemon"]["cores"],
        "objects_a_frame": run["objects_a_frame"],
    }


def _last_object(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        return {"failed": done.stderr[-500:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
