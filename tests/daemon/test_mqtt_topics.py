"""Topics of a device, and invalid topics."""

from __future__ import annotations

import pytest

from daemon.control.settings import Setting
from daemon.mqtt.topics import DeviceTopics, Topic


def test_topics_of_a_device() -> None:
    topics = DeviceTopics.of("site/ospreyd", "gate-01")
    front = topics.camera("front")
    assert [str(t) for t in (topics.status, topics.info, topics.stats, front.status, front.detections)] == [
        "site/ospreyd/gate-01/status",
        "site/ospreyd/gate-01/info",
        "site/ospreyd/gate-01/stats",
        "site/ospreyd/gate-01/front/status",
        "site/ospreyd/gate-01/front/detections",
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no empty levels"),
        ("/a", "no empty levels"),
        ("a//b", "no empty levels"),
        ("a/", "no empty levels"),
        ("a/+/b", "no wildcards"),
        ("a/#", "no wildcards"),
        ("a\0b", "no control characters"),
        ("a\nb", "no control characters"),
        ("$SYS/a", "belong to the broker"),
        ("ä" * 32768, "at most 65535 bytes, got 65536"),
    ],
)
def test_invalid_topics(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Topic(name)


def test_the_longest_topic() -> None:
    assert len(Topic("a" * 65535).name) == 65535


def test_a_level_that_is_an_enum_is_its_value() -> None:
    """Whatever Python's version makes of it in a format string."""
    assert DeviceTopics.of("ospreyd", "gate").camera("front").state(Setting.FPS).name == "ospreyd/gate/front/state/fps"
