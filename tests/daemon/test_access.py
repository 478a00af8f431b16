"""The access control list of the documentation, in a real broker: who may say and hear what."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
from paho.mqtt.client import topic_matches_sub

from daemon.publish.channels import CHANNELS
from engines.pictures import BgrPicture
from tests.conftest import ROOT, wait_for
from tests.daemon.commanding import ANSWER, GATE, Commanded, commanded
from tests.daemon.publishing import UNREACHABLE, config, result
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

ACL = ROOT / "docs" / "mqtt" / "mosquitto.acl"
PASSWORDS = {name: f"of {name}" for name in ("gate", "other", "dashboard", "operator")}
MORE = ["ospreyd/gate/x/dwell/x", "frigate/gate/x/x", "frigate/gate/x/x/active", "frigate/gate/x/x/snapshot"]
"""topics of other formats"""


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("guarded")
    with Mosquitto(folder, users=PASSWORDS, more=(f"acl_file {ACL}",)) as running:
        yield running


@pytest.fixture
def gate(guarded: Mosquitto) -> Iterator[Commanded]:
    """The device `gate` with the rights of its user."""
    formats = {"frigate": {"prefix": "frigate/gate"}, "deepstream": {}, "homeassistant": {}}
    login = {"username": "gate", "password": PASSWORDS["gate"]}
    with commanded(config(guarded.port, **login, stats_every=0.5, formats=formats)) as running:
        yield running


def as_user(broker: Mosquitto, name: str, pattern: str = "#") -> Subscriber:
    return Subscriber(HOST, broker.port, pattern, username=name, password=PASSWORDS[name])


def test_device_may_publish_all_its_topics(
    guarded: Mosquitto, gate: Commanded, caplog: pytest.LogCaptureFixture
) -> None:
    with as_user(guarded, "dashboard") as dashboard, as_user(guarded, "operator") as operator:
        dashboard.wait_for(f"{GATE}/status", b"online")
        wait_for(lambda: f"{GATE}/command/+" in guarded.output(), "the subscription")
        gate.publisher.camera_status(UNREACHABLE)
        gate.publisher.results([result(1)])
        operator.publish(f"{GATE}/command/snapshot", '{"camera": "front"}', response_topic=f"{ANSWER}/me")
        assert dashboard.wait_for(f"{ANSWER}/me").json()["ok"]
        gate.snapshots.offer(result(2), BgrPicture(np.zeros((8, 8, 3), np.uint8)))
        for topic in ("info", "stats", "yard/status", "front/detections", "front/state/fps", "front/snapshot"):
            dashboard.wait_for(f"{GATE}/{topic}")
        for topic in ("available", "stats", "front/car", "front/detect/state"):
            dashboard.wait_for(f"frigate/gate/{topic}")
        for topic in ("deepstream", "front/image", "front/occupancy/car", "front/count/car"):
            dashboard.wait_for(f"{GATE}/{topic}")
        dashboard.wait_for("homeassistant/switch/ospreyd_gate/front_enabled/config")
        before = time.monotonic()
        operator.publish("frigate/gate/front/detect/set", "OFF")
        dashboard.wait_for("frigate/gate/front/detect/state", b"OFF", after=before)
        assert "access control list" not in caplog.text


@pytest.mark.parametrize("topic", [channel.topic for channel in CHANNELS if channel.name != "answer"] + MORE)
def test_device_may_write_every_topic(topic: str) -> None:
    written = re.sub(r"{[a-z]+}", "x", topic.replace("{prefix}/{device}", "ospreyd/gate"))
    lines = [line.split() for line in ACL.read_text(encoding="utf-8").splitlines()]
    patterns = [
        line[2].replace("%u", "gate") for line in lines if line[:2] in (["pattern", "write"], ["pattern", "readwrite"])
    ]
    assert any(topic_matches_sub(pattern, written) for pattern in patterns)


def test_user_of_another_name_is_reported(guarded: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    with commanded(config(guarded.port, username="other", password=PASSWORDS["other"])):
        wait_for(lambda: "refused a message of this client: Not authorized" in caplog.text, "the refusal in the log")


def test_only_authorised_users_may_command(guarded: Mosquitto, gate: Commanded) -> None:
    with as_user(guarded, "operator") as operator:
        operator.wait_for(f"{GATE}/status", b"online")
        wait_for(lambda: f"{GATE}/command/+" in guarded.output(), "the subscription")
        for name in ("dashboard", "other"):
            with as_user(guarded, name) as stranger:  # returns when the broker has dealt with each
                stranger.publish(f"{GATE}/front/set/fps", "1")
                stranger.publish(f"{GATE}/command/reload", b"")
        operator.publish(f"{GATE}/front/set/fps", "5")
        operator.wait_for(ANSWER)
        assert gate.recorder.calls == ["apply"]
        assert gate.config.cameras["front"].fps == 5.0


def test_device_cannot_act_for_another(guarded: Mosquitto, gate: Commanded) -> None:
    with as_user(guarded, "other") as other, as_user(guarded, "operator") as operator:
        operator.wait_for(f"{GATE}/status", b"online")
        wait_for(lambda: f"{GATE}/command/+" in guarded.output(), "the subscription")
        before = time.monotonic()
        for topic in ("status", "info", "front/status", "front/detections", "front/state/fps", "answer"):
            other.publish(f"{GATE}/{topic}", b"lies")
        other.publish("ospreyd/other/status", b"truth")
        operator.wait_for("ospreyd/other/status", b"truth", after=before)
        assert not [m for m in operator.messages() if m.payload == b"lies"]
        operator.publish(f"{GATE}/front/set/fps", "5")
        operator.publish("ospreyd/other/front/set/fps", "6")
        other.wait_for("ospreyd/other/front/set/fps", b"6")
        assert {m.topic for m in other.messages()} == {"ospreyd/other/front/set/fps"}
        assert gate.publisher.link.connected
