"""Parsing of commands: exact results, and any message from outside."""

from __future__ import annotations

import os

import orjson
import pytest
from hypothesis import given, settings

from daemon.control.command_payloads import answer
from daemon.control.commands import (
    BuildEngine,
    ChangeSetting,
    Command,
    CommandRejected,
    CommandScope,
    PublishStats,
    Reload,
    ResetLines,
    TakeSnapshot,
)
from daemon.control.parse import LARGEST, command_patterns, parse_command
from daemon.control.settings import Setting
from daemon.mqtt.incoming import Received
from daemon.mqtt.topics import DeviceTopics
from tests.daemon.commanding import ROOT, SCOPE, TOPICS
from tests.daemon.hostile import CAMERAS, DOCUMENTED, MESSAGES, may_be_answered_at

ANSWER = f"{ROOT}/answer"


def received(topic: str, payload: bytes = b"", **more: object) -> Received:
    """A message on a topic below the device's."""
    fields = {"retained": False, "response_topic": None, "correlation": None, **more}
    return Received(topic=f"{ROOT}/{topic}", payload=payload, **fields)  # type: ignore[arg-type] # any of its fields


def rejection(message: Received) -> str:
    command = parse_command(TOPICS, SCOPE, message).command
    assert isinstance(command, CommandRejected)
    return str(command)


@pytest.mark.parametrize(
    ("topic", "payload", "command"),
    [
        ("front/set/enabled", b"true", ChangeSetting("front", Setting.ENABLED, True)),
        ("yard/set/enabled", b" false\n", ChangeSetting("yard", Setting.ENABLED, False)),
        ("front/set/confidence", b"0.25", ChangeSetting("front", Setting.CONFIDENCE, 0.25)),
        ("front/set/confidence", b"1", ChangeSetting("front", Setting.CONFIDENCE, 1.0)),
        ("front/set/confidence", b"null", ChangeSetting("front", Setting.CONFIDENCE, None)),
        ("front/set/fps", b"5", ChangeSetting("front", Setting.FPS, 5.0)),
        ("front/set/fps", b"null", ChangeSetting("front", Setting.FPS, None)),
        ("command/snapshot", b'{"camera": "front"}', TakeSnapshot("front", annotated=True)),
        ("command/snapshot", b'{"camera": "front", "annotated": false}', TakeSnapshot("front", annotated=False)),
        ("command/reload", b"", Reload()),
        ("command/reload", b"{}", Reload()),
        ("command/build-engine", b'{"model": "default"}', BuildEngine("default")),
        ("command/stats", b"", PublishStats()),
        ("command/reset-lines", b"", ResetLines(None)),
        ("command/reset-lines", b'{"camera": "front"}', ResetLines("front")),
    ],
)
def test_commands(topic: str, payload: bytes, command: Command) -> None:
    request = parse_command(TOPICS, SCOPE, received(topic, payload))
    assert (request.name, request.command, request.answer_to.name) == (topic, command, ANSWER)


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("front/set/enabled", b"1", "enabled must be true or false"),
        ("front/set/enabled", b"ON", "its payload is not JSON"),
        ("front/set/enabled", b'"true"', "enabled must be true or false"),
        ("front/set/enabled", b"null", "enabled must be true or false"),
        ("front/set/enabled", b"", "its payload is not JSON"),
        ("front/set/confidence", b"1.5", "confidence must be a number from 0 to 1, or null"),
        ("front/set/confidence", b"true", "confidence must be a number from 0 to 1, or null"),
        ("front/set/confidence", b"NaN", "its payload is not JSON"),
        ("front/set/fps", b"0", "fps must be a positive number, or null"),
        ("front/set/fps", b"1e999", "its payload is not JSON"),
        ("front/set/fps", b"[" * 1000, "its payload is not JSON"),
        ("front/set/fps", b" " * LARGEST + b"5", "its payload is longer than 1024 bytes"),
        ("front/set/source", b'"x"', "there is no setting 'source'; there are: confidence, enabled, fps"),
        ("back/set/fps", b"5", "there is no camera 'back'; there are: front, yard"),
        ("command/snapshot", b'{"camera": "back"}', "there is no camera 'back'; there are: front, yard"),
        ("command/snapshot", b"", "camera is missing; there are: front, yard"),
        ("command/snapshot", b"{}", "camera is missing; there are: front, yard"),
        ("command/snapshot", b"front", "its payload is not JSON"),
        ("command/snapshot", b"[]", "its payload must be a JSON object"),
        ("command/snapshot", b'{"camera": 5}', "camera must be text"),
        ("command/snapshot", b'{"camera": ""}', "camera has a wrong value"),
        ("command/snapshot", b'{"camera": "front", "annotated": 1}', "annotated must be true or false"),
        ("command/snapshot", b'{"camera": "front", "size": 1}', "size is not a known key"),
        ("command/reload", b'{"file": "/etc/passwd"}', "file is not a known key"),
        ("command/build-engine", b'{"model": "../x"}', "there is no model '../x'; there are: default"),
        (
            "command/reboot",
            b"",
            "there is no command 'reboot'; there are: build-engine, reload, reset-lines, snapshot, stats",
        ),
        ("front/state/fps", b"5", "unsupported command"),
    ],
)
def test_rejected_commands(topic: str, payload: bytes, why: str) -> None:
    assert rejection(received(topic, payload)) == why


def test_retained_command_is_rejected() -> None:
    assert rejection(received("front/set/fps", b"5", retained=True)) == (
        "retained commands are rejected; publish it without the retain flag"
    )


@pytest.mark.parametrize(
    ("name", "payload", "command"),
    [
        ("snapshot", b"", TakeSnapshot("only", annotated=True)),
        ("snapshot", b'{"annotated": false}', TakeSnapshot("only", annotated=False)),
        ("build-engine", b"", BuildEngine("big")),
        ("build-engine", b"{}", BuildEngine("big")),
        ("reset-lines", b"", ResetLines(None)),
    ],
)
def test_what_there_is_one_of_need_not_be_named(name: str, payload: bytes, command: Command) -> None:
    scope = CommandScope(frozenset({"only"}), frozenset({"big"}))
    assert parse_command(TOPICS, scope, received(f"command/{name}", payload)).command == command


@pytest.mark.parametrize(
    "topic", ["clients/me/answers", "site", "site/ospreyder/gate/info", ANSWER, f"{ANSWER}/me/1", "x" * 256]
)
def test_allowed_response_topics(topic: str) -> None:
    request = parse_command(
        TOPICS, SCOPE, received("front/set/fps", b"5", response_topic=topic, correlation=b"\0" * 256)
    )
    assert (request.answer_to.name, request.correlation) == (topic, b"\0" * 256)
    assert request.command == ChangeSetting("front", Setting.FPS, 5.0)


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("$SYS/broker", "begin with \\$"),
        ("a/#", "no wildcards"),
        ("a/+/b", "no wildcards"),
        ("", "no empty levels"),
        ("a\n", "no control characters"),
        ("x" * 257, "longer than 256 bytes"),
        (f"{ROOT}/status", "is below site/ospreyd/"),
        (f"{ROOT}/front/detections", "is below site/ospreyd/"),
        (f"{ROOT}/answers", "is below site/ospreyd/"),
        ("site/ospreyd/other/command/reload", "is below site/ospreyd/"),
        ("site/ospreyd", "is below site/ospreyd/"),
    ],
)
def test_forbidden_response_topics(topic: str, why: str) -> None:
    message = received("front/set/fps", b"5", response_topic=topic, correlation=b"1")
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(rejection(message))
    request = parse_command(TOPICS, SCOPE, message)
    assert (request.answer_to.name, request.correlation) == (ANSWER, b"1")


def test_long_correlation_data_is_rejected() -> None:
    request = parse_command(TOPICS, SCOPE, received("front/set/fps", b"5", response_topic="me", correlation=b"1" * 257))
    assert isinstance(request.command, CommandRejected)
    assert (request.answer_to.name, request.correlation) == (ANSWER, None)


def test_answer_naming_a_file_that_is_not_utf8() -> None:
    named = answer("gate", "command/reload", ok=False, detail=f"{os.fsdecode(bytes([98, 0xFF]))}.yaml: no such file")
    assert orjson.loads(named)["detail"] == "b?.yaml: no such file"


def test_topic_filters_match_commands_only() -> None:
    assert command_patterns(TOPICS) == (f"{ROOT}/+/set/+", f"{ROOT}/command/+")


@given(MESSAGES)
@settings(max_examples=300)
def test_any_message_is_parsed_safely(message: Received) -> None:
    scope = CommandScope(frozenset(CAMERAS), frozenset({"default", "broken"}))
    request = parse_command(DeviceTopics.of("ospreyd", "box"), scope, message, ("frigate",))
    assert may_be_answered_at(request.answer_to.name)
    assert len(request.name) <= 200
    orjson.loads(answer("box", request.name, ok=False, detail=str(request.command)))
    if not isinstance(request.command, CommandRejected):
        assert message.topic in DOCUMENTED
        assert not message.retained
        assert len(message.payload) <= LARGEST
