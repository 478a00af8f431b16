"""An RTSP camera, over TCP or UDP."""

from __future__ import annotations

from contextlib import AbstractContextManager

from daemon.capture.sources.base import BeginCall, Source, SourceError, diagnosis_within
from daemon.capture.sources.network import NetworkSource
from daemon.capture.sources.opencv import OpenCvReader
from daemon.capture.sources.rtsp_probe import probe
from daemon.capture.sources.rtsp_transport import rtsp_transport
from daemon.config.camera import Camera


class RtspSource(NetworkSource):
    """Opened over the transport that the configuration says."""

    def _turn(self) -> AbstractContextManager[None]:
        if not isinstance(self._reader, OpenCvReader):  # the reader gets the transport as an option
            return super()._turn()
        limit = self._camera.open_timeout
        self._begin(limit, f"RTSP cameras with another `transport` have been opening for longer than {limit:g} s")
        return rtsp_transport.use(self._camera.transport)

    def _diagnosis(self) -> SourceError | None:
        camera = self._camera
        overridden = isinstance(self._reader, OpenCvReader) and rtsp_transport.is_overridden
        transport = None if overridden else camera.transport
        return probe(camera.url, diagnosis_within(camera), transport)

    def _hint(self) -> str:
        return " over UDP; `transport: tcp` may work" if self._camera.transport == "udp" else super()._hint()


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    return RtspSource(camera, begin)
