"""Checks of what the configuration names: the metrics port, the cameras."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue

import orjson

from daemon.capture.sources.base import SourceError, grab_usable, open_within
from daemon.capture.sources.decoder import decided_for
from daemon.capture.sources.open import open_source
from daemon.config.camera import Camera
from daemon.config.credentials import shown_source
from daemon.config.schema import Config
from daemon.config.service import Metrics
from daemon.doctor.finding import Finding, Problem
from daemon.records import Reason
from daemon.system.threads import TooFewThreadsError, start_thread

_METRICS_WITHIN = 2.0  # seconds
_LARGEST_ANSWER = 4096  # bytes
_LONGER = 2.0  # seconds that a camera gets beyond its own time-outs


def metrics(config: Config) -> Finding:
    """Whether the port is free, or served by the running daemon of this device."""
    wanted = config.service.metrics
    if wanted is None:
        return Finding("metrics", "switched off: service.metrics is null", {"port": None, "problem": None})
    facts = {"host": wanted.host, "port": wanted.port, "problem": None}
    at = f"{wanted.host} port {wanted.port}"
    try:
        family = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((wanted.host, wanted.port))
    except OSError as error:
        device = _device_at(wanted)
        if device == config.device:
            return Finding("metrics", f"{at}: served by the daemon that runs", facts)
        who = f"ospreyd of the device {device} has it" if device else error.strerror or str(error)
        said = f"{at} cannot be listened on: {who}; without it there are no metrics and no health checks"
        fix = "set another service.metrics.port, or service.metrics: null; who has this one: ss -ltnp"
        return Finding("metrics", said, {**facts, "problem": said}, (Problem("metrics", said, fix, stops=False),))
    return Finding("metrics", f"{at} is free", facts)


def _device_at(wanted: Metrics) -> str | None:
    """Device of the ospreyd that serves the port; None if none does."""
    with closing(HTTPConnection(wanted.host, wanted.port, timeout=_METRICS_WITHIN)) as connection:
        try:
            connection.request("GET", "/healthz")
            said = orjson.loads(connection.getresponse().read(_LARGEST_ANSWER))
        except (OSError, HTTPException, orjson.JSONDecodeError):
            return None
    device = said.get("device") if isinstance(said, dict) else None
    return device if isinstance(device, str) else None


def cameras(config: Config) -> list[Finding]:
    """Opens every enabled camera in parallel and waits for one picture of each."""
    enabled = {name: camera for name, camera in config.cameras.items() if camera.enabled}
    answers: dict[str, SimpleQueue[Finding | BaseException]] = {name: SimpleQueue() for name in enabled}
    began = time.monotonic()
    for name, camera in enabled.items():
        arguments = (name, camera, config.inference.backend, answers[name])
        try:
            start_thread(threading.Thread(target=_answer, args=arguments, name=f"doctor:{name}", daemon=True))
        except TooFewThreadsError as error:
            answers[name].put(_camera(name, camera, {"reason": Reason.NO_RESOURCES.value, "problem": str(error)}))
    return [_in_time(name, camera, answers[name], began) for name, camera in enabled.items()]


def _in_time(name: str, camera: Camera, answers: SimpleQueue[Finding | BaseException], began: float) -> Finding:
    within = open_within(camera) + _LONGER
    try:
        answer = answers.get(timeout=max(0.0, began + within - time.monotonic()))
    except Empty:  # a driver or a network file system that does not come back
        return _camera(name, camera, {"reason": "hung", "problem": f"opening it has not ended after {within:.0f} s"})
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _answer(name: str, camera: Camera, backend: str, answers: SimpleQueue[Finding | BaseException]) -> None:
    try:
        answers.put(_look(name, camera, backend))
    except BaseException as error:  # it is raised by who waits
        answers.put(error)


def _look(name: str, camera: Camera, backend: str) -> Finding:
    try:
        with closing(open_source(decided_for(camera, backend))) as source:
            grab_usable(source)
            picture, stream, fallback = source.retrieve(None), source.stream(), source.fallback
    except SourceError as error:
        return _camera(name, camera, {"reason": error.reason.value, "problem": str(error)})
    size = {"width": picture.width, "height": picture.height}
    decoding = {"hw_acceleration": stream.hw_acceleration, "fallback": fallback}
    return _camera(name, camera, {**size, **decoding, "problem": None})


def _camera(name: str, camera: Camera, found: Mapping[str, object]) -> Finding:
    shown = shown_source(camera.source)
    if found["problem"] is None:
        what, fallback = f"camera {name}", found["fallback"]
        fix = "pip install 'ospreyd[nvdec]', or hw_acceleration: none"
        notes = () if fallback is None else (Problem(what, str(fallback), fix, stops=False),)
        return Finding(what, f"{shown}: {found['width']}x{found['height']}", {"source": shown, **found}, notes)
    said = f"{found['reason']}: {found['problem']}"
    fix = f"ospreyd probe SOURCE, with the source of camera {name}"
    return Finding(
        f"camera {name}", f"{shown}: {said}", {"source": shown, **found}, (Problem(f"camera {name}", said, fix),)
    )
