"""Many streams through one daemon, paced as cameras are, with a real broker and a real subscriber.

    python -m tests.benchmarks.streams 1080p.mp4 --streams 80 160 --model yolov8n.onnx --labels coco --hw nvdec

Any H.264 file will do; it is played again and again. `--flat-out` reads it as fast as possible instead, and measures
decoding alone before each run. `--reconnects 50` closes and opens all cameras so often, with `--frames` of each camera
between the first and the last, and says what memory and threads do. Figures are of the seconds after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2

from tests.benchmarks.counters import Counters
from tests.benchmarks.end_to_end import decode_alone
from tests.benchmarks.frame_listener import Listeners, listening
from tests.benchmarks.machine_use import Gpus, Processes, busiest_child, cpu_seconds, limit, used
from tests.benchmarks.nvdec_alone import nvdec_alone
from tests.benchmarks.stream_reconnects import reconnected
from tests.daemon.running import TOPICS, box, daemon
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.rtsp_cameras import RtspCameras

_TOLD = 6000  # characters of the log where something goes wrong
_ENDS_WITHIN = 60.0  # seconds
_QUICK = ["set_tcp_nodelay true", "max_queued_messages 0", "max_queued_bytes 0", "sys_interval 1"]
_ENOUGH = 0.99  # of its frames, for a camera that keeps up


@dataclass(frozen=True)
class Running:
    """A daemon whose cameras all give frames."""

    pid: int
    counters: Counters
    listeners: Listeners
    broker: Mosquitto
    cameras: RtspCameras | None
    names: list[str]
    started: float
    """seconds until all cameras have given a frame, or none was waited for any more"""
    silent: int
    """cameras that have given none by then"""


def main() -> None:
    """Prints the figures as JSON, one object for each number of streams."""
    asked = _arguments()
    if asked.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(asked.gpus)))
    report: dict[str, Any] = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "clip": _described(asked.clip),
        "model": asked.model,
        "runs": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        asked.cache = (asked.cache or Path(folder) / "engines").absolute()
        for number, count in enumerate(asked.streams):
            place = Path(folder) / str(number)
            place.mkdir()
            report["runs"].append(_run(asked, count, place))
            print(json.dumps(report["runs"][-1], indent=1), flush=True)
            if asked.json is not None:
                asked.json.write_text(json.dumps(report, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=lambda path: Path(path).absolute())
    parser.add_argument("--streams", type=int, nargs="+", required=True)
    parser.add_argument("--model", default="street")
    parser.add_argument("--labels")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--hw", default="auto", help="hw_acceleration of the cameras")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--starts-within", type=float, default=560.0, help="seconds, with building the engines")
    parser.add_argument("--warm-up", type=float, default=6.0, help="seconds from the first frame of the last camera on")
    parser.add_argument("--rtsp", action="store_true", help="over RTSP instead of from the file")
    parser.add_argument("--flat-out", action="store_true")
    parser.add_argument("--reconnects", type=int, default=0)
    parser.add_argument("--frames", type=int, default=0, help="of each camera, while reconnecting")
    parser.add_argument("--kill", action="store_true", help="kill -9 the busiest process below the daemon, and go on")
    parser.add_argument("--shards", type=int, help="inference.shards; default: the daemon's")
    parser.add_argument("--gpus", type=int, default=0, help="how many the daemon may see; 0: all")
    parser.add_argument("--listeners", type=int, default=2, help="processes that subscribe")
    parser.add_argument("--cache", type=Path, help="of engines; default: a new one, which takes time")
    parser.add_argument("--json", type=Path, help="writes the figures there too")
    return parser.parse_args()


def _run(asked: argparse.Namespace, streams: int, folder: Path) -> dict[str, Any]:
    """All figures with so many streams."""
    figures: dict[str, Any] = {
        "streams": streams,
        "source": "rtsp" if asked.rtsp else "file",
        "hw": asked.hw,
        "shards": asked.shards,
    }
    if asked.flat_out:
        figures["decoding_alone"] = _alone(asked, streams)
    with Gpus() as gpus, _running(asked, streams, folder) as running:
        if asked.reconnects:
            topics = [f"{TOPICS}/{name}" for name in running.names]
            figures["reconnects"] = reconnected(
                running.pid, running.broker.port, topics, running.counters, asked.reconnects, asked.frames
            )
        gpus.begin()
        figures.update(_measured(asked, running))
        figures["gpus"] = gpus.figures()
    figures["limit"] = limit(figures["daemon"], figures["gpus"])
    if figures["gpus"]:
        figures["gpu_memory_mb_a_stream"] = round(sum(gpu["memory_mb"] for gpu in figures["gpus"]) / streams, 1)
    if asked.flat_out:
        figures["of_decoding_alone"] = round(figures["published_fps"] / figures["decoding_alone"]["fps"], 3)
    return figures


def _measured(asked: argparse.Namespace, running: Running) -> dict[str, Any]:
    """Of so many seconds from now on."""
    others = {"broker": [running.broker.pid], "subscribers": running.listeners.pids}
    if running.cameras is not None:
        others["rtsp_server"] = [running.cameras.pid]
    spent = {name: sum(cpu_seconds(pid) for pid in pids) for name, pids in others.items()}
    running.listeners.begin()
    before, first = Processes.of(running.pid), running.counters.read()
    killed = _wait(asked, running)
    last, after = running.counters.read(), Processes.of(running.pid)
    heard = running.listeners.end()
    took = last.at - first.at
    captured, published = (
        {name: last[what].get(name, 0) - first[what].get(name, 0) for name in running.names}
        for what in ("captured", "published")
    )
    received, dropped = sum(heard["frames"].values()), last.dropped - first.dropped
    figures: dict[str, Any] = {
        "started_after_s": running.started,
        "cameras_silent_at_first": running.silent,
        "seconds": round(took, 1),
        "captured_fps": round(sum(captured.values()) / took, 1),
        "published_fps": round(sum(published.values()) / took, 1),
        "received_fps": round(received / took, 1),
        "published_of_captured": round(sum(published.values()) / max(1, sum(captured.values())), 4),
        "dropped": dict(dropped),
        "lost_by_broker": heard["lost_by_broker"],
    }
    if not asked.flat_out:
        wanted = _fps(asked.clip) * took
        figures["given_fps"] = round(_fps(asked.clip) * len(running.names), 1)
        figures["published_of_given"] = round(sum(published.values()) / (wanted * len(running.names)), 4)
        figures["cameras_that_keep_up"] = sum(count >= _ENOUGH * wanted for count in published.values())
    figures["slowest_camera_fps"] = round(min(published.values()) / took, 1)
    gaps = sorted(round(gap, 2) for gap in heard["longest_gap_s"].values())
    figures["longest_gap_s"] = gaps[-1] if gaps else took
    if killed:
        figures["longest_gaps_s"] = gaps  # of each camera: those of the process that was killed, and the others
    figures.update({key: heard[key] for key in heard if key.endswith(("_ms", "_frame"))})
    figures["megabits_a_second"] = round(heard["bytes"] * 8e-6 / took, 1)
    figures["daemon"] = used(before, after)
    figures["other_cores"] = {
        name: round((sum(cpu_seconds(pid) for pid in pids) - spent[name]) / took, 2) for name, pids in others.items()
    }
    return figures


def _wait(asked: argparse.Namespace, running: Running) -> bool:
    """Through the measurement; whether a process was killed a third into it."""
    if asked.kill:
        running.counters.wait(asked.seconds / 3)
        os.kill(busiest_child(running.pid), signal.SIGKILL)
    running.counters.wait(asked.seconds * (2 / 3 if asked.kill else 1))
    return bool(asked.kill)


@contextmanager
def _running(asked: argparse.Namespace, streams: int, folder: Path) -> Iterator[Running]:
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder, more=_QUICK, packets=False))
        cameras = stack.enter_context(RtspCameras(asked.clip)) if asked.rtsp else None
        names = [f"c{index}" for index in range(streams)]
        topics = [f"{TOPICS}/{name}/detections" for name in names]
        listeners = stack.enter_context(listening(broker.port, topics, asked.listeners))
        port = free_port()
        source = str(asked.clip) if cameras is None else cameras.url()
        document = box(broker, {name: _camera(asked, source) for name in names}, **_settings(asked, port))
        os.environ["STATE_DIRECTORY"] = str(folder)
        process = stack.enter_context(daemon(folder, document))
        counters = Counters(port, process)
        try:
            started, silent = _start(counters, names, asked.starts_within, folder / "log")
            counters.wait(asked.warm_up)
            yield Running(process.pid, counters, listeners, broker, cameras, names, started, silent)
            process.terminate()
            if process.wait(_ENDS_WITHIN):
                print(f"the daemon has ended with {process.returncode}", file=sys.stderr)
        except BaseException:
            sys.stderr.write((folder / "log").read_text()[-_TOLD:])
            raise


def _start(counters: Counters, names: list[str], within: float, log: Path) -> tuple[float, int]:
    """How long it took until every camera had given a frame, and how many have given none; fails if none has."""
    began = time.monotonic()
    silent = counters.wait_for_all(names, within)
    if silent:
        sys.stderr.write(log.read_text()[-_TOLD:])
    if len(silent) == len(names):
        raise RuntimeError(f"no camera has given a frame in {within:g} s; the log above may say why")
    return round(time.monotonic() - began, 1), len(silent)


def _camera(asked: argparse.Namespace, source: str) -> dict[str, Any]:
    camera: dict[str, Any] = {"source": source, "hw_acceleration": asked.hw}
    if not asked.rtsp:
        camera |= {"loop": True, "pace": "as-fast-as-possible" if asked.flat_out else "realtime"}
    return camera


def _settings(asked: argparse.Namespace, port: int) -> dict[str, Any]:
    file = asked.model if asked.model == "street" else str(Path(asked.model).absolute())
    shards = {} if asked.shards is None else {"shards": asked.shards}
    model = {"file": file, "precision": asked.precision, **({"labels": asked.labels} if asked.labels else {})}
    return {
        "models": {"default": model},
        "inference": {"cache": str(asked.cache), "max_batch": asked.max_batch, **shards},
        "tracking": {},
        "service": {"metrics": {"port": port}},
    }


def _alone(asked: argparse.Namespace, streams: int) -> dict[str, float]:
    """What decoding gives by itself, with as many streams."""
    if asked.hw in ("nvdec", "auto") and Path("/dev/nvidia0").exists():
        return nvdec_alone(asked.clip, streams, asked.seconds)
    return {"fps": round(decode_alone(asked.clip, streams, asked.seconds), 1)}


def _described(clip: Path) -> str:
    video = cv2.VideoCapture(str(clip))
    width, height, frames = (
        int(video.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_COUNT)
    )
    return f"{clip.name}, {width}x{height}, {frames} frames at {_fps(clip):.2f}/s"


def _fps(clip: Path) -> float:
    return float(cv2.VideoCapture(str(clip)).get(cv2.CAP_PROP_FPS))


if __name__ == "__main__":
    main()
