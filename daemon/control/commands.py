"""From a message of anyone's to a command that may be obeyed, or to why it may not. Pure: nothing is done here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from daemon.control.messages import AnswerPayload, BuildRequest, NoRequest, SettingPayload, SnapshotRequest
from daemon.control.settings import Setting, Value, checked
from daemon.publish.inbox import Received
from daemon.publish.topics import DeviceTopics, Topic

LARGEST = 1024  # bytes of a command's payload
_LONGEST_TOPIC = 256  # bytes of a response topic
_LONGEST_CORRELATION = 256  # bytes
_LONGEST_SHOWN = 200  # characters of a command's topic in its answer


INTERNAL_ERROR = "internal error"
"""the answer to a command that failed in an unexpected way"""


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """A command that is not obeyed; the message is the sentence that answers it."""


class Name(str, Enum):
    """Commands to the device, the last level of `…/command/<name>`."""

    SNAPSHOT = "snapshot"
    RELOAD = "reload"
    BUILD_ENGINE = "build-engine"
    STATS = "stats"


@dataclass(frozen=True, slots=True)
class Set:
    """Changes a setting of a camera."""

    camera: str
    setting: Setting
    value: Value


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Publishes the camera's next picture."""

    camera: str
    annotated: bool
    """whether what was seen is drawn on it"""


@dataclass(frozen=True, slots=True)
class Reload:
    """Reads the configuration again."""


@dataclass(frozen=True, slots=True)
class BuildEngine:
    """Builds a model's engine anew."""

    model: str


@dataclass(frozen=True, slots=True)
class PublishStats:
    """Publishes the statistics now."""


Command = Set | Snapshot | Reload | BuildEngine | PublishStats


@dataclass(frozen=True, slots=True)
class Known:
    """What commands may name."""

    cameras: frozenset[str]
    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class Request:
    """One message, judged."""

    name: str
    """the topic below the device's, for its answer"""
    command: Command | Refused
    answer_to: Topic
    correlation: bytes | None


def patterns(topics: DeviceTopics) -> tuple[str, ...]:
    """The topic filters of all commands."""
    return f"{topics.root}/+/set/+", f"{topics.root}/command/+"


def state_topic(topics: DeviceTopics, camera: str, setting: Setting) -> Topic:
    """Where the value of a setting is retained."""
    return topics.root / camera / "state" / setting.value


def judge(topics: DeviceTopics, known: Known, message: Received, reserved: tuple[str, ...] = ()) -> Request:
    """Whether the message is a command, which one, and where its answer goes. Raises nothing.

    No answer goes below the topics that are `reserved`, or below those of devices but where it may.
    """
    name = message.topic.removeprefix(f"{topics.root}/")
    shown = shortened(name)
    answer_to, correlation = topics.answer, message.correlation
    try:
        if correlation is not None and len(correlation) > _LONGEST_CORRELATION:
            correlation = None
            raise Refused(f"its correlation data is longer than {_LONGEST_CORRELATION} bytes")  # noqa: TRY301
        if message.response_topic is not None:
            answer_to = _response_topic(topics, message.response_topic, reserved)
        return Request(shown, _command(name, known, message), answer_to, correlation)
    except Refused as refusal:
        return Request(shown, refusal, answer_to, correlation)


def shortened(name: str) -> str:
    """A command's topic as its answer repeats it."""
    return name[:_LONGEST_SHOWN].encode(errors="replace").decode()


def answer(device: str, name: str, *, ok: bool, detail: str) -> bytes:
    """The message that answers a command."""
    detail = detail.encode(errors="replace").decode()  # names of files need not be Unicode
    payload: AnswerPayload = {"schema": 1, "device": device, "command": name, "ok": ok, "detail": detail}
    return orjson.dumps(payload)


def setting(device: str, camera: str, which: Setting, value: Value, *, commanded: bool) -> bytes:
    """The retained message of a setting's value."""
    payload: SettingPayload = {
        "schema": 1,
        "device": device,
        "camera": camera,
        "setting": which,
        "value": value,
        "origin": "command" if commanded else "configuration",
    }
    return orjson.dumps(payload)


def _response_topic(topics: DeviceTopics, name: str, reserved: tuple[str, ...]) -> Topic:
    """Nobody may have us write what we, or another device, would be believed to say, or would obey."""
    if len(name.encode(errors="replace")) > _LONGEST_TOPIC:
        raise Refused(f"its response topic is longer than {_LONGEST_TOPIC} bytes")
    try:
        topic = Topic(name)
    except ValueError as error:
        raise Refused(f"its response topic cannot be used: {error}") from None
    ours, prefix = topics.answer.name, topics.root.name.rpartition("/")[0]
    below_ours = name == ours or name.startswith(f"{ours}/")
    if not below_ours and (name == prefix or name.startswith(f"{prefix}/")):
        raise Refused(f"its response topic is below {prefix}/, where only {ours} and what is below it may be used")
    if any(name == root or name.startswith(f"{root}/") for root in reserved if not f"{root}/".startswith(f"{prefix}/")):
        raise Refused("its response topic is one of those of another format")
    return topic


def _command(name: str, known: Known, message: Received) -> Command:
    """Raises Refused."""
    if message.retained:
        raise Refused("it is retained by the broker and would be obeyed at every connection; publish it unretained")
    if len(message.payload) > LARGEST:
        raise Refused(f"its payload is longer than {LARGEST} bytes")
    match name.split("/"):
        case [camera, "set", which]:
            return _set(camera, which, known, message.payload)
        case ["command", which]:
            return _device_command(which, known, message.payload)
    raise Refused("there is no such command")


def _set(camera: str, which: str, known: Known, payload: bytes) -> Set:
    _must_be(camera, known.cameras, "camera")
    _must_be(which, frozenset(one.value for one in Setting), "setting")
    try:
        return Set(camera, Setting(which), checked(Setting(which), _json(payload)))
    except ValueError as error:
        raise Refused(f"{which} {error}") from None


def _device_command(which: str, known: Known, payload: bytes) -> Command:
    _must_be(which, frozenset(one.value for one in Name), "command")
    return _READERS[Name(which)](known, payload)


def _snapshot(known: Known, payload: bytes) -> Snapshot:
    request: SnapshotRequest = _shaped(_SNAPSHOT, payload)
    _must_be(request["camera"], known.cameras, "camera")
    return Snapshot(request["camera"], request.get("annotated", True))


def _reload(_known: Known, payload: bytes) -> Reload:
    _shaped(_NOTHING, payload or b"{}")
    return Reload()


def _build(known: Known, payload: bytes) -> BuildEngine:
    request: BuildRequest = _shaped(_BUILD, payload)
    _must_be(request["model"], known.models, "model")
    return BuildEngine(request["model"])


def _stats(_known: Known, payload: bytes) -> PublishStats:
    _shaped(_NOTHING, payload or b"{}")
    return PublishStats()


def _must_be(name: str, known: frozenset[str], what: str) -> None:
    if name not in known:
        raise Refused(f"there is no {what} {name[:64]!r}; there are: {', '.join(sorted(known))}")


def _json(payload: bytes) -> object:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise Refused("its payload is not JSON") from None


def _shaped(shape: TypeAdapter[Any], payload: bytes) -> Any:
    document = _json(payload)
    try:
        return shape.validate_python(document)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:64] for part in mistake["loc"]) or "its payload"
    raise Refused(_SENTENCES.get(mistake["type"], "{} has a wrong value").format(where))


_SENTENCES = {
    "missing": "{} is missing",
    "extra_forbidden": "{} is not known here",
    "bool_type": "{} must be true or false",
    "string_type": "{} must be text",
    "dict_type": "{} must be a JSON object",
}
_SNAPSHOT: TypeAdapter[Any] = TypeAdapter(SnapshotRequest)
_BUILD: TypeAdapter[Any] = TypeAdapter(BuildRequest)
_NOTHING: TypeAdapter[Any] = TypeAdapter(NoRequest)
_READERS: dict[Name, Callable[[Known, bytes], Command]] = {
    Name.SNAPSHOT: _snapshot,
    Name.RELOAD: _reload,
    Name.BUILD_ENGINE: _build,
    Name.STATS: _stats,
}
