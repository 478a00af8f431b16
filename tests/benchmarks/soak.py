"""The whole daemon for as long as you like: memory, latency and drops over time, as a picture.

    python -m tests.benchmarks.soak --minutes 20 --out soak.svg

Four cameras: two drawn streets as if they were live, one that has an end every two seconds, one that is refused. The
process is measured from outside; what it says of itself comes from its statistics on a real broker.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.demo.film import Shot, film
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Message, Subscriber

_WIDTH, _HEIGHT, _LEFT, _GAP = 900, 130, 80, 40


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the daemon."""

    minutes: float
    """since the first look"""
    resident_mb: float
    threads: int
    descriptors: int
    latency_p50_ms: float
    """from capture to the message, all cameras, since the look before"""
    latency_p99_ms: float
    fps: float
    """frames that went through the model, since the look before"""
    dropped: int
    """frames and messages, for whatever reason, since the start"""


def main(
    minutes: float = 20.0,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 10.0,
    out: Path = Path("soak.svg"),
) -> None:
    """Draws the picture and prints the first look, the middle one and the last as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Mosquitto(folder) as broker, Subscriber(HOST, broker.port, f"{TOPICS}/stats") as subscriber:
            document = box(broker, _cameras(folder))
            document["mqtt"]["stats_every"] = every
            with daemon(folder, document) as process:
                samples: list[Sample] = []
                began = time.monotonic()
                while time.monotonic() - began < minutes * 60:
                    more = partial(_more_than, len(subscriber.messages()))
                    subscriber.wait(more, "the statistics", every + 30)
                    stats = subscriber.messages()[-1].json()
                    if "total" in stats["latency_ms"]:
                        samples.append(_look(process.pid, stats, time.monotonic() - began))
                stop(process)
    out.write_text(_picture(samples))
    typer.echo(json.dumps([asdict(samples[i]) for i in (0, len(samples) // 2, -1)], indent=2))


def _more_than(count: int, messages: list[Message]) -> bool:
    return len(messages) > count


def _cameras(folder: Path) -> dict[str, Any]:
    street = film(Shot("street", 640, 480, 15.0, seed=3), folder / "street.mp4", 20.0)
    corner = film(Shot("corner", 416, 256, 10.0, seed=4), folder / "corner.mp4", 20.0)
    short = film(Shot("short", 416, 256, 10.0, seed=5), folder / "short.mp4", 2.0)
    return {
        "street": {"source": str(street.file), "loop": True},
        "corner": {"source": str(corner.file), "loop": True},
        "short": {"source": str(short.file), "loop": True},
        "away": {"source": f"rtsp://{HOST}:{free_port()}/stream"},
    }


def _look(pid: int, stats: dict[str, Any], seconds: float) -> Sample:
    process = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    cameras = stats["cameras"].values()
    return Sample(
        minutes=round(seconds / 60, 2),
        resident_mb=round(int(status["VmRSS"].split()[0]) / 1024, 1),
        threads=int(status["Threads"]),
        descriptors=len(list((process / "fd").iterdir())),
        latency_p50_ms=stats["latency_ms"]["total"]["p50"],
        latency_p99_ms=stats["latency_ms"]["total"]["p99"],
        fps=round(sum(camera["fps"] for camera in cameras), 1),
        dropped=sum(sum(camera["dropped"].values()) for camera in cameras),
    )


def _picture(samples: Sequence[Sample]) -> str:
    """An SVG with one chart below another."""
    charts = [
        ("resident memory, MB", [[s.resident_mb for s in samples]]),
        ("latency p50 and p99, ms", [[s.latency_p50_ms for s in samples], [s.latency_p99_ms for s in samples]]),
        ("frames a second", [[s.fps for s in samples]]),
        ("dropped since the start", [[float(s.dropped) for s in samples]]),
    ]
    height = len(charts) * (_HEIGHT + _GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/><g font-size="12">',
    ]
    times = [s.minutes for s in samples]
    for index, (title, lines) in enumerate(charts):
        parts += _chart(title, times, lines, 24 + index * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</g></svg>"]) + "\n"


def _chart(title: str, times: Sequence[float], lines: Sequence[Sequence[float]], top: int) -> list[str]:
    most = max(1.0, *(value for line in lines for value in line)) * 1.1
    across = (_WIDTH - _LEFT - 20) / max(times[-1], 1e-9)
    parts = [
        f'<text x="{_LEFT}" y="{top - 6}">{title}</text>',
        f'<text x="8" y="{top + 10}">{most:.3g}</text><text x="8" y="{top + _HEIGHT}">0</text>',
        f'<text x="{_WIDTH - 70}" y="{top + _HEIGHT + 14}">{times[-1]:.1f} min</text>',
        f'<path d="M{_LEFT} {top}V{top + _HEIGHT}H{_WIDTH - 20}" fill="none" stroke="#999"/>',
    ]
    for line, colour in zip(lines, ("#4c78a8", "#f58518"), strict=False):
        points = " ".join(
            f"{_LEFT + t * across:.1f},{top + _HEIGHT - value / most * _HEIGHT:.1f}"
            for t, value in zip(times, line, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
    return parts


if __name__ == "__main__":
    typer.run(main)
