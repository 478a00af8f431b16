"""Home Assistant's discovery, and the states of its entities."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.mqtt.incoming import Received
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.homeassistant_discovery import joined, object_id
from daemon.records import EventType
from tests.daemon.formatting import RecordedFormats, happened, recorded, seen
from tests.daemon.publishing import INFO, LABELS, config


def test_discovery_of_entities_until_their_camera_is_removed() -> None:
    gate = recorded(homeassistant={})
    before = gate.take()
    discovery = {topic: payload for topic, payload in before.items() if topic.startswith("homeassistant/")}
    assert len(discovery) == 1 + 2 * (4 + 2 * len(LABELS))
    assert all(re.fullmatch(r"homeassistant/[a-z_]+/ospreyd_gate/[a-zA-Z0-9_-]+/config", topic) for topic in discovery)
    found = [json.loads(payload) for payload in discovery.values()]
    assert len({entity["unique_id"] for entity in found}) == len(found)
    states = {topic: payload for topic, payload in before.items() if topic not in discovery}
    assert states["ospreyd/gate/front/occupancy/person"] == b"OFF"
    assert states["ospreyd/gate/yard/count/car"] == b"0"
    gate.formats.configure(config(1, formats={"homeassistant": {}}), INFO)
    assert gate.take() == {}
    less = config(1, formats={"homeassistant": {}})
    less = less.model_copy(update={"cameras": {"front": less.cameras["front"]}})
    gate.formats.configure(less, INFO)
    assert gate.take() == {topic: b"" for topic in before if "/yard" in topic}
    only_car = {"front": less.cameras["front"].model_copy(update={"labels": ("car",)})}
    gate.formats.configure(less.model_copy(update={"cameras": only_car}), INFO)
    cleared = {topic for topic, payload in gate.take().items() if not payload}
    assert cleared == {topic for topic in before if "front" in topic and ("person" in topic or "bicycle" in topic)}


def test_only_configured_classes_have_entities() -> None:
    settings = config(1, formats={"homeassistant": {}})
    cameras = {**settings.cameras, "front": settings.cameras["front"].model_copy(update={"labels": ("car", "person")})}
    events = settings.events.model_copy(update={"labels": ("car", "bicycle")})
    said = RecordedFormats(settings.model_copy(update={"cameras": cameras, "events": events})).take()
    assert sorted(topic for topic in said if "/count/" in topic) == [
        "ospreyd/gate/front/count/car",
        "ospreyd/gate/yard/count/bicycle",
        "ospreyd/gate/yard/count/car",
    ]


def test_no_discovery_before_the_models_are_known() -> None:
    gate = recorded(homeassistant={})
    early = RecordedFormats.__new__(RecordedFormats)
    early.messages = []
    early.formats = Formats(
        config(1, formats={"homeassistant": {}}).mqtt, DeviceTopics.of("ospreyd", "gate"), "gate", early.messages.append
    )
    early.formats.configure(config(1), replace(INFO, models={}))
    old = Received("homeassistant/switch/ospreyd_gate/gone_enabled/config", b"{}", True, None, None)
    assert early.take() == {}
    early.formats.echo(old)
    assert early.take() == {}
    gate.take()
    for not_left in (
        replace(old, retained=False),
        replace(old, topic="homeassistant/switch/ospreyd_gate/front_enabled/config"),
    ):
        assert gate.formats.is_echo(not_left.topic)
        gate.formats.echo(not_left)
    others = replace(old, topic="homeassistant/switch/other/gone_enabled/config")
    assert not gate.formats.is_echo(others.topic)
    gate.formats.echo(others)
    assert gate.take() == {}
    gate.formats.echo(old)
    assert gate.take() == {old.topic: b""}


def test_occupancy_follows_events_and_counts_follow_frames() -> None:
    gate = recorded(homeassistant={})
    gate.take()
    gate.formats.event(happened(EventType.APPEARED, 0, "car"))
    gate.formats.result(seen(0, ("car", 0.9)))
    assert gate.take() == {"ospreyd/gate/front/occupancy/car": b"ON", "ospreyd/gate/front/count/car": b"1"}
    gate.formats.event(happened(EventType.GONE, 6, "car"))
    assert gate.take() == {"ospreyd/gate/front/occupancy/car": b"OFF"}
    assert not gate.events()


@pytest.mark.parametrize(
    ("label", "expected"), [("traffic light", "traffic_light"), ("Car", "car_"), ("犬", "class_"), ("a/b", "a_b_")]
)
def test_a_class_as_an_identifier(label: str, expected: str) -> None:
    assert re.fullmatch(expected + (r"[0-9a-f]{8}" if expected.endswith("_") else ""), object_id(label))


@given(st.sets(st.text(min_size=1, max_size=12), min_size=2, max_size=8))
def test_identifiers_of_different_classes_are_different(labels: set[str]) -> None:
    ids = [object_id(label) for label in labels]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9_]+", one) for one in ids)


@example({("yard", "hot_dog"), ("yard_hot", "dog")})
@example({("a-u", "b"), ("a_", "b")})
@given(st.sets(st.lists(st.text("ab-_1", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple), min_size=2))
def test_entities_of_different_names_have_different_identifiers(names: set[tuple[str, ...]]) -> None:
    assert len({joined(*parts) for parts in names}) == len(names)
