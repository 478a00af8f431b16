"""From the configuration's `models` to models, and to what their sessions need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from daemon.config.camera import Camera
from daemon.config.model import BUILTIN_MODEL
from daemon.config.model import Model as ModelConfig
from daemon.config.schema import Config, Inference
from daemon.errors import UsageError
from engines.backends import Backend, SessionSettings, discard_built, prepare
from engines.build.specification import Progress
from engines.model import NO_OVERRIDE, Model, read_model
from engines.models import street_onnx
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import InputOverride


def find_model(file: str, family: str, labels: str | None, override: InputOverride = NO_OVERRIDE) -> Model:
    """Reads the model that `file` names: a path, or 'street' for the one that ships with ospreyd.

    The rest as in engines.model.read_model.
    Raises ModelError and LabelsError.
    """
    path = street_onnx() if file == BUILTIN_MODEL else Path(file)
    return read_model(path, family, labels, override)


def configured_model(config: ModelConfig) -> Model:
    """Reads a model of the configuration. Raises ModelError and LabelsError."""
    return find_model(config.file, config.family, config.labels, config.input.override())


def session_settings(config: ModelConfig, inference: Inference) -> SessionSettings:
    """How a model of the configuration is to be run."""
    return SessionSettings(
        thresholds=Thresholds(config.confidence, config.iou),
        max_batch=inference.max_batch,
        precision=None if config.precision == "auto" else Precision(config.precision),
        calibration=config.calibration,
        threads=inference.threads,
        cache=inference.cache,
    )


def prepare_model(backend: Backend, config: ModelConfig, settings: SessionSettings, progress: Progress) -> None:
    """Builds what a model's session needs and the cache does not hold, in a process that has not read the model yet.

    Raises EngineError.
    """
    prepare(backend, configured_model(config), settings, progress)


def rebuild_model(backend: Backend, config: ModelConfig, settings: SessionSettings, progress: Progress) -> None:
    """As prepare_model, but rebuilds what is there."""
    model = configured_model(config)
    discard_built(backend, model, settings, "a rebuild was requested")
    prepare(backend, model, settings, progress)


def check_labels(config: Config, known: Mapping[str, Sequence[str]]) -> None:
    """Raises UsageError for a label that the camera's model does not have.

    `known`: the labels of each model. A model that has failed is not in it, and its cameras' labels are checked by the
    reload that tries it again.
    """
    for name, camera in config.cameras.items():
        if (labels := known.get(camera.model)) is None:
            continue
        for key, label in _labels_of(camera):
            if label not in labels:
                has = f"model {camera.model} has no class {label!r} (it has: {', '.join(labels)})"
                raise UsageError(f"cameras.{name}.{key}: {has}")


def _labels_of(camera: Camera) -> Iterator[tuple[str, str]]:
    """Every key of a camera that names classes, with each class."""
    yield from (("labels", label) for label in camera.labels or ())
    yield from (("objects", label) for label in camera.objects)
    for kind, areas in (("zones", camera.zones), ("lines", camera.lines)):
        for name, area in areas.items():
            yield from ((f"{kind}.{name}.labels", label) for label in area.labels or ())
