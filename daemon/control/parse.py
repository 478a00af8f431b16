"""From a message of anyone's to a command, or to why it is rejected. Pure: nothing is executed here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from daemon.control.command_payloads import BuildRequest, NoRequest, ResetLinesRequest, SnapshotRequest, shortened
from daemon.control.commands import (
    INTERNAL_ERROR,
    BuildEngine,
    ChangeSetting,
    Command,
    CommandName,
    CommandRejected,
    CommandRequest,
    CommandScope,
    PublishStats,
    Reload,
    ResetLines,
    TakeSnapshot,
)
from daemon.control.settings import Setting, checked
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.topics import DeviceTopics, Topic

LARGEST = 1024  # bytes of a command's payload
_LONGEST_TOPIC = 256  # bytes of a response topic
_LONGEST_CORRELATION = 256  # bytes


ParseOther = Callable[[CommandScope, Received], CommandRequest | None]
"""parses a command in another format than our own; None where the message is none"""


@dataclass(frozen=True, slots=True)
class CommandParser:
    """Parses the commands to one device."""

    topics: DeviceTopics
    scope: Callable[[], CommandScope]
    parse_other: ParseOther
    reserved: tuple[str, ...]
    """topics of other formats, below which no answer is published"""

    def parse(self, message: Received) -> CommandRequest:
        """The command in a message, or why it is rejected."""
        scope = self.scope()
        return self.parse_other(scope, message) or parse_command(self.topics, scope, message, self.reserved)

    def unparsed(self, message: Received) -> CommandRequest:
        """For the answer to a message that cannot be parsed because of an unexpected error."""
        return CommandRequest(shortened(message.topic), CommandRejected(INTERNAL_ERROR), self.topics.answer, None)


def command_subscription(topics: DeviceTopics, handle: Callable[[Received], object]) -> Subscription:
    """For the link that brings the commands."""
    return Subscription(command_patterns(topics), handle, LARGEST)


def command_patterns(topics: DeviceTopics) -> tuple[str, ...]:
    """The topic filters of all commands."""
    return f"{topics.root}/+/set/+", f"{topics.root}/command/+"


def parse_command(
    topics: DeviceTopics, scope: CommandScope, message: Received, reserved: tuple[str, ...] = ()
) -> CommandRequest:
    """The command in a message, or why it is rejected, and where the answer goes. Raises nothing.

    `reserved`: topics of other formats, below which no answer is published.
    """
    name = message.topic.removeprefix(f"{topics.root}/")
    shown = shortened(name)
    answer_to, correlation = topics.answer, message.correlation
    try:
        if correlation is not None and len(correlation) > _LONGEST_CORRELATION:
            correlation = None
            raise CommandRejected(f"its correlation data is longer than {_LONGEST_CORRELATION} bytes")  # noqa: TRY301
        if message.response_topic is not None:
            answer_to = _response_topic(topics, message.response_topic, reserved)
        return CommandRequest(shown, _command(name, scope, message), answer_to, correlation)
    except CommandRejected as rejected:
        return CommandRequest(shown, rejected, answer_to, correlation)


def _response_topic(topics: DeviceTopics, name: str, reserved: tuple[str, ...]) -> Topic:
    """Raises CommandRejected for a topic where the answer could pass for a message of this or another device."""
    if len(name.encode(errors="replace")) > _LONGEST_TOPIC:
        raise CommandRejected(f"its response topic is longer than {_LONGEST_TOPIC} bytes")
    try:
        topic = Topic(name)
    except ValueError as error:
        raise CommandRejected(f"its response topic cannot be used: {error}") from None
    ours, prefix = topics.answer.name, topics.root.name.rpartition("/")[0]
    below_ours = name == ours or name.startswith(f"{ours}/")
    if not below_ours and (name == prefix or name.startswith(f"{prefix}/")):
        raise CommandRejected(
            f"its response topic is below {prefix}/, where only {ours} and topics below it are allowed"
        )
    if any(name == root or name.startswith(f"{root}/") for root in reserved if not f"{root}/".startswith(f"{prefix}/")):
        raise CommandRejected("its response topic is below that of another format")
    return topic


def reject_retained(message: Received) -> None:
    """Raises CommandRejected for a message that the broker would deliver again at every connection."""
    if message.retained:
        raise CommandRejected("retained commands are rejected; publish it without the retain flag")


def _command(name: str, scope: CommandScope, message: Received) -> Command:
    """Raises CommandRejected."""
    reject_retained(message)
    if len(message.payload) > LARGEST:
        raise CommandRejected(f"its payload is longer than {LARGEST} bytes")
    match name.split("/"):
        case [camera, "set", which]:
            return _set(camera, which, scope, message.payload)
        case ["command", which]:
            return _device_command(which, scope, message.payload)
    raise CommandRejected("unsupported command")


def _set(camera: str, which: str, scope: CommandScope, payload: bytes) -> ChangeSetting:
    require_known(camera, scope.cameras, "camera")
    require_known(which, [one.value for one in Setting], "setting")
    try:
        return ChangeSetting(camera, Setting(which), checked(Setting(which), _json(payload)))
    except ValueError as error:
        raise CommandRejected(f"{which} {error}") from None


def _device_command(which: str, scope: CommandScope, payload: bytes) -> Command:
    require_known(which, [one.value for one in CommandName], "command")
    return _READERS[CommandName(which)](scope, payload)


def _snapshot(scope: CommandScope, payload: bytes) -> TakeSnapshot:
    request: SnapshotRequest = _shaped(_SNAPSHOT, payload or b"{}")
    camera = _named_or_only(request.get("camera"), scope.cameras, "camera")
    return TakeSnapshot(camera, request.get("annotated", True))


def _reload(_scope: CommandScope, payload: bytes) -> Reload:
    _shaped(_NOTHING, payload or b"{}")
    return Reload()


def _build_engine(scope: CommandScope, payload: bytes) -> BuildEngine:
    request: BuildRequest = _shaped(_BUILD, payload or b"{}")
    return BuildEngine(_named_or_only(request.get("model"), scope.models, "model"))


def _stats(_scope: CommandScope, payload: bytes) -> PublishStats:
    _shaped(_NOTHING, payload or b"{}")
    return PublishStats()


def _reset_lines(scope: CommandScope, payload: bytes) -> ResetLines:
    request: ResetLinesRequest = _shaped(_RESET, payload or b"{}")
    if (camera := request.get("camera")) is not None:
        require_known(camera, scope.cameras, "camera")
    return ResetLines(camera)


def _named_or_only(name: str | None, known: Collection[str], what: str) -> str:
    """The name, or the only one that is known where none is given. Raises CommandRejected."""
    if name is None:
        if len(known) != 1:
            raise CommandRejected(f"{what} is missing; there are: {', '.join(sorted(known))}")
        return next(iter(known))
    require_known(name, known, what)
    return name


def require_known(name: str, known: Collection[str], what: str) -> None:
    """Raises CommandRejected where `name` is not one of `known`; `what` it is the name of: camera, model, setting."""
    if name not in known:
        raise CommandRejected(f"there is no {what} {name[:64]!r}; there are: {', '.join(sorted(known))}")


def _json(payload: bytes) -> object:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise CommandRejected("its payload is not JSON") from None


def _shaped(shape: TypeAdapter[Any], payload: bytes) -> Any:
    document = _json(payload)
    try:
        return shape.validate_python(document)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:64] for part in mistake["loc"]) or "its payload"
    raise CommandRejected(_SENTENCES.get(mistake["type"], "{} has a wrong value").format(where))


_SENTENCES = {
    "missing": "{} is missing",
    "extra_forbidden": "{} is not a known key",
    "bool_type": "{} must be true or false",
    "string_type": "{} must be text",
    "dict_type": "{} must be a JSON object",
}
_SNAPSHOT: TypeAdapter[Any] = TypeAdapter(SnapshotRequest)
_BUILD: TypeAdapter[Any] = TypeAdapter(BuildRequest)
_RESET: TypeAdapter[Any] = TypeAdapter(ResetLinesRequest)
_NOTHING: TypeAdapter[Any] = TypeAdapter(NoRequest)
_READERS: dict[CommandName, Callable[[CommandScope, bytes], Command]] = {
    CommandName.SNAPSHOT: _snapshot,
    CommandName.RELOAD: _reload,
    CommandName.BUILD_ENGINE: _build_engine,
    CommandName.STATS: _stats,
    CommandName.RESET_LINES: _reset_lines,
}
