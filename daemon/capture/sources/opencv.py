"""Reads videos with cv2.VideoCapture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.capture.sources.base import SourceError, Stream
from daemon.capture.sources.diagnosis import need_backend
from daemon.capture.sources.opencv_options import acceleration_name
from daemon.records import Reason
from engines.pictures import BgrPicture, Image, Picture

_MAX_FPS = 1000  # a higher one is the clock of a stream that announces no rate


class OpenCvReader:
    """See Reader."""

    name = "OpenCV"

    def __init__(self, backend: int, missing: str, parameters: Sequence[int]) -> None:
        """`backend` is one of OpenCV's CAP_…, `missing` the sentence where it has no such one.

        `parameters` are properties and their values in turn.
        """
        self._backend = backend
        self._missing = missing
        self._parameters = parameters
        self._capture = cv2.VideoCapture()

    @property
    def position(self) -> float:
        """See Reader."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    @property
    def fps(self) -> float | None:
        """See Reader."""
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return fps if 0 < fps < _MAX_FPS else None

    @property
    def frames(self) -> float:
        """See Reader."""
        return float(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def open(self, source: str) -> bool:
        """See Reader."""
        need_backend(self._backend, self._missing)
        if not self._parameters:  # an older OpenCV takes none of GStreamer
            return self._capture.open(source, self._backend)
        return self._capture.open(source, self._backend, self._parameters)

    def grab(self) -> bool:
        """See Reader."""
        try:
            return self._capture.grab()
        except cv2.error as error:
            raise SourceError(Reason.DECODE_ERROR, f"OpenCV cannot read on: {error.err}") from error

    def retrieve(self, into: Image | None) -> Picture:
        """See Reader."""
        image = self.decoded(into)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            detail = "the frames are not BGR; end the pipeline with videoconvert ! video/x-raw,format=BGR ! appsink"
            raise SourceError(Reason.UNSUPPORTED, detail)
        return BgrPicture(image)

    def decoded(self, into: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """The grabbed frame as OpenCV gives it: in `into` if that has its shape. Raises SourceError."""
        try:
            ok, image = self._capture.retrieve(into)
        except cv2.error as error:
            raise SourceError(Reason.DECODE_ERROR, f"OpenCV cannot convert a frame: {error.err}") from error
        if not ok:
            raise SourceError(Reason.DECODE_ERROR, "OpenCV cannot decode a frame")
        return cast(Image, image)

    def seek(self, seconds: float) -> None:
        """See Reader."""
        self._capture.set(cv2.CAP_PROP_POS_MSEC, seconds * 1000)

    def stream(self, duration: float | None) -> Stream:
        """See Reader."""
        get = self._capture.get
        return Stream(
            backend=self._capture.getBackendName(),
            codec=_codec_name(int(get(cv2.CAP_PROP_FOURCC))),
            fps=self.fps,
            duration=duration,
            hw_acceleration=acceleration_name(int(get(cv2.CAP_PROP_HW_ACCELERATION))),
        )

    def close(self) -> None:
        """See Reader."""
        self._capture.release()


def _codec_name(fourcc: int) -> str | None:
    """Of OpenCV's CAP_PROP_FOURCC."""
    text = fourcc.to_bytes(4, "little", signed=fourcc < 0).decode("latin-1").rstrip("\0 ")
    return text if text.isprintable() and text else None
