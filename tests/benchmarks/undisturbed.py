"""Live cameras beside a file that loses no frame, while the broker, a format or the disk fails: their rate and latency.

`python -m tests.benchmarks.undisturbed [--seconds 15]` runs one daemon with four live cameras and one file that is read
as fast as possible, and one disturbance after the other. For each it prints, as JSON, what the live cameras got of
their frames and the latency of a frame through the model and up to its message, and both as a part of the quiet times
before and after it; exits with 1 where a live camera lost more than 5 % of its rate or its p99 grew by more than 20 %.

The daemon is started by a launcher of its own, which can make a format slow and notes the latency of each frame. The
outbox is on a small tmpfs that can be filled; where none can be mounted that phase is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from daemon.cli.main import run_cli
from daemon.demo.film import Shot, film
from daemon.publish.formats.frigate import Frigate
from daemon.stats import Stats
from tests.conftest import ROOT, wait_for
from tests.daemon.running import TOPICS, box
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

LIVE = ("north", "east", "south", "west")
FPS = 4.0  # of each live camera
_SLOW = 0.05  # seconds that the slow format takes for a frame
_DISK = "4m"
_SETTLING = 1.0  # seconds of each phase that are not counted


@dataclass(frozen=True, slots=True)
class Phase:
    """What the live cameras got while something was disturbed."""

    rate: float
    """frames a second of the live camera that got least"""
    model_p99: float
    """of live frames, from capture until their results left the model, seconds"""
    total_p99: float | None
    """of live frames, from capture until their messages were written, seconds; None: there was no broker"""
    file_rate: float
    """frames a second of the file"""

    def worse(self, other: Phase) -> Phase:
        """Both together: the lower rates, the longer latencies."""
        totals = [phase.total_p99 for phase in (self, other) if phase.total_p99 is not None]
        return Phase(
            min(self.rate, other.rate),
            max(self.model_p99, other.model_p99),
            max(totals, default=None),
            min(self.file_rate, other.file_rate),
        )


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A daemon that runs, and what can be done to it."""

    folder: Path
    broker: Mosquitto
    disk: Path | None
    """None: no tmpfs can be mounted"""

    def measure(self, seconds: float) -> Phase:
        """What happens from now on, once it has settled."""
        time.sleep(_SETTLING)
        begin = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        model: dict[str, list[float]] = {}
        totals: list[float] = []
        for what, camera, at, latency in self._notes():
            if begin <= at < end:
                if what == "processed":
                    model.setdefault(camera, []).append(latency)
                elif camera in LIVE:
                    totals.append(latency)
        return Phase(
            rate=min(len(model.get(camera, ())) for camera in LIVE) / (end - begin),
            model_p99=_p99([latency for camera in LIVE for latency in model.get(camera, ())]),
            total_p99=_p99(totals) if totals else None,
            file_rate=len(model.get("file", ())) / (end - begin),
        )

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """The broker is killed, and there is one again at the end."""
        self.broker.kill()
        yield
        published = self._published()
        self.broker.start()
        wait_for(lambda: self._published() > published, "the connection to the new broker", 60)

    @contextmanager
    def slow_format(self) -> Iterator[None]:
        """Frigate's format takes 50 ms a frame."""
        (self.folder / "slow").touch()
        yield
        (self.folder / "slow").unlink()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """The outbox's file system has no free byte."""
        if self.disk is None:
            raise RuntimeError("there is no disk that could be filled")
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
        filler.unlink()

    def _published(self) -> int:
        return sum(what == "published" for what, *_ in self._notes())

    def _notes(self) -> Iterator[tuple[str, str, float, float]]:
        for line in (self.folder / "notes").read_text().splitlines(keepends=True):
            if line.endswith("\n"):  # else it is still being written
                what, camera, at, latency = line.split()
                yield what, camera, float(at), float(latency)


@contextmanager
def disturbed(folder: Path) -> Iterator[Disturbed]:
    """A daemon with four live cameras and a file; its log is folder/log."""
    street = film(Shot("street", 416, 256, FPS, seed=3), folder / "street.mp4", 30.0)
    live = {name: {"source": str(street.file), "loop": True} for name in LIVE}
    fast = {"source": str(street.file), "loop": True, "pace": "as-fast-as-possible"}
    with Mosquitto(folder) as broker, _small_disk(folder / "state") as disk:
        document = box(broker, {**live, "file": fast}, inference={"backend": "onnxruntime", "threads": 1})
        document["mqtt"] |= {"formats": {"frigate": {}}, "stats_every": 1}
        document["events"] = {"appear_frames": 1, "gone_after": 0.1}
        document["service"] = {"metrics": None}
        (folder / "box.yaml").write_text(yaml.safe_dump(document))
        launcher = [sys.executable, "-m", "tests.benchmarks.undisturbed", "--launch", str(folder)]
        environment = {**os.environ, "STATE_DIRECTORY": str(folder / "state")}
        with (folder / "log").open("w") as log, Subscriber(HOST, broker.port, f"{TOPICS}/#") as subscriber:
            process = subprocess.Popen(launcher, cwd=ROOT, env=environment, stderr=log)
            try:
                for name in (*LIVE, "file"):
                    subscriber.wait_for(f"{TOPICS}/{name}/detections", timeout=60)
                yield Disturbed(folder, broker, disk)
                process.terminate()
                if process.wait(20) != 0:
                    raise RuntimeError((folder / "log").read_text())
            finally:
                process.kill()
                process.wait()


def phases(run: Disturbed, seconds: float) -> Iterator[tuple[str, Phase, Phase]]:
    """One disturbance after the other: its name, what there was meanwhile, and the worse of the quiet times around."""
    disturbances = {"broker absent": run.without_broker, "slow format": run.slow_format, "full disk": run.full_disk}
    before = run.measure(seconds)
    for name, disturbance in disturbances.items():
        if name == "full disk" and run.disk is None:
            continue
        with disturbance():
            meanwhile = run.measure(seconds)
        after = run.measure(seconds)
        yield name, meanwhile, before.worse(after)
        before = after


def ratios(phase: Phase, quiet: Phase) -> dict[str, float]:
    """Of a phase to a quiet one, by what was measured."""
    found = {"rate": phase.rate / quiet.rate, "model_p99": phase.model_p99 / quiet.model_p99}
    if phase.total_p99 is not None and quiet.total_p99 is not None:
        found["total_p99"] = phase.total_p99 / quiet.total_p99
    return found


def launch(folder: Path) -> int:
    """`ospreyd run` with a format that can be made slow, in this process; notes latencies in folder/notes."""
    notes = (folder / "notes").open("a", buffering=1)
    slow = folder / "slow"
    result, processed, published = Frigate.result, Stats.processed, Stats.published

    def slow_result(self: Frigate, *args: Any) -> Any:
        if slow.exists():
            time.sleep(_SLOW)
        return result(self, *args)

    def note_processed(self: Stats, camera: str, **latency: float) -> None:
        notes.write(f"processed {camera} {time.monotonic()} {sum(latency.values())}\n")
        processed(self, camera, **latency)

    def note_published(self: Stats, frames: Any) -> None:
        frames = list(frames)
        notes.writelines(f"published {camera} {time.monotonic()} {total}\n" for camera, total in frames)
        published(self, frames)

    _replace(Frigate, "result", slow_result)
    _replace(Stats, "processed", note_processed)
    _replace(Stats, "published", note_published)
    return run_cli(["run", str(folder / "box.yaml")])


def _replace(of: type, name: str, by: Callable[..., Any]) -> None:
    setattr(of, name, by)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of its own at `folder`, where the machine lets us mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(folder)], check=False, capture_output=True
    )
    try:
        yield folder if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _p99(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99)) if seconds else float("inf")


def main() -> int:
    """Prints every phase and its ratios to the quiet one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase")
    parser.add_argument("--launch", type=Path, help="folder; only for the daemon that this starts itself")
    options = parser.parse_args()
    if options.launch is not None:
        return launch(options.launch)
    worse = []
    with tempfile.TemporaryDirectory() as name, disturbed(Path(name)) as run:
        for phase, meanwhile, quiet in phases(run, options.seconds):
            compared = ratios(meanwhile, quiet)
            shown = {"meanwhile": _rounded(asdict(meanwhile)), "quiet": _rounded(asdict(quiet))}
            print(json.dumps({"phase": phase, **shown, "ratios": _rounded(compared)}), flush=True)
            if compared.pop("rate") < 0.95 or max(compared.values()) > 1.2:
                worse.append(phase)
    print(json.dumps({"worse": worse}))
    return 1 if worse else 0


def _rounded(values: dict[str, Any]) -> dict[str, float | None]:
    return {key: None if value is None else round(value, 4) for key, value in values.items()}


if __name__ == "__main__":
    sys.exit(main())
