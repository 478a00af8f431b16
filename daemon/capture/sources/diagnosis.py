"""What is wrong with a source, as far as it can be told without opening it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from daemon.config.sources import SourceKind, source_kind
from daemon.records import Reason

NO_GSTREAMER = (
    "this OpenCV is built without GStreamer; give the camera as rtsp://, http:// or /dev/video0, "
    "or run ospreyd with an OpenCV that has it, such as Debian's python3-opencv"
)
_PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class SourceError(Exception):
    """Why a source gives no frames; the text is one sentence for a person, without credentials."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def problem(source: str) -> SourceError | None:
    """Why `source` cannot be opened now; None where only opening it can tell, as with everything on a network."""
    kind = source_kind(source)
    try:
        if kind is SourceKind.GSTREAMER:
            _need_backend(cv2.CAP_GSTREAMER, NO_GSTREAMER)
        elif kind is SourceKind.V4L2:
            _need_backend(cv2.CAP_V4L2, "this OpenCV is built without V4L2; install the package opencv-python")
            _need_device(device_path(source))
        elif kind is SourceKind.PATH and is_folder(source):
            pictures_in(Path(source))
        else:
            _need_backend(cv2.CAP_FFMPEG, "this OpenCV is built without FFmpeg; install the package opencv-python")
            if kind is SourceKind.PATH:
                _need_file(Path(source))
    except SourceError as error:
        return error
    return None


def is_folder(source: str) -> bool:
    """Whether a source that is a path is a folder of pictures; False also where there is nothing."""
    return os.path.isdir(source)  # noqa: PTH112  (Path.is_dir raises where a folder above may not be entered)


def device_path(source: str) -> Path:
    """Of a V4L2 source, which may be a bare index."""
    return Path(f"/dev/video{source}" if source.isdigit() else source)


def pictures_in(folder: Path) -> list[Path]:
    """The folder's picture files by name, one at least. Raises SourceError."""
    try:
        pictures = sorted(file for file in folder.iterdir() if file.suffix.lower() in _PICTURES)
    except OSError as error:
        raise _not_accessible(folder, error) from error
    if not pictures:
        raise SourceError(Reason.NO_VIDEO, f"the folder {folder} holds no pictures ({', '.join(_PICTURES)})")
    return pictures


def _need_backend(backend: int, otherwise: str) -> None:
    if not cv2.videoio_registry.hasBackend(backend):
        raise SourceError(Reason.UNSUPPORTED, otherwise)


def _need_device(device: Path) -> None:
    try:
        device.stat()
    except OSError as error:
        raise _not_accessible(device, error) from error
    if not os.access(device, os.R_OK | os.W_OK):
        detail = f"{device} may not be opened by the user of ospreyd; add that user to the group video"
        raise SourceError(Reason.UNAUTHORIZED, detail)


def _need_file(file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise _not_accessible(file, error) from error


def _not_accessible(path: Path, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return SourceError(Reason.NOT_FOUND, f"{path} does not exist")
    if isinstance(error, PermissionError):
        return SourceError(Reason.UNAUTHORIZED, f"{path} may not be read by the user of ospreyd")
    return SourceError(Reason.NOT_FOUND, f"{path} cannot be read: {error.strerror}")
