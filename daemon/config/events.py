"""The configuration of events."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from daemon.config.section import Section


class Events(Section):
    """When a class of objects counts as appeared or gone."""

    labels: tuple[str, ...] | None = Field(
        None, description="classes that generate appeared/gone events; [] for none; default: all that are published"
    )
    appear_frames: int = Field(3, ge=1, description="consecutive frames with a class after which it has appeared")
    gone_after: float = Field(
        5.0, gt=0, description="seconds without a class after which it is gone; counted only while frames come"
    )
    snapshot: Literal["none", "plain", "annotated", "best"] = Field(
        "none",
        description="picture that is published when a class has appeared: none, plain, or annotated with the "
        "detections; best: of each object that is followed, with its box, when it has appeared, and the best one when "
        "it has left",
    )
