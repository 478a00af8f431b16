"""Counts, DeepStream, and what all formats share."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from daemon.config.formats import Formats as FormatsSection
from daemon.config.load import load
from daemon.mqtt.topics import DeviceTopics, level
from daemon.publish.formats.counts import Counts
from daemon.publish.formats.format import Format
from daemon.publish.retained import Retained
from tests.conftest import ROOT
from tests.daemon.formatting import recorded, seen


def test_every_format_of_the_configuration_has_its_module() -> None:
    for name in FormatsSection.model_fields:
        assert issubclass(import_module(f"daemon.publish.formats.{name}").FORMAT, Format)


def test_a_count_rises_at_once_and_falls_to_the_most_of_a_second() -> None:
    counts = Counts(["car"])
    told = [(at, counts.see(at, {"car": n})) for at, n in [(0, 2), (0.1, 0), (0.5, 1), (0.9, 0), (1.1, 0), (1.2, 3)]]
    assert [(at, changed["car"]) for at, changed in told if changed] == [(0, 2), (1.1, 1), (1.2, 3)]


def test_count_falls_only_after_a_second_of_fewer_objects() -> None:
    counts = Counts(["car"])
    frames = [(0.0, 2), (0.6, 1), (0.9, 2), (1.0, 0), (1.7, 0), (1.9, 0), (2.1, 0)]
    assert [(at, told) for at, n in frames if (told := counts.see(at, {"car": n}))] == [
        (0.0, {"car": 2}),
        (2.1, {"car": 0}),
    ]


@given(st.lists(st.tuples(st.floats(0.01, 0.7), st.integers(0, 3)), min_size=1, max_size=60))
def test_count_is_between_the_frame_and_the_last_second(frames: list[tuple[float, int]]) -> None:
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
    formats = recorded(deepstream={}).formats
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
    ((elsewhere, nothing),) = recorded(deepstream={"topic": "site/ds"}).formats.frames(seen(0))
    assert elsewhere == "site/ds"
    assert json.loads(nothing)["objects"] == []


def test_a_class_cannot_break_deepstreams_fields() -> None:
    formats = recorded(deepstream={}).formats
    ((_, payload),) = formats.frames(replace(seen(0, ("person", 0.5)), labels=("a|b", "c", "d")))
    assert json.loads(payload)["objects"][0].split("|")[5:] == ["a_b", "#", "0.5000"]


def test_the_configuration_of_the_documentation_loads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "mqtt" / "formats.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "gate.yaml").write_text(f"device: gate-01\n{block}cameras: {{front: {{source: 0}}}}\n")
    formats = load(tmp_path / "gate.yaml", {}).mqtt.formats
    assert formats.frigate is not None
    assert formats.frigate.prefix == "frigate/gate-01"
    assert formats.deepstream is not None
    assert formats.homeassistant is not None


def test_retained_picture_is_cleared_with_its_camera() -> None:
    retained = Retained({}, lambda _, done: done())
    retained.claim("image", "front")
    retained.keep(["yard"])
    assert retained.pop() == ("image", b"")
    retained.keep(["yard", "front"])
    retained.claim("image", "front")
    retained.requeue("image")
    assert not retained
    retained.mark_all_unsent()
    assert not retained


@given(st.text(max_size=20))
def test_any_text_becomes_one_level_of_a_topic(text: str) -> None:
    topics = DeviceTopics.of("ospreyd", "gate")
    assert (topics.root / level(text)).name.count("/") == 2


def test_several_formats_at_once_and_none_by_default() -> None:
    all_three = recorded(frigate={}, deepstream={}, homeassistant={})
    assert len(all_three.formats.patterns) == 2
    assert {topic.split("/")[0] for topic in all_three.take()} == {"frigate", "homeassistant", "ospreyd"}
    nothing = recorded()
    nothing.formats.result(seen(0, ("car", 0.9)))
    assert nothing.messages == []
    assert nothing.formats.patterns == ()
    assert nothing.formats.presences == ()
