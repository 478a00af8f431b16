"""What the formats say of the same records, checked against models written from the documentation of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from daemon.config.formats import Formats as FormatsSection
from daemon.config.load import load
from daemon.config.schema import Config
from daemon.control.commands import ChangeSetting, CommandRejected, CommandScope
from daemon.control.settings import Setting
from daemon.mqtt.incoming import Received
from daemon.mqtt.topics import DeviceTopics, level
from daemon.publish.formats.counts import Counts
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.format import DeliveryKind, Format, OutgoingMessage
from daemon.publish.formats.homeassistant_discovery import joined, object_id
from daemon.publish.retained import Retained
from daemon.records import CameraStats, DaemonStats, Event, EventType, FrameResult, Percentiles
from engines.records import Detections
from tests.conftest import ROOT
from tests.daemon.publishing import INFO, LABELS, config, result

SCOPE = CommandScope(frozenset({"front", "yard"}), frozenset({"default"}))


class Told:
    """Formats of the device `gate`, and what they say."""

    def __init__(self, settings: Config) -> None:
        self.said: list[OutgoingMessage] = []
        topics = DeviceTopics.of(settings.mqtt.prefix, settings.device)
        self.formats = Formats(settings.mqtt, topics, settings.device, self._say)
        self.formats.configure(settings, INFO)

    def _say(self, said: OutgoingMessage) -> None:
        self.said.append(said)

    def take(self) -> dict[str, bytes]:
        """What is retained that has been said since the last time, by topic."""
        said = {
            one.topic: one.payload for one in self.said if one.kind in (DeliveryKind.RETAINED, DeliveryKind.CLEARED)
        }
        self.said = [one for one in self.said if one.kind is DeliveryKind.EVENT]
        return said

    def events(self) -> list[Any]:
        """And the events."""
        found = [json.loads(one.payload) for one in self.said if one.kind is DeliveryKind.EVENT]
        self.said = [one for one in self.said if one.kind is not DeliveryKind.EVENT]
        return found


def told(**formats: dict[str, object]) -> Told:
    return Told(config(1, formats=formats))


def seen(at: float, *objects: tuple[str, float], camera: str = "front") -> FrameResult:
    """A frame captured `at` seconds, with objects of these classes and scores, best first."""
    boxes = [[10.4 + 100 * index, 20, 60.4 + 100 * index, 120] for index in range(len(objects))]
    found = Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in objects], np.float32),
        labels=np.array([LABELS.index(label) for label, _ in objects], np.int32),
    )
    return replace(result(camera=camera), detections=found, captured_at=1_700_000_000 + at, captured_mono=at)


def happened(kind: EventType, at: float, label: str, camera: str = "front") -> Event:
    return Event(camera, kind, 1_700_000_000 + at, label, 1)


def test_every_format_of_the_configuration_has_its_module() -> None:
    for name in FormatsSection.model_fields:
        assert issubclass(import_module(f"daemon.publish.formats.{name}").FORMAT, Format)


# counts


def test_a_count_rises_at_once_and_falls_to_the_most_of_a_second() -> None:
    counts = Counts(["car"])
    told = [(at, counts.see(at, {"car": n})) for at, n in [(0, 2), (0.1, 0), (0.5, 1), (0.9, 0), (1.1, 0), (1.2, 3)]]
    assert [(at, changed["car"]) for at, changed in told if changed] == [(0, 2), (1.1, 1), (1.2, 3)]


def test_a_second_of_fewer_objects_begins_anew_with_each_frame_that_has_them_all() -> None:
    counts = Counts(["car"])
    frames = [(0.0, 2), (0.6, 1), (0.9, 2), (1.0, 0), (1.7, 0), (1.9, 0), (2.1, 0)]
    assert [(at, told) for at, n in frames if (told := counts.see(at, {"car": n}))] == [
        (0.0, {"car": 2}),
        (2.1, {"car": 0}),
    ]


@given(st.lists(st.tuples(st.floats(0.01, 0.7), st.integers(0, 3)), min_size=1, max_size=60))
def test_a_count_is_never_less_than_seen_nor_more_than_in_the_last_second(frames: list[tuple[float, int]]) -> None:
    counts, now, told = Counts(["car"]), 0.0, 0
    seen: list[tuple[float, int]] = []
    for step, number in frames:
        now += step
        seen.append((now, number))
        told = counts.see(now, {"car": number, "dog": 9}).get("car", told)
        assert told >= number
        # a number that nobody has seen for two waits of a second, and the frames at their ends, is not told
        assert told <= max(n for at, n in seen if at >= now - 2 - 2 * 0.7) or told == 0


# deepstream


def test_deepstream_gets_its_minimal_payload() -> None:
    formats = told(deepstream={}).formats
    frame = replace(seen(0.25, ("car", 0.9), ("person", 0.5)), sequence=42)
    ((topic, payload),) = formats.frames(frame)
    assert topic == "ospreyd/gate/deepstream"
    assert json.loads(payload) == {
        "version": "4.0",
        "id": "42",
        "@timestamp": "2023-11-14T22:13:20.250Z",
        "sensorId": "front",
        "objects": [
            "-1|10.40|20.00|60.40|120.00|car|#|0.9000",
            "-1|110.40|20.00|160.40|120.00|person|#|0.5000",
        ],
    }
    ((elsewhere, nothing),) = told(deepstream={"topic": "site/ds"}).formats.frames(seen(0))
    assert elsewhere == "site/ds"
    assert json.loads(nothing)["objects"] == []


def test_a_class_cannot_break_deepstreams_fields() -> None:
    formats = told(deepstream={}).formats
    ((_, payload),) = formats.frames(replace(seen(0, ("person", 0.5)), labels=("a|b", "c", "d")))
    assert json.loads(payload)["objects"][0].split("|")[5:] == ["a_b", "#", "0.5000"]


# frigate

Box = tuple[int, int, int, int]


class FrigateSnapshot(BaseModel):
    """As Frigate's documentation shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    frame_time: float
    box: Box
    area: int
    region: Box
    score: float
    attributes: list[str]


class FrigateObject(BaseModel):
    """As Frigate's documentation shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    id: str = Field(pattern=r"^\d+\.\d{6}-[a-z0-9]{6}$")
    camera: str
    frame_time: float
    snapshot_time: float
    snapshot: FrigateSnapshot
    label: str
    sub_label: str | None
    top_score: float
    false_positive: bool
    start_time: float
    end_time: float | None
    score: float
    box: Box
    area: int
    ratio: float
    region: Box
    active: bool
    stationary: bool
    motionless_count: int
    position_changes: int
    current_zones: list[str]
    entered_zones: list[str]
    attributes: dict[str, float]
    current_attributes: list[str]
    has_clip: bool
    has_snapshot: bool
    thumbnail: str | None


class FrigateEvent(BaseModel):
    """As Frigate's documentation shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["new", "update", "end"]
    before: FrigateObject
    after: FrigateObject


def frigate_events(documents: Iterable[Any]) -> list[FrigateEvent]:
    return [FrigateEvent.model_validate_json(json.dumps(document)) for document in documents]


def test_a_presence_is_a_frigate_object_from_new_to_end() -> None:
    gate = told(frigate={})
    gate.formats.result(seen(0, ("car", 0.6)))
    gate.formats.event(happened(EventType.APPEARED, 0.1, "car"))
    for at, score in [(0.1, 0.6), (0.2, 0.9), (1.3, 0.7), (2.5, 0.8), (2.6, 0.95), (3.7, 0.5)]:
        gate.formats.result(seen(at, ("person", 0.99), ("car", score), ("car", 0.3)))
    gate.formats.result(seen(4.0, ("person", 0.99)))
    gate.formats.event(happened(EventType.GONE, 4.5, "car"))
    gate.formats.result(seen(5.0, ("car", 0.99)))
    first, *_, last = events = frigate_events(gate.events())
    assert [(e.type, round(e.after.frame_time - 1_700_000_000, 1)) for e in events] == [
        ("new", 0.1),
        ("update", 1.3),
        ("update", 2.6),
        ("end", 3.7),
    ]
    assert {e.after.id for e in events} == {first.after.id}
    assert first.before == first.after
    assert all(later.before == earlier.after for earlier, later in pairwise(events))
    assert [(e.after.score, e.after.top_score) for e in events] == [(0.6, 0.6), (0.7, 0.9), (0.95, 0.95), (0.5, 0.95)]
    assert first.after.box == (110, 20, 160, 120)
    assert (first.after.area, first.after.ratio, first.after.region) == (5000, 0.5, (0, 0, 1280, 720))
    assert (first.after.start_time, first.after.end_time, first.after.active) == (1_700_000_000.1, None, True)
    assert (last.after.end_time, last.after.active) == (1_700_000_004.5, False)
    assert first.after.id.startswith("1700000000.100000-")
    assert not first.after.has_snapshot


def test_frigate_counts_of_each_class_and_of_all() -> None:
    gate = told(frigate={"prefix": "site/frigate"})
    begun = gate.take()
    assert begun == {f"site/frigate/{c}/{of}": b"0" for c in ("front", "yard") for of in (*LABELS, "all")}
    gate.formats.result(seen(0, ("car", 0.9), ("car", 0.8), ("person", 0.7)))
    assert gate.take() == {
        "site/frigate/front/car": b"2",
        "site/frigate/front/person": b"1",
        "site/frigate/front/all": b"3",
    }
    gate.formats.result(seen(0.1))
    gate.formats.result(seen(1.2))
    assert set(gate.take().values()) == {b"0"}
    less = config(1, formats={"frigate": {"prefix": "site/frigate"}})
    only_car = {"front": less.cameras["front"].model_copy(update={"labels": ("car",)})}
    gate.formats.configure(less.model_copy(update={"cameras": only_car}), INFO)
    assert {topic for topic, payload in gate.take().items() if not payload} == {
        topic + what
        for topic in begun
        if "yard" in topic or topic.endswith(("person", "bicycle"))
        for what in ("", "/snapshot")
    }


def test_what_is_there_ends_when_nobody_would_see_it_go() -> None:
    gate = told(frigate={})
    for camera in ("front", "yard"):
        gate.formats.event(happened(EventType.APPEARED, 0, "car", camera))
        gate.formats.result(seen(0, ("car", 0.6), camera=camera))
    off = config(1, formats={"frigate": {}})
    cameras = {**off.cameras, "front": off.cameras["front"].model_copy(update={"enabled": False})}
    gate.take()
    gate.formats.configure(off.model_copy(update={"cameras": cameras}), INFO)
    assert gate.take() == {f"frigate/front/{of}": b"0" for of in (*LABELS, "all")}
    assert [(e.type, e.after.camera) for e in frigate_events(gate.events())] == [
        ("new", "front"),
        ("new", "yard"),
        ("end", "front"),
    ]
    gate.formats.close()
    assert [(e.type, e.after.camera) for e in frigate_events(gate.events())] == [("end", "yard")]


def test_frigate_statistics_are_rates_since_the_last() -> None:
    gate = told(frigate={})
    camera = CameraStats(1, captured=100, processed=80, published=80, dropped={}, fps=8.0, latency={})
    report = DaemonStats(10.0, {"front": camera}, {"detector": Percentiles(12.345, 13, 14)}, 1.0)
    ((topic, payload),) = gate.formats.stats(report)
    assert topic == "frigate/stats"
    stats = json.loads(payload)
    assert stats["cameras"]["front"]["camera_fps"] == 10.0
    assert stats["cameras"]["front"]["process_fps"] == 8.0
    assert stats["cameras"]["front"]["skipped_fps"] == 2.0
    assert stats["cameras"]["front"]["detection_enabled"] is True
    assert stats["detectors"]["onnxruntime"]["inference_speed"] == 12.35
    assert stats["detection_fps"] == 8.0
    assert stats["service"]["uptime"] == 10
    assert gate.formats.stats(report) == []  # not before a minute


def test_frigates_switch_is_a_command() -> None:
    formats = told(frigate={}).formats
    assert formats.patterns == ("frigate/+/detect/set",)

    def parsed(topic: str, payload: bytes, retained: bool = False) -> object:
        request = formats.request(SCOPE, Received(topic, payload, retained, None, None))
        return request and (request.command, request.answer_to.name)

    off, on = (ChangeSetting(camera, Setting.ENABLED, value) for camera, value in (("front", False), ("yard", True)))
    assert parsed("frigate/front/detect/set", b"OFF") == (off, "ospreyd/gate/answer")
    assert parsed("frigate/yard/detect/set", b"ON") == (on, "ospreyd/gate/answer")
    for topic, payload, retained, why in [
        ("frigate/front/detect/set", b"on", False, "its payload must be ON or OFF"),
        ("frigate/none/detect/set", b"ON", False, "there is no camera 'none'; there are: front, yard"),
        ("frigate/front/detect/set", b"ON", True, "retained commands are rejected"),
    ]:
        request = formats.request(SCOPE, Received(topic, payload, retained, None, None))
        assert request is not None
        assert isinstance(request.command, CommandRejected)
        assert str(request.command).startswith(why)
    assert parsed("ospreyd/gate/front/set/enabled", b"true") is None
    assert parsed("front/detect/set", b"ON") is None


@given(st.text(max_size=80), st.binary(max_size=40))
def test_no_topic_or_payload_gets_past_frigates_switch(topic: str, payload: bytes) -> None:
    formats = told(frigate={}).formats
    for name in (topic, f"frigate/{topic}", f"frigate/{topic}/detect/set"):
        request = formats.request(SCOPE, Received(name, payload, False, None, None))
        assert request is None or isinstance(request.command, CommandRejected) or payload in (b"ON", b"OFF")


def test_frigate_is_told_of_the_switch_and_gets_pictures_of_appearances() -> None:
    gate = told(frigate={})
    gate.take()
    gate.formats.setting("front", Setting.ENABLED, False)
    gate.formats.setting("front", Setting.FPS, 5.0)
    assert gate.take() == {"frigate/front/detect/state": b"OFF"}
    (message,) = gate.formats.pictures("front", frozenset({"traffic light"}), b"jpeg")
    assert (message.topic, message.payload, message.retain) == (
        "frigate/front/traffic light/snapshot",
        b"jpeg",
        True,
    )
    assert gate.formats.pictures("front", frozenset(), b"jpeg") == []
    (presence,) = gate.formats.presences
    assert presence.topic.name == "frigate/available"


def test_the_example_of_an_event_is_one() -> None:
    text = (ROOT / "docs" / "mqtt" / "formats.md").read_text(encoding="utf-8")
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    event = next(document for document in shown if "type" in document)
    frigate_events([{**event, "before": event["after"]}])


def test_the_configuration_of_the_documentation_loads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "mqtt" / "formats.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "gate.yaml").write_text(f"device: gate-01\n{block}cameras: {{front: {{source: 0}}}}\n")
    formats = load(tmp_path / "gate.yaml", {}).mqtt.formats
    assert formats.frigate is not None
    assert formats.frigate.prefix == "frigate/gate-01"
    assert formats.deepstream is not None
    assert formats.homeassistant is not None


# homeassistant


def test_home_assistant_finds_entities_and_no_others_when_a_camera_is_gone() -> None:
    gate = told(homeassistant={})
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


def test_home_assistant_gets_only_classes_that_are_looked_for() -> None:
    settings = config(1, formats={"homeassistant": {}})
    cameras = {**settings.cameras, "front": settings.cameras["front"].model_copy(update={"labels": ("car", "person")})}
    events = settings.events.model_copy(update={"labels": ("car", "bicycle")})
    said = Told(settings.model_copy(update={"cameras": cameras, "events": events})).take()
    assert sorted(topic for topic in said if "/count/" in topic) == [
        "ospreyd/gate/front/count/car",
        "ospreyd/gate/yard/count/bicycle",
        "ospreyd/gate/yard/count/car",
    ]


def test_home_assistant_is_told_nothing_before_the_models_are_known() -> None:
    gate = told(homeassistant={})
    early = Told.__new__(Told)
    early.said = []
    early.formats = Formats(
        config(1, formats={"homeassistant": {}}).mqtt, DeviceTopics.of("ospreyd", "gate"), "gate", early.said.append
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


def test_home_assistants_occupancy_follows_events_and_counts_follow_frames() -> None:
    gate = told(homeassistant={})
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


def test_a_picture_is_cleared_with_its_camera_and_not_when_that_has_come_again() -> None:
    retained = Retained()
    retained.assign("image", "front")
    retained.keep(["yard"])
    assert retained.pop() == ("image", b"")
    retained.keep(["yard", "front"])
    retained.assign("image", "front")
    retained.requeue("image")
    assert not retained
    retained.mark_all_unsent()
    assert not retained


@given(st.text(max_size=20))
def test_any_text_becomes_one_level_of_a_topic(text: str) -> None:
    topics = DeviceTopics.of("ospreyd", "gate")
    assert (topics.root / level(text)).name.count("/") == 2


def test_several_formats_at_once_and_none_by_default() -> None:
    all_three = told(frigate={}, deepstream={}, homeassistant={})
    assert len(all_three.formats.patterns) == 2
    assert {topic.split("/")[0] for topic in all_three.take()} == {"frigate", "homeassistant", "ospreyd"}
    nothing = told()
    nothing.formats.result(seen(0, ("car", 0.9)))
    assert nothing.said == []
    assert nothing.formats.patterns == ()
    assert nothing.formats.presences == ()
