"""The configuration's shape: pydantic models that forbid unknown keys; every description is for the user."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

BUILTIN_MODEL = "street"
DEFAULT_MODEL = "default"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""One level of an MQTT topic: no separators, wildcards or spaces."""
Score = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """What every part of the configuration shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pace(str, Enum):
    """How fast a file is read."""

    REALTIME = "realtime"
    AS_FAST_AS_POSSIBLE = "as-fast-as-possible"


class Tls(Section):
    """TLS to the broker; `tls: {}` uses the system's certificate authorities."""

    ca: Path | None = Field(None, description="CA certificates (PEM) that the broker's certificate is checked against")


class Mqtt(Section):
    """The broker."""

    host: str = Field(min_length=1, description="host name or address of the broker")
    port: int | None = Field(None, ge=1, le=65535, description="default 1883, with TLS 8883")
    username: str | None = None
    password: SecretStr | None = Field(None, description="better given as ${NAME} than written here")
    tls: Tls | None = None
    prefix: str = Field(
        "ospreyd", pattern=r"^[^+#\s/]+(/[^+#\s/]+)*$", description="topics begin with <prefix>/<device>"
    )
    keepalive: int = Field(
        30, ge=5, le=3600, description="seconds; the broker announces a dead device after 1.5 times this"
    )
    stats_every: float = Field(10.0, gt=0, description="seconds between two messages on …/stats")

    @model_validator(mode="after")
    def _password_needs_username(self) -> Mqtt:
        if self.password is not None and self.username is None:
            raise ValueError("a password without a username; add mqtt.username")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the default port filled in."""
        return self.host, self.port or (8883 if self.tls else 1883)


class Model(Section):
    """A detection model."""

    file: str = Field(
        BUILTIN_MODEL,
        description="path of an ONNX file, relative to this configuration; 'street' is the demonstration model that "
        "ships with ospreyd and knows drawn streets only",
    )
    family: str = Field("auto", description="how the outputs are laid out: auto, yolox, yolov8")
    labels: str | None = Field(
        None,
        description="'coco' or a text file with one class name a line; default: what the model's metadata says",
    )
    confidence: Score = Field(0.4, description="detections below this score are not published")
    iou: Score = Field(0.45, description="boxes of one class that overlap more than this are one object (NMS)")


class Inference(Section):
    """How frames go through the models."""

    backend: Literal["auto", "onnxruntime"] = Field("auto", description="auto takes the fastest that works here")
    threads: int | None = Field(None, ge=1, description="CPU threads of ONNX Runtime; default: one a core")
    max_batch: int = Field(8, ge=1, le=64, description="most frames that go through a model together")
    max_delay_ms: float = Field(10.0, ge=0, description="longest that a frame waits for others to fill a batch")
    max_age_ms: float = Field(1000.0, gt=0, description="a live frame older than this when its turn comes is dropped")


class Camera(Section):
    """One camera."""

    source: str = Field(
        min_length=1,
        description="rtsp://… | http(s)://… (MJPEG) | /dev/video0 or 0 (V4L2) | a video file | a folder of pictures | "
        "a GStreamer pipeline ('… ! appsink')",
    )
    enabled: bool = True
    model: str = Field(DEFAULT_MODEL, description="which of `models` looks at this camera")
    confidence: Score | None = Field(None, description="overrides the model's")
    labels: tuple[str, ...] | None = Field(None, description="publish only these classes; default: all of the model's")
    pace: Pace = Field(
        Pace.REALTIME, description="files only: as filmed, or as fast as the models go, dropping nothing"
    )
    loop: bool = Field(False, description="files only: begin again at the end")
    open_timeout: float = Field(10.0, gt=0, description="seconds to wait for a source to open and give its first frame")
    stall_after: float = Field(10.0, gt=0, description="seconds without a frame after which the source is opened anew")

    @model_validator(mode="before")
    @classmethod
    def _source_may_be_an_index(cls, data: object) -> object:
        if isinstance(data, dict) and type(data.get("source")) is int:
            return {**data, "source": str(data["source"])}
        return data


class Config(Section):
    """The whole configuration file."""

    device: Name = Field(description="name of this box, part of every topic")
    mqtt: Mqtt
    models: dict[Name, Model] = Field(
        default_factory=lambda: {DEFAULT_MODEL: Model()},
        description="by name; cameras use 'default' unless they name another",
    )
    inference: Inference = Inference()
    cameras: dict[Name, Camera] = Field(min_length=1, description="by name, part of the camera's topics")

    @model_validator(mode="after")
    def _names_are_known(self) -> Config:
        for name, camera in self.cameras.items():
            if camera.model not in self.models:
                raise ValueError(
                    f"cameras.{name}.model: there is no model {camera.model!r} under models "
                    f"(there: {', '.join(sorted(self.models))})"
                )
            if name in _TAKEN:
                raise ValueError(f"cameras.{name}: {name!r} is a topic of the device itself; choose another name")
        return self


_TAKEN = frozenset({"status", "info", "stats", "command"})
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


def without_credentials(source: str) -> str:
    """The source with the user and password of any URL in it taken out, fit for logs and messages."""
    return _URL_CREDENTIALS.sub("", source)
