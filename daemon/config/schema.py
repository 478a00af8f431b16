"""The configuration's shape: pydantic models that forbid unknown keys; every description is for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from daemon.config.events import Events
from daemon.config.model import Model
from daemon.config.mqtt import Mqtt
from daemon.config.picture import Angle, PixelFormat, Polygon, Rectangle, Size
from daemon.config.section import MISTAKE, MISTAKEN_VALUE, Score, Section
from daemon.config.service import Service
from daemon.config.sources import SPECIFIC_SETTINGS, kinds_with, source_kind, titles_of

DEFAULT_MODEL = "default"

_DEVICE_TOPICS = frozenset({"status", "info", "stats", "command", "answer"})


def _is_no_device_topic(name: str) -> str:
    if name in _DEVICE_TOPICS:
        raise PydanticCustomError(MISTAKE, "is the name of a topic of the device itself; choose another name")
    return name


NAME_RULE = "must be letters, digits, - and _, up to 64"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", json_schema_extra={"patternErrorMessage": NAME_RULE})]
"""One level of an MQTT topic: no separators, wildcards or spaces."""
CameraName = Annotated[Name, AfterValidator(_is_no_device_topic)]


class Pace(str, Enum):
    """How fast a file is read."""

    REALTIME = "realtime"
    AS_FAST_AS_POSSIBLE = "as-fast-as-possible"


class Inference(Section):
    """How frames go through the models."""

    backend: Literal["auto", "tensorrt", "tensorrt_rtx", "onnxruntime"] = Field(
        "auto", description="what the models run on; auto takes the fastest that works here"
    )
    cache: Path | None = Field(
        None,
        description="folder that built engines are kept in, relative to this configuration; nobody else may write to "
        "it; default: systemd's cache directory, or ospreyd in the user's",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of ONNX Runtime; default: one a core")
    max_batch: int = Field(8, ge=1, le=64, description="most frames that go through a model together")
    max_delay_ms: float = Field(
        10.0, ge=0, description="milliseconds that a frame waits at most for others to fill a batch"
    )
    max_age_ms: float = Field(
        1000.0, gt=0, description="milliseconds; a live frame older than this when its turn comes is dropped"
    )


class Camera(Section):
    """One camera."""

    source: str = Field(
        min_length=1,
        description="rtsp://… | http(s)://… (MJPEG) | /dev/video0 or 0 (V4L2) | a video file or a folder of pictures, "
        "relative to this configuration | a GStreamer pipeline (… ! appsink)",
        json_schema_extra={"type": ["string", "integer"]},
    )
    enabled: bool = Field(True, description="false: the camera is not opened and its status says `disabled`")
    model: str = Field(DEFAULT_MODEL, description="which of `models` looks at this camera")
    confidence: Score | None = Field(
        None, description="detections of a lower score are not published; default: the model's confidence"
    )
    labels: tuple[str, ...] | None = Field(
        None, description="publish only these classes; default: all classes of the model"
    )
    priority: float = Field(
        1.0, ge=0.1, le=10, description="where the models are too slow for all cameras, its part beside the others' 1"
    )
    fps: float | None = Field(
        None, gt=0, description="most frames a second that are looked at, evenly spaced; default: all that come"
    )
    rotate: Angle = Field(0, description="degrees, clockwise; how the picture is turned before everything else")
    crop: Rectangle | None = Field(
        None,
        description="[left, top, right, bottom], each from 0 to 1 of the turned picture: what is looked at and what "
        "published boxes refer to; default: all of it",
    )
    masks: tuple[Polygon, ...] = Field(
        (),
        description="polygons that are blacked out before anything looks at the picture, each three points [x, y] or "
        "more, from 0 to 1 of the turned picture, cropped or not",
    )
    resize: Size | None = Field(
        None, description="[width, height] in pixels of the picture that is looked at and published; default: as it is"
    )
    pace: Pace = Field(
        Pace.REALTIME,
        description="files and folders only: realtime as filmed; as-fast-as-possible as fast as the model goes, "
        "dropping nothing",
    )
    loop: bool = Field(False, description="files and folders only: begin again at the end")
    start: float = Field(
        0.0, ge=0, description="files and folders only: seconds to leave out at the beginning, also of each loop"
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="RTSP only: what the video comes over")
    hw_acceleration: Literal["none", "any", "vaapi", "mfx"] = Field(
        "none",
        description="RTSP, HTTP and video files only: OpenCV's hardware decoding; any takes what works, or the CPU",
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
    open_timeout: float = Field(10.0, gt=0, description="seconds to wait for a source to open and give its first frame")
    stall_after: float = Field(10.0, gt=0, description="seconds without a frame after which the source is opened anew")
    frozen_after: float | None = Field(
        None,
        gt=0,
        description="live sources only: seconds of identical pictures after which the camera counts as frozen and is "
        "opened anew; default: never",
    )

    @field_validator("source")
    @classmethod
    def _can_be_opened(cls, source: str) -> str:
        try:
            source_kind(source)
        except ValueError as error:
            raise PydanticCustomError(MISTAKEN_VALUE, "{reason}", {"reason": str(error)}) from error
        return source

    @field_validator(*sorted(SPECIFIC_SETTINGS))
    @classmethod
    def _fits_the_source(cls, value: object, info: ValidationInfo) -> object:
        kinds = kinds_with(str(info.field_name))
        fits = "source" not in info.data or source_kind(info.data["source"]) in kinds
        if not fits and value != cls.model_fields[str(info.field_name)].default:
            raise PydanticCustomError(MISTAKE, f"is for {titles_of(kinds)}, which this camera's source is not")
        return value


class Config(Section):
    """Configuration of ospreyd."""

    device: Name = Field(description="name of this box, part of every topic")
    mqtt: Mqtt = Field(description="the broker")
    models: dict[Name, Model] = Field(
        default_factory=lambda: {DEFAULT_MODEL: Model()},
        description="detection models by name; cameras use 'default' unless they name another; "
        "default: the demonstration model as 'default'",
    )
    inference: Inference = Field(default_factory=Inference, description="how frames go through the models")
    events: Events = Field(default_factory=Events, description="what is told once, when it changes, and never lost")
    service: Service = Field(default_factory=Service, description="what the daemon shows of itself")
    cameras: dict[CameraName, Camera] = Field(min_length=1, description="by name, part of the camera's topics")

    @model_validator(mode="wrap")
    @classmethod
    def _models_of_cameras_exist(cls, data: Any, validate: ModelWrapValidatorHandler[Config]) -> Config:
        """Wraps the whole, so that this mistake is told together with all others, not after them."""
        unknown = list(_unknown_models(data)) if isinstance(data, Mapping) else []
        try:
            config = validate(data)
        except ValidationError as error:
            raise _validation_error([*map(_again, error.errors(include_url=False)), *unknown]) from error
        if unknown:
            raise _validation_error(unknown)
        return config


def _unknown_models(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Cameras that name a model that is not there, seen in data that may have any other mistake too."""
    models, cameras = data.get("models", {DEFAULT_MODEL: {}}), data.get("cameras")
    if not isinstance(models, Mapping) or not isinstance(cameras, Mapping):
        return
    known = ", ".join(sorted(map(str, models))) or "none"
    for name, camera in cameras.items():
        if isinstance(camera, Camera):
            given: object = camera.model
        elif isinstance(camera, Mapping):
            given = camera.get("model")
        else:
            continue
        model = DEFAULT_MODEL if given is None else given
        if isinstance(model, str) and model not in models:
            kind, rest = (MISTAKEN_VALUE, "") if given else (MISTAKE, f"; it is {DEFAULT_MODEL!r} unless given")
            error = PydanticCustomError(kind, "must be one of `models` ({known}){rest}", {"known": known, "rest": rest})
            yield InitErrorDetails(type=error, loc=("cameras", str(name), "model"), input=model)


def _again(error: ErrorDetails) -> InitErrorDetails:
    """An error that pydantic reported, fit to be raised once more."""
    kind: str | PydanticCustomError = error["type"]
    if error["type"] in (MISTAKE, MISTAKEN_VALUE):
        kind = PydanticCustomError(error["type"], "{message}", {"message": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))


def _validation_error(details: list[InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data(Config.__name__, details, hide_input=True)


_URL_CREDENTIALS = re.compile(r"(?<=://)(?:[^/@\s]*@)+|(?<=://)[^/:@\s]*:(?!\d+(?:/|\s|$))[^\s@]*@")
_NAMED_CREDENTIALS = re.compile(r"(?i)\b([\w-]*(?:pass|password|passwd|pwd|pw|token|secret)=)(?:\"[^\"]*\"|[^&\s\"']+)")


def without_credentials(source: str) -> str:
    """The source without the user and password of any URL or pipeline in it, fit for logs and messages."""
    return _NAMED_CREDENTIALS.sub(r"\1***", _URL_CREDENTIALS.sub("", source))
