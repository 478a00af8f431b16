"""The configuration's shape: pydantic models that forbid unknown keys; every description is for the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from daemon.config.camera import DEFAULT_MODEL, Camera
from daemon.config.events import Events
from daemon.config.model import Model
from daemon.config.mqtt import Mqtt
from daemon.config.section import MISTAKE, MISTAKEN_VALUE, Section
from daemon.config.service import Service

_DEVICE_TOPICS = frozenset({"status", "info", "stats", "command", "answer"})


def _is_no_device_topic(name: str) -> str:
    if name in _DEVICE_TOPICS:
        raise PydanticCustomError(MISTAKE, "is the name of a topic of the device itself; choose another name")
    return name


NAME_RULE = "must be letters, digits, - and _, up to 64"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", json_schema_extra={"patternErrorMessage": NAME_RULE})]
"""One level of an MQTT topic: no separators, wildcards or spaces."""
CameraName = Annotated[Name, AfterValidator(_is_no_device_topic)]


class Inference(Section):
    """How models run on frames."""

    backend: Literal["auto", "tensorrt", "tensorrt_rtx", "onnxruntime"] = Field(
        "auto", description="what runs the models; auto takes the fastest that works here"
    )
    cache: Path | None = Field(
        None,
        description="folder of built engines, relative to this configuration; nobody else may write to "
        "it; default: systemd's cache directory, or ospreyd in the user's",
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of ONNX Runtime; default: one per core")
    max_batch: int = Field(8, ge=1, le=64, description="maximum number of frames in a batch")
    max_delay_ms: float = Field(
        10.0, ge=0, description="maximum milliseconds that a frame waits for others to fill a batch"
    )
    max_age_ms: float = Field(
        1000.0, gt=0, description="milliseconds; live frames older than this when their turn comes are dropped"
    )


class Config(Section):
    """Configuration of ospreyd."""

    device: Name = Field(description="name of this device, part of every topic")
    mqtt: Mqtt = Field(description="the broker")
    models: dict[Name, Model] = Field(
        default_factory=lambda: {DEFAULT_MODEL: Model()},
        description="detection models by name; cameras use 'default' unless they name another; "
        "default: the demonstration model as 'default'",
    )
    inference: Inference = Field(default_factory=Inference, description="how models run on frames")
    events: Events = Field(default_factory=Events, description="what is published once per change, and never lost")
    service: Service = Field(default_factory=Service, description="metrics and health checks")
    cameras: dict[CameraName, Camera] = Field(min_length=1, description="by name, part of the camera's topics")

    @model_validator(mode="wrap")
    @classmethod
    def _models_of_cameras_exist(cls, data: Any, validate: ModelWrapValidatorHandler[Config]) -> Config:
        """Wraps the whole validation, so that this mistake is reported together with all others."""
        unknown = list(_unknown_models(data)) if isinstance(data, Mapping) else []
        try:
            config = validate(data)
        except ValidationError as error:
            raise _validation_error([*map(_again, error.errors(include_url=False)), *unknown]) from error
        if unknown:
            raise _validation_error(unknown)
        return config


def _unknown_models(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Cameras that name a model that is not there, in data that may have other mistakes too."""
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
    """An error that pydantic reported, in the form in which it can be raised again."""
    kind: str | PydanticCustomError = error["type"]
    if error["type"] in (MISTAKE, MISTAKEN_VALUE):
        kind = PydanticCustomError(error["type"], "{message}", {"message": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))


def _validation_error(details: list[InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data(Config.__name__, details, hide_input=True)
