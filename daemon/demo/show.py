"""The demonstration: films the street, runs the daemon on it, and shows what a subscriber receives."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import yaml
from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from daemon.analysis.geometry import View
from daemon.config.camera import Camera
from daemon.demo.film import SHOTS, Film, film
from daemon.demo.identity import AREAS, Identity, draw_tracks, identity
from daemon.demo.page_process import DemoPage, demo_page, environment, free_port
from daemon.demo.score import Score, score, seen_in
from daemon.demo.street.generator import LABELS
from daemon.demo.subscriber import Received, Subscriber
from daemon.errors import DaemonError, UsageError
from daemon.media.area_drawing import draw_areas
from daemon.media.draw import annotate
from engines.records import Detections

DEVICE = "demo"
_PREFIX = f"ospreyd/{DEVICE}"
_FILM_SECONDS = 10.0
_STREAMING_WITHIN = 30.0  # seconds from starting the daemon to the first message of every camera


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demonstration came to."""

    cameras: dict[str, dict[str, float]]
    """by camera: messages, fps, latency_ms_p50, latency_ms_p95, recall, precision, idf1"""
    recall: float
    precision: float
    idf1: float
    """of who is who"""
    crossings: dict[str, int]
    """of the lines: told and true"""
    entries: dict[str, int]
    """to the zones: told and true"""
    pictures: dict[str, str]
    messages: str


def show(folder: Path, seconds: float, broker: tuple[str, int] | None, port: int, console: Console) -> Summary:
    """Runs the demonstration for `seconds`; everything that it makes is put into `folder`.

    `broker` is one to use; without it one of our own listens on `port` (0: a free one). Raises DaemonError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made a folder: {error.strerror}; choose another with --output") from None
    films = _film(folder, min(seconds, _FILM_SECONDS), console)
    messages = folder / "messages.jsonl"
    with _broker(broker, port, console) as address:
        subscriber = Subscriber(*address, _PREFIX, messages)
        subscriber.start()
        page_port, environ = free_port(), environment(folder)
        config = _write_config(folder, films, address, page_port)
        log = folder / "ospreyd.log"
        with (
            _daemon(config, log, environ, console) as daemon,
            demo_page(config, DEVICE, page_port, environ, console) as page,
        ):
            _watch(subscriber, daemon, seconds, page, log, console)
        subscriber.stop()
    return _summarise(folder, films, subscriber.cameras, messages)


def _film(folder: Path, seconds: float, console: Console) -> list[Film]:
    films = []
    with Progress(console=console, transient=True) as progress:
        for shot in SHOTS:
            task = progress.add_task(f"filming {shot.camera} ({shot.width}x{shot.height})", total=seconds * shot.fps)
            file = folder / f"{shot.camera}.mp4"
            films.append(film(shot, file, seconds, partial(progress.advance, task)))
    return films


@contextmanager
def _broker(given: tuple[str, int] | None, port: int, console: Console) -> Iterator[tuple[str, int]]:
    """The broker given, or one of our own on `port` for as long as it is needed."""
    if given is not None:
        yield given
        return
    with subprocess.Popen(
        [sys.executable, "-m", "daemon.demo.broker", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise UsageError(
                    f"port {port} is in use; choose another with --port, "
                    f"or use the broker that listens there with --broker 127.0.0.1:{port}"
                    if port
                    else "the embedded broker did not start; give one with --broker host:port"
                )
            console.print(f"embedded MQTT broker on 127.0.0.1:{line.strip()}")
            yield "127.0.0.1", int(line)
        finally:
            process.terminate()


def _write_config(folder: Path, films: Sequence[Film], broker: tuple[str, int], page_port: int) -> Path:
    host, port = broker
    document = {
        "device": DEVICE,
        "mqtt": {"host": host, "port": port, "outbox": {"path": "outbox.db"}},
        "models": {"default": "street"},
        "tracking": {},
        "service": {"web": {"port": page_port}},
        "cameras": {f.shot.camera: {"source": f.file.name, "loop": True, **AREAS} for f in films},
    }
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@contextmanager
def _daemon(config: Path, log: Path, environ: Mapping[str, str], console: Console) -> Iterator[subprocess.Popen[bytes]]:
    """`ospreyd run` as a user would start it, its log in a file; stopped at the end."""
    console.print(f"ospreyd run {config}")
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            [sys.executable, "-m", "daemon", "run", str(config)], stderr=stream, stdin=subprocess.DEVNULL, env=environ
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise DaemonError(f"the daemon did not stop within 10 s; its log is {log}") from None


def _watch(
    subscriber: Subscriber,
    daemon: subprocess.Popen[bytes],
    seconds: float,
    page: DemoPage,
    log: Path,
    console: Console,
) -> None:
    """Shows what arrives, for `seconds` from the first message of every camera, and while the page is looked at."""
    names = [shot.camera for shot in SHOTS]
    give_up = time.monotonic() + _STREAMING_WITHIN
    end: float | None = None
    with Live(console=console, refresh_per_second=4, transient=not console.is_terminal) as live:
        while end is None or time.monotonic() < end or page.is_looked_at():
            if daemon.poll() is not None:
                raise DaemonError(f"the daemon ended with code {daemon.returncode}; its log is {log}")
            if end is None and all(subscriber.cameras.get(name, Received()).messages for name in names):
                end = time.monotonic() + seconds
            if end is None and time.monotonic() > give_up:
                raise DaemonError(f"no detections within {_STREAMING_WITHIN:.0f} s; the daemon's log is {log}")
            if console.is_terminal:
                live.update(_table(subscriber))
            time.sleep(0.1)
    if not console.is_terminal:
        console.print(_table(subscriber))


def _table(subscriber: Subscriber) -> Table:
    table = Table(
        "camera", "state", "frames/s", "latency ms", "objects", title=f"{_PREFIX}: {subscriber.device}", min_width=78
    )
    for name, received in sorted(dict(subscriber.cameras).items()):
        last = received.messages[-1] if received.messages else None
        counts = Counter(o["label"] for o in last["objects"]) if last else {}
        table.add_row(
            name,
            received.state + (f" ({received.reason})" if received.reason else ""),
            f"{received.fps:.1f}",
            f"{statistics.median(received.latencies[-50:]):.0f}" if last else "-",
            ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "-",
        )
    return table


def _summarise(folder: Path, films: Sequence[Film], received: dict[str, Received], messages: Path) -> Summary:
    cameras, pictures, total, who = {}, {}, Score(), Identity()
    for filmed in films:
        name = filmed.shot.camera
        got = received[name]
        marks = Score()
        for message in got.messages:
            marks += score(filmed.truths[filmed.frame_at(message["stream_time"])], seen_in(message))
        total += marks
        own = identity(filmed, got.messages, got.events.values())
        who += own
        p50, p95 = np.percentile(got.latencies, (50, 95))
        cameras[name] = {
            "messages": len(got.messages),
            "fps": round((len(got.arrivals) - 1) / max(got.arrivals[-1] - got.arrivals[0], 1e-9), 2),
            "latency_ms_p50": round(float(p50), 1),
            "latency_ms_p95": round(float(p95), 1),
            "recall": round(marks.recall, 4),
            "precision": round(marks.precision, 4),
            "idf1": round(own.idf1, 4),
        }
        pictures[name] = str(_picture(folder, filmed, got))
    crossings, entries = (dict(zip(("told", "true"), counts, strict=True)) for counts in (who.crossings, who.entries))
    accuracy = round(total.recall, 4), round(total.precision, 4), round(who.idf1, 4)
    return Summary(cameras, *accuracy, crossings, entries, pictures, str(messages))


def _picture(folder: Path, filmed: Film, got: Received) -> Path:
    """The fullest frame with what was published for it."""
    message = max(got.messages, key=lambda m: len(m["objects"]))
    objects = message["objects"]
    found = Detections(
        np.array([o["box"] for o in objects], np.float32).reshape(-1, 4),
        np.array([o["score"] for o in objects], np.float32),
        np.array([o["class_id"] for o in objects], np.int32),
    )
    path = folder / f"{filmed.shot.camera}.png"
    frame = filmed.frame_at(message["stream_time"])
    camera = Camera.model_validate({"source": str(filmed.file), **AREAS})
    picture = draw_tracks(
        draw_areas(filmed.picture(frame), camera, View(filmed.shot.width, filmed.shot.height).pixels),
        got.messages,
        message,
    )
    cv2.imwrite(str(path), annotate(picture, found, LABELS, f"{filmed.shot.camera}  frame {frame}"))
    return path


def report(summary: Summary, console: Console) -> None:
    """The summary for people."""
    table = Table("camera", "messages", "frames/s", "latency p50 / p95 ms", "recall", "precision", "IDF1")
    for name, c in summary.cameras.items():
        table.add_row(
            name,
            f"{c['messages']:.0f}",
            f"{c['fps']:.1f}",
            f"{c['latency_ms_p50']:.0f} / {c['latency_ms_p95']:.0f}",
            f"{c['recall']:.3f}",
            f"{c['precision']:.3f}",
            f"{c['idf1']:.3f}",
        )
    console.print(table)
    console.print(
        f"against the street's truth at IoU 0.5: recall {summary.recall:.3f}, precision {summary.precision:.3f}"
    )
    console.print(
        f"objects: IDF1 {summary.idf1:.3f}; lines crossed {summary.crossings['told']} times, "
        f"truly {summary.crossings['true']}; zones entered {summary.entries['told']} times, "
        f"truly {summary.entries['true']}"
    )
    for picture in summary.pictures.values():
        console.print(f"picture   {picture}", soft_wrap=True)
    console.print(f"messages  {summary.messages}", soft_wrap=True)
