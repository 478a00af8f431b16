"""What OpenCV and FFmpeg do in this process, whatever opens a source or an image; set on import."""

from __future__ import annotations

import os

import cv2

# By default OpenCV opens one source at a time, so each camera that is away would delay the others by its time-out; an
# FFmpeg that is built with threads needs no such lock. Both libraries write to standard error past Python's logging,
# URLs with passwords included. The environment is set here, on import, because no other thread may read it meanwhile.
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET; OpenCV reads it once
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # its names in OpenCV 4 and 5
_set_log_level(0)  # LOG_LEVEL_SILENT
