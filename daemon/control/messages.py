"""The shapes of what commands carry and of what answers them, from which they are validated and documented."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import NotRequired, TypedDict

from daemon.control.settings import Setting

_sent_to_us = with_config(ConfigDict(use_attribute_docstrings=True, strict=True, extra="forbid"))
_sent_by_us = with_config(ConfigDict(use_attribute_docstrings=True))

Name = Annotated[str, Field(min_length=1, max_length=64)]


@_sent_to_us
class SnapshotRequest(TypedDict):
    """Asks for a picture of a camera, which is published on its topic `snapshot`."""

    camera: Name
    """Name of the camera."""
    annotated: NotRequired[bool]
    """Whether what was seen is drawn on it; true unless given."""


@_sent_to_us
class BuildRequest(TypedDict):
    """Asks for the engine of a model to be built anew."""

    model: Name
    """Name of the model in the configuration."""


@_sent_to_us
class NoRequest(TypedDict):
    """A command that needs nothing more than its topic; the payload may be empty too."""


@_sent_by_us
class AnswerPayload(TypedDict):
    """What became of one command; at least once (QoS 1), not retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    command: str
    """The command's topic below the device's, such as front/set/fps; cut after 200 characters."""
    ok: bool
    """Whether it was obeyed; if not, it has changed nothing."""
    detail: str
    """What was done, or why it was refused; one sentence for a person."""


@_sent_by_us
class SettingPayload(TypedDict):
    """What a camera runs with; retained."""

    schema: Literal[1]
    """Version of this payload."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    setting: Setting
    """Which setting this is."""
    value: bool | float | None
    """As in the configuration; null where nothing is set."""
    origin: Literal["configuration", "command"]
    """Where the value comes from."""
