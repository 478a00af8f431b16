"""The outbox file is lost or damaged while the daemon is stopped: what it had retained is found on the broker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import topic_matches_sub

from daemon.mqtt.topics import Topic
from daemon.publish.read_back import ReadBack
from tests.conftest import wait_for
from tests.daemon.running import box, daemon, stop
from tests.daemon.test_retained_runs import FRONT, OTHERS, retained
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

LEFT_ALONE = {*OTHERS, "ospreyd/box/entry/set/enabled", "ospreyd/box/entry/else", "ospreyd/box/command/stats"}
KINDS = {"state", "zones", "lines", "occupancy", "count", "dwell"}
"""of topics below a camera's"""
LOSE: dict[str, Callable[[Path], object]] = {
    "lost": lambda file: file.rename(file.with_name("elsewhere")),
    "damaged": lambda file: file.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
}


@pytest.mark.parametrize("how", LOSE)
def test_topics_of_a_camera_that_is_gone_are_cleared(
    broker: Mosquitto, tmp_path: Path, state_directory: Path, how: str
) -> None:
    camera: dict[str, Any] = {**FRONT, "source": "rtsp://127.0.0.1:1/a"}
    document = box(broker, {"entry": camera}, tracking={}, service={"metrics": None})
    document["mqtt"]["formats"] = {"homeassistant": {}}

    def of(name: str) -> set[str]:
        return {topic for topic in retained(broker) if f"/{name}/" in topic or f"_box/{name}_" in topic} - LEFT_ALONE

    with daemon(tmp_path, document) as process:
        wait_for(lambda: {topic.split("/")[3] for topic in of("entry") if topic.count("/") == 4} >= KINDS, "its topics")
        before = {topic.replace("/entry/", "/door/") for topic in of("entry") if topic.startswith("ospreyd/")}
        stop(process)
    with Subscriber(HOST, broker.port) as others:
        for topic in LEFT_ALONE:
            others.publish(topic, b"1", retain=True)
        others.publish("ospreyd/box/entry/image", b"x" * 300_000, retain=True)
    LOSE[how](state_directory / "outbox-box.db")
    document["cameras"] = {"door": camera}
    with daemon(tmp_path, document) as process:
        wait_for(lambda: not of("entry"), "the end of the old camera's topics")
        wait_for(lambda: before <= retained(broker), "the new one's")
        stop(process)
    assert retained(broker) >= LEFT_ALONE
    assert before <= retained(broker)


def test_no_command_is_taken_for_a_topic_of_a_camera_or_comes_twice() -> None:
    read_back = ReadBack(Topic("ospreyd/box"), {})
    for topic in ("ospreyd/box/command/status", "ospreyd/box/command/image", "ospreyd/box/front/set/fps"):
        assert not read_back.matches(topic)
        assert not any(topic_matches_sub(pattern, topic) for pattern in read_back.patterns)
    assert read_back.matches("ospreyd/box/front/state/fps")
    assert "ospreyd/box/front/status" in read_back.topics("ospreyd/box/front/state/fps")


def test_nothing_is_read_where_the_outbox_knows() -> None:
    assert ReadBack(Topic("ospreyd/box"), {"retained/3": b""}).patterns == ()
    assert not ReadBack(Topic("ospreyd/box"), {"retained/3": b""}).matches("ospreyd/box/front/status")


@pytest.mark.parametrize(
    ("rest", "own"),
    [
        ("front/status", True),
        ("front/state/enabled", True),
        ("front/image", True),
        ("front/zones/porch", True),
        ("front/set/enabled", False),
        ("command/stats", False),
        ("status", False),
        ("info", False),
        ("front/events", False),
        ("front/status/more", False),
        ("front/zones", False),
        ("front/zones/a/b", False),
        ("front", False),
        ("", False),
    ],
)
def test_only_what_the_device_retains_is_its_own(rest: str, own: bool) -> None:
    read_back = ReadBack(Topic("site/ospreyd/box"), {})
    assert read_back.matches(f"site/ospreyd/box/{rest}") == own
    assert not read_back.matches(f"ospreyd/box/{rest}")
