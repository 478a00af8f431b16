"""Everything that is said and heard over MQTT as one AsyncAPI 3 document, made from the types of the payloads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from daemon import __version__
from daemon.control.commands import CommandName
from daemon.control.messages import AnswerPayload, BuildRequest, NoRequest, SettingPayload, SnapshotRequest
from daemon.control.settings import Setting, value_schema
from daemon.publish.messages import CameraStatusPayload, DetectionsPayload, EventPayload, InfoPayload, StatsPayload

_JSON, _JPEG, _TEXT = "application/json", "image/jpeg", "text/plain"
_COMPONENTS = "#/components/schemas/"
_BINDING = "0.2.0"
"""of MQTT's operation bindings"""
_PARAMETERS = {
    "prefix": {"description": "`mqtt.prefix` of the configuration; may have several levels.", "default": "ospreyd"},
    "device": {"description": "`device` of the configuration."},
    "camera": {"description": "Name of a camera in the configuration."},
    "setting": {"description": "Which setting.", "enum": [setting.value for setting in Setting]},
}


@dataclass(frozen=True, slots=True)
class _Said:
    """What the daemon publishes on one topic."""

    name: str
    topic: str
    """below the device's, with {parameters}"""
    about: str
    payload: Any
    """a type, or a JSON Schema"""
    qos: int
    retain: bool
    content_type: str = _JSON


_SAID = (
    _Said(
        "status",
        "status",
        "Whether the daemon is connected; also its last will.",
        {"enum": ["online", "offline"]},
        1,
        True,
        _TEXT,
    ),
    _Said("info", "info", "What the device is and runs.", InfoPayload, 1, True),
    _Said("stats", "stats", "How the device is doing, periodically.", StatsPayload, 0, False),
    _Said("event", "{camera}/events", "What has happened, told until the broker has it.", EventPayload, 1, False),
    _Said("camera-status", "{camera}/status", "Where a camera stands.", CameraStatusPayload, 1, True),
    _Said("detections", "{camera}/detections", "What was seen in one frame.", DetectionsPayload, 0, False),
    _Said("setting", "{camera}/state/{setting}", "What a camera runs with.", SettingPayload, 1, True),
    _Said("snapshot", "{camera}/snapshot", "A picture, on command.", {"type": "string"}, 1, False, _JPEG),
    _Said("answer", "answer", "What became of a command that names no response topic.", AnswerPayload, 1, False),
)
_HEARD: dict[str, tuple[str, Any]] = {
    **{f"set-{one.value}": (f"{{camera}}/set/{one.value}", value_schema(one)) for one in Setting},
    CommandName.SNAPSHOT.value: ("command/snapshot", SnapshotRequest),
    CommandName.RELOAD.value: ("command/reload", NoRequest),
    CommandName.BUILD_ENGINE.value: ("command/build-engine", BuildRequest),
    CommandName.STATS.value: ("command/stats", NoRequest),
}
"""Topic and payload of each command."""


def asyncapi() -> dict[str, Any]:
    """The document, fit for JSON."""
    schemas, payloads = _payloads()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for said in _SAID:
        messages[said.name] = _message(said.name, said.content_type, payloads[said.name])
        channels[said.name] = _channel(said.topic, said.about, said.name)
        operations[f"send-{said.name}"] = _operation("send", said.name, said.name, said.qos, retain=said.retain)
    for name, (topic, _) in _HEARD.items():
        command = f"command-{name}"
        messages[command] = _message(command, _JSON, payloads[command])
        channels[command] = _channel(topic, "A command; answered at its response topic, else on `answer`.", command)
        operations[f"receive-{command}"] = {
            **_operation("receive", command, command, 1, retain=False),
            "reply": {
                "address": {
                    "location": "$message.header#/responseTopic",
                    "description": "MQTT 5's response topic; `answer` where there is none.",
                },
                "channel": {"$ref": "#/channels/answer"},
            },
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ospreyd over MQTT",
            "version": __version__,
            "description": "Detections, camera states and statistics out; commands in.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "servers": {"broker": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "5"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas, "parameters": _PARAMETERS},
    }


def _payloads() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of all types by name, and the payload of each message, which may refer to them."""
    given = {said.name: said.payload for said in _SAID}
    given |= {f"command-{name}": payload for name, (_, payload) in _HEARD.items()}
    types = {name: payload for name, payload in given.items() if not isinstance(payload, dict)}
    made, shared = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(payload)) for name, payload in types.items()],
        ref_template=f"{_COMPONENTS}{{model}}",
    )
    return shared["$defs"], {**given, **{name: schema for (name, _), schema in made.items()}}


def _message(name: str, content_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "contentType": content_type, "payload": payload}


def _channel(topic: str, about: str, message: str) -> dict[str, Any]:
    address = f"{{prefix}}/{{device}}/{topic}"
    return {
        "address": address,
        "description": about,
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in re.findall(r"{(\w+)}", address)},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(action: str, channel: str, message: str, qos: int, *, retain: bool) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": _BINDING}},
    }
