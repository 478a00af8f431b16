"""A source over HTTP: MJPEG, a still picture, or a stream that FFmpeg reads."""

from __future__ import annotations

import time

from daemon.capture.sources.base import BeginCall, Source, SourceError
from daemon.capture.sources.http_client import Response, get, is_page
from daemon.capture.sources.http_pictures import MjpegStream, StillPicture
from daemon.capture.sources.network import NetworkSource
from daemon.config.camera import Camera
from daemon.records import Reason

_MJPEG_TYPES = ("multipart/", "video/x-motion-jpeg", "video/x-jpeg", "video/x-mjpeg", "image/x-mjpeg")
_PEEKED = 16  # bytes that tell a part's head or a picture


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    deadline = time.monotonic() + camera.open_timeout
    response = get(camera.url, deadline)
    try:
        pictures = _pictures(camera, response, deadline)
        if pictures is not None:
            pictures.open()
            return pictures
    except BaseException:
        response.close()
        raise
    response.close()
    return NetworkSource(camera, begin)


def _pictures(camera: Camera, response: Response, deadline: float) -> MjpegStream | StillPicture | None:
    """A source of pictures; None for a stream of another kind. Raises SourceError for a page."""
    kind = response.content_type.lower()
    if is_page(kind):
        detail = f"{response.server} answers with a page ({kind.partition(';')[0]}) and no video; check the path"
        raise SourceError(Reason.NO_VIDEO, detail)
    if kind.startswith(_MJPEG_TYPES):
        return MjpegStream(camera, response, deadline)
    begin = response.peek(_PEEKED, deadline)
    if begin.lstrip().lower().startswith((b"--", b"content-type:")):
        return MjpegStream(camera, response, deadline)
    if kind.startswith("image/"):
        return StillPicture(camera, response, deadline)
    return MjpegStream(camera, response, deadline) if begin.startswith(b"\xff\xd8\xff") else None
