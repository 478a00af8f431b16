"""Which events there are, as configured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from daemon.config.section import Section


class Events(Section):
    """What counts as the appearance and the going of a class of objects."""

    labels: tuple[str, ...] | None = Field(
        None, description="classes whose coming and going is an event; [] for none; default: all that are published"
    )
    appear_frames: int = Field(3, ge=1, description="frames in a row that a class must be seen in to have appeared")
    gone_after: float = Field(
        5.0, gt=0, description="seconds of frames without a class after which it is gone; frames must come meanwhile"
    )
    snapshot: Literal["none", "plain", "annotated"] = Field(
        "none",
        description="picture that is published when a class has appeared: none, plain as it came, or annotated with "
        "what was seen",
    )
