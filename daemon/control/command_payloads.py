"""Payloads of commands, answers and settings: their types, which validate and document them, and their encoding."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import NotRequired, TypedDict

from daemon.control.settings import Setting, Value, value_schema
from daemon.mqtt.topics import DeviceTopics, Topic

_received = with_config(ConfigDict(use_attribute_docstrings=True, strict=True, extra="forbid"))
_published = with_config(ConfigDict(use_attribute_docstrings=True))

_LONGEST_NAME = 200  # characters of a command's topic in its answer

Name = Annotated[str, Field(min_length=1, max_length=64)]


def _values() -> list[dict[str, Any]]:
    """JSON Schemas of the values of all settings, each once."""
    schemas = [value_schema(setting) for setting in Setting]
    choices = [choice for schema in schemas for choice in schema.get("anyOf", [schema])]
    return [choice for index, choice in enumerate(choices) if choice not in choices[:index]]


@_received
class SnapshotRequest(TypedDict):
    """Asks for a picture of a camera, which is published on its topic `snapshot`."""

    camera: NotRequired[Name]
    """Name of the camera; default: the only one."""
    annotated: NotRequired[bool]
    """Whether the detections are drawn on it; default: true."""


@_received
class BuildRequest(TypedDict):
    """Asks for a model's engine to be rebuilt."""

    model: NotRequired[Name]
    """Name of the model in the configuration; default: the only one."""


@_received
class ResetLinesRequest(TypedDict):
    """Resets the counts of line crossings."""

    camera: NotRequired[Name]
    """Name of the camera whose lines they are; default: all cameras."""


@_received
class NoRequest(TypedDict):
    """A command without parameters; the payload may be empty too."""


@_published
class AnswerPayload(TypedDict):
    """The result of one command; at least once (QoS 1), not retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    command: str
    """The command's topic below the device's, such as front/set/fps; cut after 200 characters."""
    ok: bool
    """Whether it was executed; if not, it has changed nothing."""
    detail: str
    """What was done, or why the command was rejected or failed; one sentence for a person."""


@_published
class SettingPayload(TypedDict):
    """The value of a camera's setting; retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    setting: Setting
    """Which setting this is."""
    value: Annotated[Value, WithJsonSchema({"anyOf": _values()})]
    """As in the configuration; null where nothing is set."""
    origin: Literal["configuration", "command"]
    """Source of the value."""


def shortened(name: str) -> str:
    """A command's topic as its answer repeats it."""
    return name[:_LONGEST_NAME].encode(errors="replace").decode()


def answer(device: str, name: str, *, ok: bool, detail: str) -> bytes:
    """The message that answers a command."""
    detail = detail.encode(errors="replace").decode()  # names of files need not be Unicode
    payload: AnswerPayload = {"schema": 1, "device": device, "command": name, "ok": ok, "detail": detail}
    return orjson.dumps(payload)


def setting_topic(topics: DeviceTopics, camera: str, setting: Setting) -> Topic:
    """Where the value of a setting is retained."""
    return topics.camera(camera).state(setting.value)


def setting_message(device: str, camera: str, setting: Setting, value: Value, *, commanded: bool) -> bytes:
    """The retained message of a setting's value."""
    payload: SettingPayload = {
        "schema": 1,
        "device": device,
        "camera": camera,
        "setting": setting,
        "value": value,
        "origin": "command" if commanded else "configuration",
    }
    return orjson.dumps(payload)
