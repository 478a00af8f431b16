"""The configuration of a detection model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from daemon.config.section import MISTAKE, SHORT_FORM, Score, Section
from engines.families import FamilyName
from engines.records import Fit, InputOverride

BUILTIN_MODEL = "street"
BUILTIN_LABELS = "coco"


def _are_three(channels: tuple[float, ...]) -> tuple[float, ...]:
    if len(channels) != 3:
        raise PydanticCustomError(MISTAKE, "must be three numbers, one for each channel")
    return channels


def _are_two(size: tuple[int, ...]) -> tuple[int, ...]:
    if len(size) != 2:
        raise PydanticCustomError(MISTAKE, "must be two numbers, height and width")
    return size


Means = Annotated[tuple[Annotated[float, Field(ge=0)], ...], AfterValidator(_are_three)]
Pixels = Annotated[tuple[Annotated[int, Field(ge=32, le=8192)], ...], AfterValidator(_are_two)]
Deviations = Annotated[tuple[Annotated[float, Field(gt=0)], ...], AfterValidator(_are_three)]


class ModelInput(Section):
    """Input of a model: value = (pixel * scale - mean) / std, pixels from 0 to 255."""

    size: Pixels | None = Field(
        None, description="height and width in pixels, for a file that leaves them open; default: what the file says"
    )
    fit: Fit | None = Field(
        None,
        description="how a picture fits into the input: centred and top-left keep its aspect ratio and pad the rest, "
        "stretch fills the input; default: the family's",
    )
    pad: int | None = Field(None, ge=0, le=255, description="pixel value of the padding; default: the family's")
    color: Literal["rgb", "bgr"] | None = Field(None, description="order of the channels; default: the family's")
    scale: float | None = Field(
        None, gt=0, description="factor of the pixel values; default: 1 where mean or std is given, or the family's"
    )
    mean: Means | None = Field(
        None,
        description="subtracted from each channel after scaling, in the order of `color`; default: 0 where scale "
        "or std is given, or the family's",
    )
    std: Deviations | None = Field(
        None,
        description="divisor of each channel after that, in the order of `color`; default: 1 where scale or "
        "mean is given, or the family's",
    )

    def override(self) -> InputOverride:
        """The same as engines.model.read_model takes it."""
        return InputOverride(
            size=None if self.size is None else (self.size[0], self.size[1]),
            fit=self.fit,
            pad=self.pad,
            rgb=None if self.color is None else self.color == "rgb",
            scale=self.scale,
            mean=self.mean,
            std=self.std,
        )


class Model(Section):
    """A detection model."""

    model_config = ConfigDict(json_schema_extra={SHORT_FORM: "its `file` alone, such as yolox-s"})

    file: str | None = Field(
        None,
        description="name of an installed model (`ospreyd model list`), or path of an ONNX file, relative to this "
        "configuration; 'street' is the demonstration model that ships with ospreyd and knows drawn streets only; "
        "default: the installed default model",
    )
    family: Literal["auto", FamilyName] = Field(
        "auto", description="how the model lays out its outputs, see docs/models.md; auto finds out"
    )
    labels: str | None = Field(
        None,
        description="'coco', or path of a file with a name for each class (docs/models.md), relative to this "
        "configuration; default: what the model's metadata says",
    )
    input: ModelInput = Field(
        default_factory=ModelInput,
        description="the model's input, where it differs from its family's; default: the family's",
    )
    precision: Literal["auto", "fp32", "fp16", "int8", "fp8"] = Field(
        "auto", description="numeric precision; auto is fp16 with TensorRT and fp32 with ONNX Runtime"
    )
    calibration: Path | None = Field(
        None,
        description="folder of pictures for the calibration of int8 and fp8, relative to this configuration; default: "
        "those that `ospreyd engine build --calibrate-from` has collected",
    )
    confidence: Score = Field(0.4, description="minimum score of published detections")
    iou: Score = Field(0.45, description="IoU above which two boxes of one class are one object (NMS)")
