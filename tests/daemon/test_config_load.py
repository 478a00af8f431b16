"""Mistakes in a configuration: the exact lines that a user reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.camera import Camera as CameraSettings
from daemon.config.camera import Pace
from daemon.config.mqtt import Mqtt
from daemon.config.schema import Config
from engines.graphs.heads import FAMILIES
from tests.daemon.configuring import ABOVE, CAMERA, loaded, mistakes

CAMERA_KEYS = ", ".join(CameraSettings.model_fields)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mqtt(keys: str) -> str:
    return f"device: gate-01\nmqtt: {{host: localhost, {keys}}}\n{CAMERA}"


def model(keys: str) -> str:
    return f"{ABOVE}models: {{default: {{{keys}}}}}\n{CAMERA}"


def inference(keys: str) -> str:
    return f"{ABOVE}inference: {{{keys}}}\n{CAMERA}"


def camera(keys: str, source: str = "a.mp4") -> str:
    """Its keys are on line 6."""
    return f"{ABOVE}cameras:\n  front:\n    source: {source}\n    {keys}\n"


NO_VALUE = "has no value; give it one, or take the key out"
NAME = "must be letters, digits, - and _, up to 64"
LEVELS = "must be topic levels with / between them, without spaces, $, + and #"
PASSWORD = "is a password without a user; add mqtt.username"
FAMILY = f"must be one of {', '.join(['auto', *FAMILIES])}"
IS_NOT = ", which this camera's source is not"
LIVE = "is for files" + IS_NOT
RECTANGLE = "must be four numbers from 0 to 1: left, top, right and bottom"
NOTHING = "holds nothing: left must be less than right, and top less than bottom"
TAKEN = "is the name of a topic of the device itself; choose another name"
MERGE = "must be an alias of a mapping (*name), or a list of them"
A_NAME = "must be a mapping with at least one name in it"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device: gate-01\n" + CAMERA, "1: mqtt: is required"),
        (ABOVE, "1: cameras: is required"),
        (ABOVE + "cameras:\n  front: {}\n", "4: cameras.front.source: is required"),
        (ABOVE + CAMERA + "mqqt: {}\n", "5: mqqt: is not a known key; did you mean 'mqtt'?"),
        (camera("stall-after: 3"), "6: cameras.front.stall-after: is not a known key; did you mean 'stall_after'?"),
        (camera("PACE: realtime"), "6: cameras.front.PACE: is not a known key; did you mean 'pace'?"),
        (camera("xyz: 3"), f"6: cameras.front.xyz: is not a known key; known here are {CAMERA_KEYS}"),
        (ABOVE + "cameras: {}\n", f"3: cameras: {A_NAME}, got a mapping"),
        (ABOVE + "cameras:\n  - source: 0\n", f"3: cameras: {A_NAME}, got a list"),
        (ABOVE + "cameras:\n  front: cam/1\n", f"4: cameras.front: must be a mapping (of {CAMERA_KEYS}), got 'cam/1'"),
        (ABOVE + CAMERA + "  side: {source: 0}\n  front: {}\n", "6: cameras.front: is given twice, first on line 4"),
        (ABOVE + CAMERA + "device: b\n", "5: device: is given twice, first on line 1"),
        (ABOVE + CAMERA + "inference:\n", f"5: inference: {NO_VALUE}"),
        (mqtt("tls: "), f"2: mqtt.tls: {NO_VALUE}"),
        ("device:\n  null\nmqtt: {host: h}\n" + CAMERA, f"2: device: {NAME}, got nothing"),
        ("device: a\nmqtt: {host: ''}\n" + CAMERA, "2: mqtt.host: must be text that is not empty, got ''"),
        ("device: a\nmqtt: {host: [h]}\n" + CAMERA, "2: mqtt.host: must be text that is not empty, got a list"),
        (mqtt("port: 70000"), "2: mqtt.port: must be a whole number from 1 to 65535, got 70000"),
        (mqtt("port: on"), "2: mqtt.port: must be a whole number from 1 to 65535, got 'on'"),
        (mqtt("keepalive: 1:00"), "2: mqtt.keepalive: must be a whole number from 5 to 3600, got '1:00'"),
        (mqtt("prefix: a/+"), f"2: mqtt.prefix: {LEVELS}, got 'a/+'"),
        (mqtt("password: hunter2"), f"2: mqtt.password: {PASSWORD}"),
        (mqtt('username: a, password: "\\ud83d"'), "2: mqtt.password: has characters that are not Unicode text"),
        (model("family: yolo"), f"3: models.default.family: {FAMILY}, got 'yolo'"),
        (model("confidence: 1.5"), "3: models.default.confidence: must be a number from 0 to 1, got 1.5"),
        (model("iou: .nan"), "3: models.default.iou: must be a number from 0 to 1, got '.nan'"),
        (inference("max_age_ms: inf"), "3: inference.max_age_ms: must be a positive number, got 'inf'"),
        (inference("max_delay_ms: -1"), "3: inference.max_delay_ms: must be a number of 0 or more, got -1"),
        (inference("threads: 0"), "3: inference.threads: must be a whole number of 1 or more, got 0"),
        (ABOVE + "models: []\n" + CAMERA, "3: models: must be a mapping, got a list"),
        (camera("model: stret"), "6: cameras.front.model: must be one of `models` (default), got 'stret'"),
        (
            ABOVE + "models: {street: {}, b: {}}\n" + CAMERA,
            "5: cameras.front.model: must be one of `models` (b, street); it is 'default' unless given",
        ),
        (camera("open_timeout: ten"), "6: cameras.front.open_timeout: must be a positive number, got 'ten'"),
        (camera("labels: person"), "6: cameras.front.labels: must be a list, got 'person'"),
        (camera("labels:\n    - car\n    - [bus]"), "8: cameras.front.labels[1]: must be text, got a list"),
        (camera("enabled: ja"), "6: cameras.front.enabled: must be true or false, got 'ja'"),
        (camera("pace: fast"), "6: cameras.front.pace: must be one of realtime, as-fast-as-possible, got 'fast'"),
        (
            camera("enabled: no", "rtps://u:hunter2@cam/1"),
            "5: cameras.front.source: a URL must begin with rtsp://, rtsps://, http:// or https://, got 'rtps://cam/1'",
        ),
        *(
            (camera(key, source), f"6: cameras.front.{key.split(':')[0]}: {LIVE}")
            for source in ("0", "/dev/video0", "rtsp://h/1", "http://h/1.mjpg", "videotestsrc ! appsink")
            for key in ("loop: true", "pace: as-fast-as-possible")
        ),
        *(
            (
                camera(f"{key}: {value}", source),
                f"6: cameras.front.{key}: is for {of}{IS_NOT}",
            )
            for source, key, value, of in (
                ("rtsp://h/1", "start", 3, "files"),
                ("http://h/1", "transport", "udp", "RTSP"),
                ("a.mp4", "transport", "udp", "RTSP"),
                ("0", "hw_acceleration", "any", "RTSP, HTTP and files"),
                ("videotestsrc ! appsink", "decoder_threads", 2, "RTSP, HTTP and files"),
                ("rtsp://h/1", "format", "MJPG", "V4L2 devices"),
                ("a.mp4", "size", "[640, 480]", "V4L2 devices"),
            )
        ),
        *(
            (camera(f"{key}: {value}", "0"), f"6: cameras.front.{key}{message}")
            for key, value, message in (
                ("fps", 0, ": must be a positive number, got 0"),
                ("priority", 0, ": must be a number from 0.1 to 10, got 0"),
                ("rotate", 45, ": must be one of 0, 90, 180, 270, got 45"),
                ("rotate", "left", ": must be one of 0, 90, 180, 270, got 'left'"),
                ("crop", "[0, 0, 1]", f": {RECTANGLE}"),
                ("crop", "[0, 0, 1280, 1]", "[2]: must be a number from 0 to 1, got 1280"),
                ("crop", "[0.6, 0, 0.4, 1]", f": {NOTHING}"),
                ("crop", "[0, 0.5, 1, 0.5]", f": {NOTHING}"),
                ("crop", "whole", ": must be a list, got 'whole'"),
                ("masks", "[[[0, 0], [1, 1]]]", "[0]: must be three points or more"),
                ("masks", "[[[0, 0], [1], [1, 1]]]", "[0][1]: must be two numbers from 0 to 1: x and y"),
                ("masks", "[[[0, 0], [1, 1.01], [1, 1]]]", "[0][1][1]: must be a number from 0 to 1, got 1.01"),
                ("resize", "[640]", ": must be two whole numbers: width and height"),
                ("resize", "[640, 0]", "[1]: must be a whole number from 1 to 16384, got 0"),
                ("format", "MJPEG", ": must be four letters or digits, such as MJPG or YUYV, got 'MJPEG'"),
                ("size", "640x480", ": must be a list, got '640x480'"),
                ("decoder_threads", 0, ": must be a whole number from 1 to 64, got 0"),
            )
        ),
        (camera("transport: rtp", "rtsp://h/1"), "6: cameras.front.transport: must be one of tcp, udp, got 'rtp'"),
        (camera("start: -1"), "6: cameras.front.start: must be a number of 0 or more, got -1"),
        *(
            (f"{ABOVE}cameras:\n  {name}: {{source: 0}}\n", f"4: cameras.{name}: {TAKEN}")
            for name in ("status", "info", "stats", "command", "answer")
        ),
        (ABOVE + CAMERA + "? [a]\n: b\n", "5: a key must be text, not a list or a mapping"),
        (ABOVE + CAMERA + "  back: {<<: front, source: 0}\n", f"5: cameras.back.<<: {MERGE}"),
        (ABOVE + CAMERA + "  back: &a {source: 0, <<: *a}\n", "5: cameras.back: contains itself through an alias"),
        (camera("labels: &a [*a]"), "6: cameras.front.labels[0]: contains itself through an alias"),
    ],
)
def test_one_mistake(text: str, message: str) -> None:
    assert mistakes(text) == [message]


@pytest.mark.parametrize("name", ["gate 01", "a/b", "a+", "#", "größe", "a" * 65, ""])
def test_names_that_are_no_topic_level(name: str) -> None:
    assert mistakes(f"device: '{name}'\nmqtt: {{host: h}}\n{CAMERA}") == [f"1: device: {NAME}, got {name!r}"]
    written = name if name == "a" * 65 else repr(name)
    assert mistakes(f"{ABOVE}cameras:\n  '{name}': {{source: a}}\n") == [f"4: cameras.{written}: {NAME}"]


@pytest.mark.parametrize("name", ["007", "on", "no", "null-1", "1e3", "2026-11-22", "0x1F", "1_0", "a" * 64])
def test_names_are_text_whatever_yaml_thinks_of_them(name: str) -> None:
    assert loaded(f"device: {name}\nmqtt: {{host: h}}\n{CAMERA}").device == name
    assert list(loaded(f"{ABOVE}cameras:\n  {name}: {{source: a}}\n").cameras) == [name]


def test_text_stays_as_written_and_numbers_are_read() -> None:
    config = loaded(
        "device: a\nmqtt: {host: 10.0, username: 0123, password: 1e5, port: '1884'}\n"
        "cameras: {a: {source: 0, labels: [no, 1], enabled: yes, open_timeout: 1e1}}\n"
    )
    assert (config.mqtt.host, config.mqtt.username, config.mqtt.port) == ("10.0", "0123", 1884)
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "1e5"
    assert config.cameras["a"] == CameraSettings(source="0", labels=("no", "1"), open_timeout=10)


def test_every_mistake_is_told_at_once_each_at_its_own_line() -> None:
    text = """\
device: gate 01
mqtt:
  hots: localhost
  password: hunter2
models:
  default:
    family: yolo
cameras:
  front: &front
    source: rtsp://cam/1
    open_timeout: ten
    model: other
  back:
    <<: *front
    stall_after: -1
  front: {}
  side: {source: 0, loop: yes, pace: fast}
"""
    assert mistakes(text) == [
        "1: device: must be letters, digits, - and _, up to 64, got 'gate 01'",
        "2: mqtt.host: is required",
        "3: mqtt.hots: is not a known key; did you mean 'host'?",
        "4: mqtt.password: is a password without a user; add mqtt.username",
        f"7: models.default.family: {FAMILY}, got 'yolo'",
        "11: cameras.front.open_timeout: must be a positive number, got 'ten'",
        "11: cameras.back.open_timeout: must be a positive number, got 'ten'",
        "12: cameras.front.model: must be one of `models` (default), got 'other'",
        "12: cameras.back.model: must be one of `models` (default), got 'other'",
        "15: cameras.back.stall_after: must be a positive number, got -1",
        "16: cameras.front: is given twice, first on line 9",
        "17: cameras.side.pace: must be one of realtime, as-fast-as-possible, got 'fast'",
        "17: cameras.side.loop: is for files, which this camera's source is not",
    ]


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        loaded(ABOVE + CAMERA).mqtt.host = "other"  # type: ignore[misc] # what the test is about


def test_made_by_hand_it_is_checked_the_same() -> None:
    with pytest.raises(ValueError, match="must be one of `models`"):
        Config(
            device="a",
            mqtt=Mqtt(host="h"),
            cameras={"a": CameraSettings(source="x.mp4", model="b", pace=Pace.REALTIME)},
        )


@pytest.mark.parametrize(
    ("mqtt", "told"),
    [
        ("tls: {key: x}", "mqtt.tls.key: is a key without its certificate; add mqtt.tls.certificate"),
        ("path: /ws", "mqtt.path: is for websockets; add transport: websockets"),
        ("transport: websockets, path: ws", "mqtt.path: must begin with / and hold no spaces, got 'ws'"),
        ("transport: udp", "mqtt.transport: must be one of tcp, websockets, got 'udp'"),
        (
            "tls: {alpn: 'a b'}",
            "mqtt.tls.alpn: must be 1 to 255 printable ASCII characters without spaces, got 'a b'",
        ),
    ],
)
def test_mistakes_of_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mqtt: str, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").touch()
    assert mistakes(f"device: a\nmqtt: {{host: h, {mqtt}}}\n{CAMERA}") == [f"2: {told}"]


@pytest.mark.parametrize(
    ("mqtt", "port"),
    [("", 1883), ("tls: {}", 8883), ("transport: websockets", 80), ("transport: websockets, tls: {}", 443)],
)
def test_default_ports(mqtt: str, port: int) -> None:
    assert loaded(f"device: a\nmqtt: {{host: h, {mqtt}}}\n{CAMERA}").mqtt.address == ("h", port)
