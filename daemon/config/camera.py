"""The configuration of a camera."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from daemon.config.picture import Angle, PixelFormat, Polygon, Rectangle, Size
from daemon.config.section import MISTAKE, MISTAKEN_VALUE, Name, Score, Section
from daemon.config.sources import (
    SPECIFIC_SETTINGS,
    checked_source,
    has_user,
    kinds_with,
    source_kind,
    titles_of,
    with_login,
)
from daemon.config.tracking import Line, ObjectFilter, Tracking, Zone

DEFAULT_MODEL = "default"


class Pace(str, Enum):
    """How fast a file is read."""

    REALTIME = "realtime"
    AS_FAST_AS_POSSIBLE = "as-fast-as-possible"


class Camera(Section):
    """One camera."""

    source: str = Field(
        min_length=1,
        description="rtsp://… | http(s)://… (MJPEG, a still picture) | /dev/video0 or 0 (V4L2) | "
        "a video file or a folder of pictures, relative to this configuration | a GStreamer pipeline (… ! appsink)",
        json_schema_extra={"type": ["string", "integer"]},
    )
    user: str | None = Field(
        None, min_length=1, description="RTSP and HTTP only: user to log in to the camera; default: none"
    )
    password: SecretStr | None = Field(
        None,
        description="RTSP and HTTP only: password of that user, best given as !secret NAME or ${NAME}; default: none",
    )
    enabled: bool = Field(True, description="false: the camera is not opened and its status says `disabled`")
    model: str = Field(DEFAULT_MODEL, description="which of `models` analyses this camera")
    gpu: int | None = Field(
        None,
        ge=0,
        le=63,
        description="number of the NVIDIA GPU that decodes and analyses this camera; default: the one with least to do",
    )
    confidence: Score | None = Field(
        None, description="minimum score of published detections; default: the model's confidence"
    )
    labels: tuple[str, ...] | None = Field(
        None, description="publish only these classes; default: all classes of the model"
    )
    priority: float = Field(
        1.0,
        ge=0.1,
        le=10,
        description="relative weight (1 = equal share) where the models are too slow for all cameras",
    )
    fps: float | None = Field(
        None, gt=0, description="maximum number of frames analysed per second, evenly spaced; default: all"
    )
    rotate: Angle = Field(0, description="degrees clockwise by which the picture is rotated before everything else")
    crop: Rectangle | None = Field(
        None,
        description="[left, top, right, bottom] in normalised coordinates (0..1) of the rotated picture: the part "
        "that is analysed and that published boxes refer to; default: all of it",
    )
    masks: tuple[Polygon, ...] = Field(
        (),
        description="polygons that are blacked out before the picture is analysed, each of three points [x, y] "
        "or more in normalised coordinates (0..1) of the rotated picture before it is cropped",
    )
    resize: Size | None = Field(
        None, description="[width, height] in pixels of the picture that is analysed and published; default: unchanged"
    )
    pace: Pace = Field(
        Pace.REALTIME,
        description="files and folders only: realtime reads at the recorded rate; as-fast-as-possible at the rate "
        "of the model, dropping nothing",
    )
    loop: bool = Field(False, description="files and folders only: start again at the end")
    start: float = Field(
        0.0, ge=0, description="files and folders only: seconds to skip at the beginning, also of each loop"
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="RTSP only: transport protocol of the video")
    hw_acceleration: Literal["auto", "none", "nvdec", "any", "vaapi", "mfx"] = Field(
        "auto",
        description="RTSP, HTTP and video files only: what decodes. auto: nvdec where TensorRT runs the models, else "
        "none; none: the CPU; nvdec: an NVIDIA GPU, or the CPU where that cannot; vaapi, mfx: OpenCV's hardware "
        "decoding; any: one of these two, or the CPU",
    )
    decoder_threads: int = Field(
        1,
        ge=1,
        le=64,
        description="RTSP, HTTP and video files only: CPU threads that decode; each beyond the first delays by a frame",
    )
    format: PixelFormat | None = Field(
        None, description="V4L2 only: four letters of the pixel format, such as MJPG or YUYV; default: the device's"
    )
    size: Size | None = Field(None, description="V4L2 only: [width, height] in pixels; default: the device's")
    poll: float = Field(
        1.0,
        gt=0,
        le=86400,
        description="HTTP only: seconds between two requests of a still picture; streams are not polled",
    )
    open_timeout: float = Field(10.0, gt=0, description="seconds to wait for a source to open and give its first frame")
    stall_after: float = Field(10.0, gt=0, description="seconds without a frame after which the source is reconnected")
    frozen_after: float | None = Field(
        None,
        gt=0,
        description="live sources only: seconds of identical pictures after which the camera counts as frozen and is "
        "reconnected; default: never",
    )
    tracking: Tracking | None = Field(
        None,
        description="what is different from the top level's `tracking` at this camera; null: its objects are not "
        "followed; default: as there",
    )
    objects: dict[str, ObjectFilter] = Field(
        default_factory=dict, description="by class name: which detections may begin an object; default: all"
    )
    zones: dict[Name, Zone] = Field(
        default_factory=dict,
        description="by name, part of the zone's topic: where it matters who is there; default: none",
    )
    lines: dict[Name, Line] = Field(
        default_factory=dict, description="by name, part of the line's topic: lines that objects cross; default: none"
    )

    @field_validator("source")
    @classmethod
    def _can_be_opened(cls, source: str) -> str:
        try:
            return checked_source(source)
        except ValueError as error:
            raise PydanticCustomError(MISTAKEN_VALUE, "{reason}", {"reason": str(error)}) from error

    @field_validator("user")
    @classmethod
    def _is_the_only_one(cls, user: str | None, info: ValidationInfo) -> str | None:
        if user is not None and has_user(info.data.get("source", "")):
            raise PydanticCustomError(MISTAKE, "stands in the URL of `source` too; take it out of one of them")
        return user

    @field_validator("password")
    @classmethod
    def _has_a_user(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and info.data.get("user", "") is None:
            raise PydanticCustomError(MISTAKE, "is a password without a user; add `user`")
        return password

    @field_validator(*sorted(SPECIFIC_SETTINGS))
    @classmethod
    def _fits_the_source(cls, value: object, info: ValidationInfo) -> object:
        kinds = kinds_with(str(info.field_name))
        fits = "source" not in info.data or source_kind(info.data["source"]) in kinds
        if not fits and value != cls.model_fields[str(info.field_name)].default:
            raise PydanticCustomError(MISTAKE, f"is for {titles_of(kinds)}, which this camera's source is not")
        return value

    @property
    def url(self) -> str:
        """The source with `user` and `password` in its URL, as FFmpeg takes it; not for messages."""
        password = None if self.password is None else self.password.get_secret_value()
        return with_login(self.source, self.user, password)
