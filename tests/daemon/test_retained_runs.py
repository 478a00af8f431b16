"""What earlier runs have retained: after each run the broker keeps what that run stands for, and nothing else of us."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon.config.schema import Config
from daemon.control.settings import Setting
from daemon.demo.film import Shot, film
from daemon.media.snapshots import Subject
from daemon.publish.publisher import Publisher
from daemon.records import CameraState, CameraStatus
from daemon.records.objects import LineState, Occupancy, ZoneState
from tests.conftest import wait_for
from tests.daemon.publishing import publisher
from tests.daemon.running import box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

SQUARE = [[0, 0], [1, 0], [1, 1]]
PORCH: dict[str, Any] = {"porch": {"polygon": SQUARE, "dwell": 10}}
GATE: dict[str, Any] = {"gate": {"points": [[0, 0], [1, 0]], "in": [0, 1]}}
FRONT: dict[str, Any] = {"source": "rtsp://a/1", "zones": PORCH, "lines": GATE}
YARD: dict[str, Any] = {"source": "rtsp://b/1", "tracking": None}
ALL: dict[str, Any] = {"frigate": {}, "homeassistant": {}}
OTHERS = (
    "ospreyd/other/front/status",
    "ospreyd/gate2/yard/status",
    "frigate/attic/person",
    "homeassistant/switch/ospreyd_other/front_enabled/config",
    "elsewhere",
)
"""topics of other devices"""


def gate(broker: Mosquitto, outbox: Path, *, cameras: dict[str, Any], device: str = "gate", **more: Any) -> Config:
    mqtt = {"host": HOST, "port": broker.port, "outbox": {"path": outbox}, **more.pop("mqtt", {"formats": ALL})}
    more = {"events": {"snapshot": "plain"}, **more}
    document = {"device": device, "mqtt": mqtt, "tracking": {}, "cameras": cameras, **more}
    document.setdefault("models", {"default": {"file": "street"}})
    return Config.model_validate(document)


def retained(broker: Mosquitto) -> set[str]:
    """Topics of which the broker keeps a message."""
    with Subscriber(HOST, broker.port) as late:
        late.publish("end", b"")
        late.wait_for("end")
        return {message.topic for message in late.messages() if message.retained and message.payload}


def tell_everything(running: Publisher, config: Config) -> None:
    """All that stages publish of the cameras, and a picture of each."""
    for name, camera in config.cameras.items():
        running.camera_status(CameraStatus(name, CameraState.STREAMING, None, "", time.monotonic(), time.time()))
        for setting in Setting:
            running.setting(name, setting, True if setting is Setting.ENABLED else None, commanded=False)
        if config.tracked(name) is not None:
            for zone in camera.zones:
                running.area(ZoneState(name, zone, Occupancy({}, {}, {})))
            for line in camera.lines:
                running.area(LineState(name, line, ({}, {})))


def run(config: Config, *, pictures: bool = False) -> None:
    """One run of publishing, stopped in order."""
    with publisher(config) as running:
        wait_for(lambda: running.link.connected, "the connection")
        tell_everything(running, config)
        if pictures:
            for name in config.cameras:
                running.picture(Subject(name, frozenset({"person", "car"})), b"jpeg")
        assert running.stop(10)


CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "nothing": lambda: {"cameras": {"front": FRONT, "yard": YARD}},
    "a camera is renamed": lambda: {"cameras": {"door": FRONT, "yard": YARD}},
    "a camera is removed": lambda: {"cameras": {"yard": YARD}},
    "a label is no longer looked for": lambda: {"cameras": {"front": {**FRONT, "labels": ["person"]}, "yard": YARD}},
    "a label has no more events": lambda: {
        "cameras": {"front": FRONT, "yard": YARD},
        "events": {"labels": ["car"], "snapshot": "plain"},
    },
    "there are no pictures": lambda: {"cameras": {"front": FRONT, "yard": YARD}, "events": {"snapshot": "none"}},
    "a zone is renamed": lambda: {"cameras": {"front": {**FRONT, "zones": {"step": PORCH["porch"]}}, "yard": YARD}},
    "zones and lines are removed": lambda: {"cameras": {"front": YARD, "yard": YARD}},
    "nothing is tracked": lambda: {"cameras": {"front": {**FRONT, "tracking": None}, "yard": YARD}},
    "one format is off": lambda: {"cameras": {"front": FRONT, "yard": YARD}, "mqtt": {"formats": {"frigate": {}}}},
    "the formats are off": lambda: {"cameras": {"front": FRONT, "yard": YARD}, "mqtt": {}},
    "Frigate's prefix is another": lambda: {
        "cameras": {"front": FRONT},
        "mqtt": {"formats": {"frigate": {"prefix": "nvr"}}},
    },
    "the prefix is another": lambda: {"cameras": {"front": FRONT}, "mqtt": {"prefix": "site/gate", "formats": ALL}},
    "the device is renamed": lambda: {"cameras": {"front": FRONT}, "device": "door"},
}


def test_what_changed_while_the_daemon_was_stopped_is_cleared(broker: Mosquitto, tmp_path: Path) -> None:
    """Of every change in turn: as if the daemon had never run otherwise. Pictures of what is still there stay."""
    clean = tmp_path / "clean"
    clean.mkdir()
    with Subscriber(HOST, broker.port) as others, Mosquitto(clean) as fresh:
        for topic in OTHERS:
            others.publish(topic, b"{}", retain=True)
        for number, (change, document) in enumerate(CHANGES.items()):
            run(gate(broker, tmp_path / "gate.db", **CHANGES["nothing"]()), pictures=True)
            run(gate(broker, tmp_path / "gate.db", **document()))
            after = retained(broker)
            fresh.stop()
            fresh.start()
            run(gate(fresh, clean / f"{number}.db", **document()), pictures=change == "nothing")
            pictures = {topic for topic in after if topic.endswith(("/snapshot", "/image"))}
            assert after - pictures == (retained(fresh) - pictures) | set(OTHERS), change
            if change == "nothing":
                assert len(pictures) == 6
            elif "camera" in change:
                assert {topic.split("/")[-2 if topic.endswith("image") else -3] for topic in pictures} == {"yard"}


def test_a_daemon_clears_what_a_killed_one_has_retained(broker: Mosquitto, tmp_path: Path) -> None:
    street = film(Shot("street", 320, 240, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    camera = {"source": str(street.file), "loop": True}
    document = box(broker, {"entry": camera}, events={"appear_frames": 1, "snapshot": "plain"})
    document["mqtt"]["formats"] = ALL
    with Subscriber(HOST, broker.port) as subscriber:
        with daemon(tmp_path, document):
            subscriber.wait(lambda messages: any("/entry/image" in m.topic for m in messages), "a picture", 60)
            subscriber.wait(lambda messages: any(m.topic.endswith("/snapshot") for m in messages), "a picture", 60)
        document["cameras"] = {"driveway": camera}
        with daemon(tmp_path, document) as process:
            wait_for(lambda: "frigate/driveway/detect/state" in retained(broker), "the new camera", 60)
            wait_for(lambda: not [topic for topic in retained(broker) if "entry" in topic], "the end of the old one")
            stop(process)
    assert {topic.split("/")[2] for topic in retained(broker) if topic.startswith("ospreyd/box/")} == {
        "status",
        "info",
        "driveway",
    }
