"""The formats over real brokers: what Frigate's readers see, from the first connection to the end."""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import numpy as np

from daemon.config.schema import Config
from daemon.control.settings import Setting
from daemon.demo.film import Shot, film
from daemon.records import EventType
from tests.conftest import wait_for
from tests.daemon.commanding import commanded
from tests.daemon.formatting import frigate_events, happened, seen
from tests.daemon.publishing import UNREACHABLE, config, in_background, result
from tests.daemon.running import box, daemon, has, stop
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber

ALL: dict[str, object] = {"frigate": {}, "deepstream": {}, "homeassistant": {}}


def ended(messages: list[Message], count: int) -> bool:
    return sum(m.topic == "frigate/events" and b'"type":"end"' in m.payload for m in messages) >= count


def test_frigates_availability_and_events(broker: Mosquitto, subscriber: Subscriber) -> None:
    with commanded(config(broker.port, formats=ALL)) as running:
        subscriber.wait_for("frigate/available", b"online")
        assert subscriber.wait_for("frigate/front/detect/state").payload == b"ON"
        wait_for(lambda: "frigate/+/detect/set" in broker.output(), "the subscription")
        subscriber.publish("frigate/front/detect/set", "OFF")
        subscriber.wait_for("frigate/front/detect/state", b"OFF")
        assert subscriber.wait_for("ospreyd/gate/answer").json()["command"] == "frigate/front/detect/set"
        assert running.recorder.calls == ["apply"]
        running.publisher.event(happened(EventType.APPEARED, 0, "car"))
        running.publisher.results([seen(0, ("car", 0.9), camera="front")])
        subscriber.wait_for("frigate/front/car", b"1")
        assert subscriber.wait_for("frigate/events").qos == 1
        running.publisher.stats_now()
        assert "front" in subscriber.wait_for("frigate/stats").json()["cameras"]
        assert subscriber.wait_for("ospreyd/gate/deepstream").json()["sensorId"] == "front"
    subscriber.wait_for("frigate/available", b"offline")
    assert [e.type for e in frigate_events(m.json() for m in subscriber.messages("frigate/events"))] == ["new", "end"]


def test_retained_messages_are_resent_and_cleared_with_their_camera(broker: Mosquitto, subscriber: Subscriber) -> None:
    settings = config(broker.port, formats=ALL)
    with commanded(settings) as running:
        subscriber.wait_for("frigate/yard/all", b"0")
        broker.kill()
        before = time.monotonic()
        broker.start()
        subscriber.wait_for("frigate/available", b"online", after=before)
        subscriber.wait_for("frigate/yard/all", b"0", after=before)
        running.publisher.configure(settings.model_copy(update={"cameras": {"front": settings.cameras["front"]}}))
        topics = ["frigate/yard/all", "frigate/yard/detect/state", "ospreyd/gate/yard/occupancy/car"]
        for topic in (*topics, "homeassistant/switch/ospreyd_gate/yard_enabled/config"):
            subscriber.wait_for(topic, b"", after=before)
        subscriber.publish("last", b"")
        subscriber.wait_for("last")
        running.publisher.setting("yard", Setting.ENABLED, True, commanded=True)  # what comes too late
        running.publisher.camera_status(UNREACHABLE)
        subscriber.publish("last", b"2")
        subscriber.wait_for("last", b"2")
        with Subscriber(HOST, broker.port) as late:
            late.publish("last", b"")
            late.wait_for("last")
            assert not [m.topic for m in late.messages() if "yard" in m.topic]
            assert late.messages("frigate/front/all")


def test_the_formats_with_mqtt_3_1_1(tmp_path: Path) -> None:
    with (
        Amqtt(tmp_path) as broker,
        Subscriber(HOST, broker.port, mqtt5=False) as subscriber,
        commanded(config(broker.port, formats=ALL)) as running,
    ):
        subscriber.wait_for("frigate/available", b"online", timeout=40)
        subscriber.wait_for("homeassistant/switch/ospreyd_gate/front_enabled/config", timeout=40)
        running.publisher.results([result(1)])
        subscriber.wait_for("ospreyd/gate/deepstream")


def test_killed_daemon_is_unavailable_in_frigates_topic(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """And a real daemon says new, update and end of what it sees, in that order for each object."""
    street = film(Shot("street", 640, 480, 10.0, seed=21), tmp_path / "street.mp4", 4.0)
    camera = {"source": str(street.file), "loop": True}
    document = box(broker, {"front": camera}, events={"appear_frames": 1, "gone_after": 0.5, "snapshot": "plain"})
    document["mqtt"]["formats"] = ALL
    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda messages: ended(messages, 2), "two objects that have ended", 60)
        subscriber.wait(partial(has, 60, "front"), "frames", 60)
        stop(process)
    subscriber.wait_for("frigate/available", b"offline")
    events = frigate_events(m.json() for m in subscriber.messages("frigate/events"))
    stories: dict[str, list[str]] = {}
    for event in events:
        assert event.after.has_snapshot
        stories.setdefault(event.after.id, []).append(event.type)
    assert all(story[0] == "new" and story[-1] == "end" for story in stories.values())
    assert {kind for story in stories.values() for kind in story[1:-1]} <= {"update"}
    pictured = {
        m.topic.split("/")[2] for m in subscriber.messages() if m.topic.endswith("/snapshot") and "frigate" in m.topic
    }
    assert pictured <= {event.after.label for event in events}
    assert pictured
    before = time.monotonic()
    with daemon(tmp_path, document) as process:
        subscriber.wait_for("frigate/available", b"online", after=before, timeout=60)
        process.kill()
        subscriber.wait_for("frigate/available", b"offline", after=before, timeout=60)


def test_stalled_broker_delays_no_result(broker: Mosquitto) -> None:
    """Counts and objects of all formats are kept up beside it; what the network has no room for is dropped."""
    settings: Config = config(broker.port, formats=ALL)
    with commanded(settings) as running:
        wait_for(lambda: running.publisher.link.connected, "the connection")
        broker.signal(signal.SIGSTOP)
        longest = 0.0

        def give() -> None:
            nonlocal longest
            for number in range(2000):
                began = time.monotonic()
                running.publisher.results([result(number + 1, count=int(np.sin(number / 7) * 2 + 2))])
                longest = max(longest, time.monotonic() - began)

        giving = in_background(give)
        giving.join(30)
        assert not giving.is_alive()
        assert longest < 1.0
        broker.signal(signal.SIGCONT)
