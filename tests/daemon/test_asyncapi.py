"""The AsyncAPI document: current, sound, and true of what is published and obeyed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from daemon.control.commands import CommandRejected
from daemon.control.parse import command_patterns, parse_command
from daemon.mqtt.incoming import Received
from daemon.publish.asyncapi import asyncapi
from daemon.publish.schemas import schemas
from tests.conftest import ROOT
from tests.daemon.commanding import SCOPE, TOPICS

DOCUMENT = asyncapi()
# What AsyncAPI 3.0.0 demands of the parts that this document uses, in its own words' order.
REFERENCE = {"type": "object", "required": ["$ref"], "properties": {"$ref": {"type": "string"}}, "maxProperties": 1}
CHANNEL = {
    "type": "object",
    "required": ["address", "messages"],
    "properties": {
        "address": {"type": "string"},
        "description": {"type": "string"},
        "parameters": {"type": "object", "additionalProperties": REFERENCE},
        "messages": {"type": "object", "minProperties": 1, "additionalProperties": REFERENCE},
    },
    "additionalProperties": False,
}
OPERATION = {
    "type": "object",
    "required": ["action", "channel"],
    "properties": {
        "action": {"enum": ["send", "receive"]},
        "channel": REFERENCE,
        "messages": {"type": "array", "items": REFERENCE},
        "reply": {
            "type": "object",
            "properties": {
                "address": {
                    "type": "object",
                    "required": ["location"],
                    "properties": {"location": {"pattern": r"^\$message\.(header|payload)#(/.+)*$"}, "description": {}},
                    "additionalProperties": False,
                },
                "channel": REFERENCE,
            },
            "additionalProperties": False,
        },
        "bindings": {
            "properties": {
                "mqtt": {
                    "properties": {
                        "qos": {"enum": [0, 1, 2]},
                        "retain": {"type": "boolean"},
                        "bindingVersion": {"const": "0.2.0"},
                    },
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
SHAPE = {
    "type": "object",
    "required": ["asyncapi", "info"],
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {"license": {"type": "object", "required": ["name"]}},
        },
        "defaultContentType": {"type": "string"},
        "servers": {"additionalProperties": {"type": "object", "required": ["host", "protocol"]}},
        "channels": {"additionalProperties": CHANNEL},
        "operations": {"additionalProperties": OPERATION},
        "components": {
            "properties": {
                "messages": {"type": "object"},
                "schemas": {"type": "object"},
                "parameters": {
                    "additionalProperties": {
                        "properties": {"description": {}, "default": {"type": "string"}, "enum": {"type": "array"}},
                        "additionalProperties": False,
                    }
                },
            },
            "propertyNames": {"pattern": r"^[\w.-]+$"},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def references(part: Any) -> Iterator[str]:
    """Every $ref in a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def found(reference: str) -> Any:
    """What a $ref leads to."""
    part: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


def payload_of(message: str) -> dict[str, Any]:
    """The schema of a message, complete in itself."""
    return {**DOCUMENT["components"]["messages"][message]["payload"], "components": DOCUMENT["components"]}


def test_it_is_up_to_date() -> None:
    published = json.loads((ROOT / "docs" / "mqtt" / "asyncapi.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(DOCUMENT)), "run: make schemas"


def test_it_has_the_shape_of_asyncapi_3_and_every_reference_leads_somewhere() -> None:
    jsonschema.Draft202012Validator(SHAPE).validate(DOCUMENT)
    for reference in references(DOCUMENT):
        assert found(reference), reference


def test_parts_fit_together() -> None:
    for name, channel in DOCUMENT["channels"].items():
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"])), name
    for operation in DOCUMENT["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
    for message in DOCUMENT["components"]["messages"]:
        jsonschema.Draft202012Validator.check_schema(payload_of(message))


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_payload_is_in_it_with_its_topic(name: str) -> None:
    channel = DOCUMENT["channels"][name]
    assert channel["address"].translate(str.maketrans("{}", "<>")) == schemas()[name]["title"]
    text = (ROOT / "docs" / "mqtt" / "README.md").read_text(encoding="utf-8").split(f"]({name}.schema.json)")[1]
    example = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert example is not None
    jsonschema.Draft202012Validator(payload_of(name)).validate(json.loads(example[1]))


COMMANDS = {
    "command-set-enabled": ("true", "1"),
    "command-set-confidence": ("0.5", "2"),
    "command-set-fps": ("5", "0"),
    "command-snapshot": ('{"camera": "front", "annotated": false}', '{"annotated": 1}'),
    "command-reload": ("{}", '{"a": 1}'),
    "command-build-engine": ('{"model": "default"}', "[]"),
    "command-stats": ("{}", "[]"),
    "command-reset-lines": ('{"camera": "front"}', '{"line": "gate"}'),
}


def test_every_command_is_in_it() -> None:
    assert {name for name in DOCUMENT["channels"] if name.startswith("command-")} == set(COMMANDS)
    assert len(command_patterns(TOPICS)) == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_what_it_says(name: str) -> None:
    """The document and the parser agree on what is right and what is wrong."""
    topic = DOCUMENT["channels"][name]["address"].format(prefix="site/ospreyd", device="gate", camera="front")
    right, wrong = COMMANDS[name]
    for payload, valid in ((right, True), (wrong, False)):
        assert jsonschema.Draft202012Validator(payload_of(name)).is_valid(json.loads(payload)) is valid
        parsed = parse_command(TOPICS, SCOPE, Received(topic, payload.encode(), False, None, None))
        assert isinstance(parsed.command, CommandRejected) is not valid
