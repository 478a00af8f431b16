"""The table of topics: complete, unambiguous, and the same as in the documentation."""

from __future__ import annotations

import re

import pytest

from daemon.mqtt.topics import DeviceTopics
from daemon.publish.channels import CHANNELS, Channel
from tests.conftest import ROOT

_NAMED = {"state": "setting", "zone": "zone", "line": "line"}
"""methods of CameraTopics, and the parameter of each"""


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.name)
@pytest.mark.parametrize("prefix", ["ospreyd", "site/{prefix}/ospreyd"])
def test_a_topic_leads_to_its_channel_and_no_other(channel: Channel, prefix: str) -> None:
    values = {"device": "gate", "camera": "front", "setting": "fps", "zone": "porch", "line": "gate"}
    topic = prefix + channel.topic.removeprefix("{prefix}").format(**values)
    found = {one.name: of for one in CHANNELS if (of := one.parameters(prefix, topic)) is not None}
    assert found == {channel.name: {name: values[name] for name in re.findall("{([a-z]+)}", channel.topic)[1:]}}
    assert re.fullmatch(re.escape(channel.pattern(prefix)).replace(r"\+", "[^/]+"), topic)
    assert channel.parameters(prefix, topic.removeprefix(f"{prefix}/")) is None


def test_every_topic_of_a_device_and_a_camera_is_in_the_table() -> None:
    device = DeviceTopics.of("{prefix}", "{device}")
    camera = device.camera("{camera}")
    names = {str(getattr(of, name)) for of in (device, camera) for name in of.__dataclass_fields__ if name != "root"}
    named = {str(getattr(camera, kind)(f"{{{of}}}")) for kind, of in _NAMED.items()}
    assert {one.topic for one in CHANNELS} == names | named


def test_the_table_of_the_documentation_says_the_same() -> None:
    text = (ROOT / "docs" / "mqtt" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\u2026/([^`]+)` \| [^|]* \| (\d) \| (yes|no)\b", text, re.MULTILINE)
    below = {one.topic.removeprefix("{prefix}/{device}/").translate(str.maketrans("{}", "<>")): one for one in CHANNELS}
    assert {topic: (int(qos), kept == "yes") for topic, qos, kept in rows} == {
        topic: (one.qos, one.retain) for topic, one in below.items()
    }
