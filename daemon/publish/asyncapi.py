"""Everything that is said and heard over MQTT as one AsyncAPI 3 document, made from the types of the payloads."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter

from daemon import __version__
from daemon.control.command_payloads import BuildRequest, NoRequest, ResetLinesRequest, SnapshotRequest
from daemon.control.commands import CommandName
from daemon.control.settings import Setting, value_schema
from daemon.publish.channels import CHANNELS, DEVICE, JSON

_COMPONENTS = "#/components/schemas/"
_BINDING = "0.2.0"
"""of MQTT's operation bindings"""
_PARAMETERS = {
    "prefix": {"description": "`mqtt.prefix` of the configuration; may have several levels.", "default": "ospreyd"},
    "device": {"description": "`device` of the configuration."},
    "camera": {"description": "Name of a camera in the configuration."},
    "zone": {"description": "Name of a zone in the configuration."},
    "line": {"description": "Name of a line in the configuration."},
    "setting": {"description": "Which setting.", "enum": [setting.value for setting in Setting]},
}


_HEARD: dict[str, tuple[str, Any]] = {
    **{f"set-{one.value}": (f"{{camera}}/set/{one.value}", value_schema(one)) for one in Setting},
    CommandName.SNAPSHOT.value: ("command/snapshot", SnapshotRequest),
    CommandName.RELOAD.value: ("command/reload", NoRequest),
    CommandName.BUILD_ENGINE.value: ("command/build-engine", BuildRequest),
    CommandName.STATS.value: ("command/stats", NoRequest),
    CommandName.RESET_LINES.value: ("command/reset-lines", ResetLinesRequest),
}
"""Topic, below the device's, and payload of each command."""


def asyncapi() -> dict[str, Any]:
    """The document, fit for JSON."""
    schemas, payloads = _payloads()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for one in CHANNELS:
        messages[one.name] = _message(one.name, one.content_type, payloads[one.name])
        channels[one.name] = _channel(one.topic, one.about, one.name)
        operations[f"send-{one.name}"] = _operation("send", one.name, one.name, one.qos, retain=one.retain)
    for name, (topic, _) in _HEARD.items():
        command = f"command-{name}"
        messages[command] = _message(command, JSON, payloads[command])
        about = "A command; answered at its response topic, else on `answer`."
        channels[command] = _channel(f"{DEVICE.root}/{topic}", about, command)
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
        "defaultContentType": JSON,
        "servers": {"broker": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "5"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas, "parameters": _PARAMETERS},
    }


def _payloads() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of all types by name, and the payload of each message, which may refer to them."""
    given = {one.name: one.payload for one in CHANNELS}
    given |= {f"command-{name}": payload for name, (_, payload) in _HEARD.items()}
    types = {name: payload for name, payload in given.items() if not isinstance(payload, dict)}
    made, shared = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(payload)) for name, payload in types.items()],
        ref_template=f"{_COMPONENTS}{{model}}",
    )
    return shared["$defs"], {**given, **{name: schema for (name, _), schema in made.items()}}


def _message(name: str, content_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "contentType": content_type, "payload": payload}


def _channel(address: str, about: str, message: str) -> dict[str, Any]:
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
