"""The messages of one frame to the broker."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.publish.formats.format import FrameMessage
from daemon.records import FrameResult


@dataclass(frozen=True, slots=True)
class OutgoingFrame:
    """The messages of one frame."""

    result: FrameResult
    formatted: tuple[FrameMessage, ...] | None
    """those of other formats; None: our own, which is made when it is sent"""
