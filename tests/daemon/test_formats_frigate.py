"""Frigate's messages, checked against models written from its documentation."""

from __future__ import annotations

import json
import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from daemon.control.commands import ChangeSetting, CommandRejected, CommandScope
from daemon.control.settings import Setting
from daemon.mqtt.incoming import Received
from daemon.records import CameraStats, DaemonStats, EventType, Percentiles
from tests.conftest import ROOT
from tests.daemon.formatting import RecordedFormats, frigate_events, happened, recorded, seen
from tests.daemon.publishing import INFO, LABELS, config

SCOPE = CommandScope(frozenset({"front", "yard"}), frozenset({"default"}))


def test_presence_is_one_object_from_new_to_end() -> None:
    gate = recorded(frigate={})
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
    gate = recorded(frigate={"prefix": "site/frigate"})
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
        topic for topic in begun if "yard" in topic or topic.endswith(("person", "bicycle"))
    }


def test_pictures_are_cleared_with_their_class_and_when_there_are_none_any_more() -> None:
    settings = config(1, formats={"frigate": {}})
    pictured = settings.model_copy(update={"events": settings.events.model_copy(update={"snapshot": "plain"})})
    gate = RecordedFormats(pictured)
    gate.take()
    only_car = {"front": settings.cameras["front"].model_copy(update={"labels": ("car",)})}
    less = pictured.model_copy(update={"cameras": only_car})
    gate.formats.configure(less, INFO)
    cleared = {topic for topic, payload in gate.take().items() if not payload and topic.endswith("/snapshot")}
    gone = [("front", "person"), ("front", "bicycle"), *(("yard", label) for label in (*LABELS, "all"))]
    assert cleared == {f"frigate/{camera}/{label}/snapshot" for camera, label in gone}
    gate.formats.configure(less.model_copy(update={"events": settings.events}), INFO)
    assert gate.take() == {"frigate/front/car/snapshot": b"", "frigate/front/all/snapshot": b""}


def test_objects_end_when_their_camera_is_reconfigured() -> None:
    gate = recorded(frigate={})
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
    gate = recorded(frigate={})
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


def test_detect_set_is_a_command() -> None:
    formats = recorded(frigate={}).formats
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
def test_only_detect_set_is_a_command(topic: str, payload: bytes) -> None:
    formats = recorded(frigate={}).formats
    for name in (topic, f"frigate/{topic}", f"frigate/{topic}/detect/set"):
        request = formats.request(SCOPE, Received(name, payload, False, None, None))
        assert request is None or isinstance(request.command, CommandRejected) or payload in (b"ON", b"OFF")


def test_detect_state_and_snapshots() -> None:
    gate = recorded(frigate={})
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
