"""The configuration's shape: pydantic models that forbid unknown keys; every description is for the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import PydanticCustomError

from daemon.config.camera import DEFAULT_MODEL, Camera
from daemon.config.events import Events
from daemon.config.fitting import again, mismatches, validation_error
from daemon.config.model import Model
from daemon.config.mqtt import Mqtt
from daemon.config.section import MISTAKE, Name, Section
from daemon.config.service import Service
from daemon.config.tracking import Tracking

_DEVICE_TOPICS = frozenset({"status", "info", "stats", "command", "answer"})


def _is_no_device_topic(name: str) -> str:
    if name in _DEVICE_TOPICS:
        raise PydanticCustomError(MISTAKE, "is the name of a topic of the device itself; choose another name")
    return name


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
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads of ONNX Runtime, of each shard; default: one per core, divided among the shards",
    )
    shards: int | None = Field(
        None,
        ge=1,
        le=64,
        description="processes that capture and analyse the cameras (docs/scheduling.md), 1 is the daemon's own; "
        "default: one for each GPU, and for each 40 cameras on GPUs, or 16 whose objects are tracked",
    )
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
        "default: the installed default model as 'default'",
    )
    inference: Inference = Field(default_factory=Inference, description="how models run on frames")
    events: Events = Field(default_factory=Events, description="what is published once per change, and never lost")
    tracking: Tracking | None = Field(
        None, description="follow objects from frame to frame at all cameras; {} switches it on; default: off"
    )
    service: Service = Field(default_factory=Service, description="metrics, health checks and the web page")
    cameras: dict[CameraName, Camera] = Field(min_length=1, description="by name, part of the camera's topics")

    @model_validator(mode="wrap")
    @classmethod
    def _parts_fit_together(cls, data: Any, validate: ModelWrapValidatorHandler[Config]) -> Config:
        """Wraps the whole validation, so that these mistakes are reported together with all others."""
        wrong = list(mismatches(data)) if isinstance(data, Mapping) else []
        try:
            config = validate(data)
        except ValidationError as error:
            raise validation_error(cls.__name__, [*map(again, error.errors(include_url=False)), *wrong]) from error
        if wrong:
            raise validation_error(cls.__name__, wrong)
        return config

    def tracked(self, camera: str) -> Tracking | None:
        """The same, of a camera that may not be there or be disabled."""
        return self.tracking_of(camera) if camera in self.cameras else None

    def tracking_of(self, camera: str) -> Tracking | None:
        """How a camera's objects are followed; None where they are not."""
        own = self.cameras[camera]
        if own.tracking is None:
            return None if "tracking" in own.model_fields_set else self.tracking
        given = {key: getattr(own.tracking, key) for key in own.tracking.model_fields_set}
        return (self.tracking or Tracking()).model_copy(update=given)
