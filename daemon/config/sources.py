"""What a camera's `source` is, told from its text alone: a source may appear after the daemon has started."""

from __future__ import annotations

import re
from enum import Enum


class SourceKind(str, Enum):
    """How a source is opened."""

    RTSP = "rtsp"
    HTTP = "http"
    V4L2 = "v4l2"
    GSTREAMER = "gstreamer"
    PATH = "path"
    """A video file or a folder of pictures; which of them shows only when it is there."""


_URL_SCHEMES = {
    "rtsp": SourceKind.RTSP,
    "rtsps": SourceKind.RTSP,
    "http": SourceKind.HTTP,
    "https": SourceKind.HTTP,
}


def source_kind(source: str) -> SourceKind:
    """Raises ValueError for a URL that no source has."""
    if re.search(r"\s!\s", source):
        return SourceKind.GSTREAMER
    if url := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source):
        kind = _URL_SCHEMES.get(url[1].lower())
        if kind is None:
            raise ValueError("a URL must begin with rtsp://, rtsps://, http:// or https://")
        return kind
    if re.fullmatch(r"\d+", source) or source.startswith("/dev/"):
        return SourceKind.V4L2
    return SourceKind.PATH
