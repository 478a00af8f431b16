"""A stream over HTTP, such as the MJPEG of a camera."""

from __future__ import annotations

from daemon.capture.sources.base import BeginCall, Source
from daemon.capture.sources.network import NetworkSource
from daemon.config.camera import Camera


class HttpSource(NetworkSource):
    """MJPEG has no timestamps: those that FFmpeg gives are made up."""

    def _note_time(self) -> None:
        """Leaves `stream_time` None."""


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    return HttpSource(camera, begin)
