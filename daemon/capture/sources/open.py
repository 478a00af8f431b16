"""Opens a camera's source, of whatever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from daemon.capture.sources.base import BeginCall, Received, Source, SourceError, begin_opening, untimed
from daemon.capture.sources.editing import edited
from daemon.config.camera import Camera
from daemon.config.sources import SourceKind, source_kind
from daemon.records import Reason
from daemon.system.descriptors import Descriptors, TooFewDescriptorsError
from daemon.system.threads import TooFewThreadsError

_DESCRIPTORS = Descriptors()


class _Open(Protocol):
    """The function `open_source` of a kind's module."""

    def __call__(self, camera: Camera, begin: BeginCall) -> Source:
        """Opens the source and waits for its first frame. Raises SourceError."""


# A kind is registered in daemon/config/sources.py alone; the module that opens it has its name. They are imported
# together, before there are other threads, because OpenCV is configured through the environment.
_OPEN: Mapping[SourceKind, _Open] = {
    kind: import_module(f"daemon.capture.sources.{kind.value}").open_source for kind in SourceKind
}


def open_source(camera: Camera, begin: BeginCall = untimed, received: Received | None = None) -> Source:
    """Opens the camera's source, which edits its pictures as configured, and waits for its first frame.

    `begin` is called before each call that may hang; `received` with each picture before it is edited, where it is.
    Raises SourceError.
    """
    begin_opening(camera, begin)
    try:
        with _DESCRIPTORS.opening():
            return edited(_OPEN[source_kind(camera.source)](camera, begin), camera, received)
    except (TooFewDescriptorsError, TooFewThreadsError) as error:
        raise SourceError(Reason.NO_RESOURCES, str(error)) from None
