"""What a command may be: the records between parsing and execution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from daemon.control.settings import Setting, Value
from daemon.mqtt.topics import Topic

INTERNAL_ERROR = "internal error"
"""the answer to a command that failed in an unexpected way"""


class CommandRejected(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """A command that is not executed; the message is the sentence that answers it."""


class CommandName(str, Enum):
    """Commands to the device, the last level of `…/command/<name>`."""

    SNAPSHOT = "snapshot"
    RELOAD = "reload"
    BUILD_ENGINE = "build-engine"
    STATS = "stats"
    RESET_LINES = "reset-lines"


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """Changes a setting of a camera."""

    camera: str
    setting: Setting
    value: Value


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Publishes the camera's next picture."""

    camera: str
    annotated: bool
    """whether the detections are drawn on it"""


@dataclass(frozen=True, slots=True)
class Reload:
    """Reads the configuration again."""


@dataclass(frozen=True, slots=True)
class BuildEngine:
    """Rebuilds a model's engine."""

    model: str


@dataclass(frozen=True, slots=True)
class PublishStats:
    """Publishes the statistics now."""


@dataclass(frozen=True, slots=True)
class ResetLines:
    """Resets the counts of line crossings."""

    camera: str | None
    """None: of all"""


@dataclass(frozen=True, slots=True)
class CheckText:
    """Finds out whether a text could take the configuration file's place; changes nothing."""

    text: str


Command = ChangeSetting | TakeSnapshot | Reload | BuildEngine | PublishStats | ResetLines | CheckText


@dataclass(frozen=True, slots=True)
class CommandScope:
    """The names that commands may use."""

    cameras: frozenset[str]
    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """One parsed message."""

    name: str
    """the topic below the device's, for the answer"""
    command: Command | CommandRejected
    answer_to: Topic
    correlation: bytes | None


@dataclass(frozen=True, slots=True)
class Order:
    """A command that does not come from the broker."""

    name: str
    """for the log, as CommandRequest has it"""
    command: Command
    answer: Callable[[bool, str, Sequence[str]], None]
    """takes whether it was executed, the sentence, and where it was not each mistake in the configuration, with its
    line; called in the thread that executes"""
