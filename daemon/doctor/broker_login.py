"""Whether the broker lets the daemon in, without taking the connection of one that runs; who shares its topics."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue

import orjson

from daemon.config.schema import Config
from daemon.doctor.finding import Finding, Problem
from daemon.errors import UsageError
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.link import Link, LinkState
from daemon.mqtt.topics import DeviceTopics
from daemon.outbox.sqlite_file import lock_of
from daemon.outbox.store import outbox_path
from engines.errors import FolderError

_WITHIN = 20.0  # seconds: MQTT 5 is tried, then 3.1.1
_RETAINED_WITHIN = 1.0  # seconds without another retained message
_LARGEST = 65536  # bytes of what a device says of itself
_METRICS_WITHIN = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class _Answer:
    """Of the broker, to one client."""

    state: LinkState
    retained: dict[str, bytes]
    """by topic"""


def broker(config: Config) -> Finding:
    """Logs in, with the daemon's client identifier only where that takes the connection from nobody; publishes nothing.

    A broker may accept certain client identifiers alone, so its answer to another one is not the daemon's.
    """
    topics = DeviceTopics.of(config.mqtt.prefix, config.device)
    own = config.mqtt.client(config.device)
    mine = f"ospreyd-doctor-{os.getpid()}" if own else ""
    try:
        answer = _ask(config, mine, (topics.status.name, f"{config.mqtt.prefix}/+/info"))
        runs_here = _runs_here(config)
        online = answer.retained.get(topics.status.name) == b"online"
        if own and runs_here is False and not online:
            answer = _Answer(_ask(config, own).state, answer.retained)
            mine = own
    except UsageError as error:
        return _finding(LinkState(connected=False, detail=str(error)), own)
    sharing = _sharing(config, topics, answer.retained)
    if answer.state.connected or mine == own:
        return _finding(answer.state, mine, *sharing)
    if runs_here and _daemon_is_connected(config):
        detail = f"the daemon that runs is connected; to another client the broker says: {answer.state.detail}"
        return _finding(LinkState(connected=True, detail=detail), own)
    return _finding(answer.state, mine)


def _ask(config: Config, client_id: str, patterns: tuple[str, ...] = ()) -> _Answer:
    """Connects, and waits for what is retained on topics. Raises UsageError for files that cannot be used."""
    answers: SimpleQueue[LinkState | BaseException] = SimpleQueue()
    retained: dict[str, bytes] = {}

    def received(message: Received) -> None:
        if message.retained:
            retained[message.topic] = message.payload

    subscription = Subscription((), received, _LARGEST, once=patterns) if patterns else None
    link = Link(config.mqtt, client_id, None, answers.put, answers.put, subscription)
    link.start()
    try:
        answer = answers.get(timeout=_WITHIN)
    except Empty:
        answer = link.state
    known = -1
    while isinstance(answer, LinkState) and answer.connected and patterns and len(retained) > known:
        known = len(retained)
        time.sleep(_RETAINED_WITHIN)
    link.stop(2.0)
    if isinstance(answer, BaseException):
        raise answer
    return _Answer(answer, dict(retained))


def _runs_here(config: Config) -> bool | None:
    """Whether a daemon of this device runs on this machine; None: nobody knows, such as where it never ran."""
    try:
        lock = lock_of(outbox_path(config.mqtt.outbox, config.device))
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, FolderError):
        return None
    return False


def _daemon_is_connected(config: Config) -> bool:
    """What the daemon that runs here says of itself."""
    if (metrics := config.service.metrics) is None:
        return False
    connection = HTTPConnection(metrics.host, metrics.port, timeout=_METRICS_WITHIN)
    try:
        connection.request("GET", "/healthz")
        if orjson.loads(connection.getresponse().read(_LARGEST)).get("device") != config.device:
            return False
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode("utf-8", "replace").splitlines()
    except (OSError, HTTPException, orjson.JSONDecodeError, AttributeError):
        return False
    finally:
        connection.close()
    return any(line.startswith("ospreyd_mqtt_connected") and float(line.split()[-1]) == 1 for line in lines)


def _sharing(config: Config, topics: DeviceTopics, retained: dict[str, bytes]) -> list[Problem]:
    """Devices with cameras of the same names: Frigate's topics do not name the device."""
    frigate = config.mqtt.formats.frigate
    if frigate is None:
        return []
    problems = []
    for topic, payload in sorted(retained.items()):
        device = topic.split("/")[-2]
        if topic in (topics.info.name, topics.status.name):
            continue
        try:
            cameras = orjson.loads(payload)["cameras"]
            both = ", ".join(name for name in config.cameras if name in cameras)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
        if both:
            said = f"the device {device} has cameras of the same name: {both}; if it publishes below {frigate.prefix}, "
            said += "each replaces and clears what the other publishes there"
            fix = "rename the cameras of one, or set another mqtt.formats.frigate.prefix there"
            problems.append(Problem("broker", said, fix, stops=False))
    return problems


def _finding(state: LinkState, client_id: str, *notes: Problem) -> Finding:
    facts = {"connected": state.connected, "detail": state.detail, "client_id": client_id}
    if state.connected:
        return Finding("broker", state.detail, facts, notes)
    fix = "the sentence says which key of mqtt to look at; on the broker: journalctl -u mosquitto"
    if client_id.startswith("ospreyd-doctor-"):
        fix += "; it was asked as another client than the daemon, whose connection would end: stop it and ask again"
    return Finding("broker", state.detail, facts, (Problem("broker", state.detail, fix),))
