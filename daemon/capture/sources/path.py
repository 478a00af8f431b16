"""A path, which is a folder of pictures or a video file; which of them shows only when it is there."""

from __future__ import annotations

from daemon.capture.sources.base import BeginCall, Source
from daemon.capture.sources.folder import Pictures, is_folder
from daemon.capture.sources.video_file import VideoFile
from daemon.config.camera import Camera


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    return Pictures(camera) if is_folder(camera.source) else VideoFile(camera, begin)
