"""From the configuration's `models` to models, and to what their sessions need."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from daemon.config.camera import Camera
from daemon.config.installed_models import fill_in
from daemon.config.mistakes import Mistake, MistakesError
from daemon.config.model import BUILTIN_MODEL
from daemon.config.model import Model as ModelConfig
from daemon.config.schema import Config, Inference
from daemon.config.tracking import Line, Zone
from daemon.errors import UsageError
from daemon.modelstore import inventory
from daemon.modelstore.advice import no_default
from engines.backends import Backend, SessionSettings, discard_built, prepare
from engines.build.specification import Progress
from engines.model import NO_OVERRIDE, Model, read_model
from engines.models import street_onnx
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import InputOverride

_MOST_NAMED = 12  # classes in one message


def find_model(file: str | None, family: str, labels: str | None, override: InputOverride = NO_OVERRIDE) -> Model:
    """Reads the model that `file` names: a path, an installed one, or 'street' for the one that ships with ospreyd.

    None is the installed default. The rest as in engines.model.read_model; what is given wins over what is kept of an
    installed model. Raises UsageError where that is not installed, ModelError and LabelsError.
    """
    if file is not None and not inventory.is_name(file):
        path = street_onnx() if file == BUILTIN_MODEL else Path(file)
        return read_model(path, family, labels, override)
    found = inventory.default() if file is None else inventory.find(file)
    if found is None:
        raise UsageError(no_default())
    values = {} if family == "auto" else {"family": family}
    values |= {} if labels is None else {"labels": labels}
    fill_in(values, found)
    kept = ModelConfig.model_validate(values)
    given = {one.name: value for one in fields(override) if (value := getattr(override, one.name)) is not None}
    return read_model(found.path, kept.family, kept.labels, replace(kept.input.override(), **given))


def configured_model(config: ModelConfig) -> Model:
    """Reads a model of the configuration. Raises as find_model does."""
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
    """Raises MistakesError for classes that the camera's model does not have.

    `known`: the labels of each model. A model that has failed is not in it, and its cameras' labels are checked by the
    reload that tries it again.
    """
    if mistakes := label_mistakes(config, known):
        raise MistakesError(mistakes)


def label_mistakes(config: Config, known: Mapping[str, Sequence[str]]) -> list[Mistake]:
    """What `check_labels` raises."""
    found = []
    for name, camera in config.cameras.items():
        if (labels := known.get(camera.model)) is not None:
            for path, label in _named_labels(camera):
                if label not in labels:
                    sentence = f"model {camera.model} has no class {label!r}; {_instead(label, labels)}"
                    found.append(Mistake(("cameras", name, *path), sentence))
    if known.keys() >= {camera.model for camera in config.cameras.values()}:
        of_all = sorted({label for labels in known.values() for label in labels})
        for index, label in enumerate(config.events.labels or ()):
            if label not in of_all:
                found.append(Mistake(("events", "labels", index), f"no model has it; {_instead(label, of_all)}"))
    return found


def _named_labels(camera: Camera) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each class that a camera's configuration names, and where below the camera's key."""
    for index, label in enumerate(camera.labels or ()):
        yield ("labels", index), label
    for label in camera.objects:
        yield ("objects", label), label
    areas: dict[str, Mapping[str, Zone | Line]] = {"zones": camera.zones, "lines": camera.lines}
    for key, named in areas.items():
        for name, area in named.items():
            for index, label in enumerate(area.labels or ()):
                yield (key, name, "labels", index), label


def _instead(label: str, labels: Sequence[str]) -> str:
    small = {one.lower(): one for one in labels}
    if close := difflib.get_close_matches(label.lower(), small, n=1):
        return f"did you mean {small[close[0]]!r}?"
    more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
    return f"there are {', '.join(labels[:_MOST_NAMED])}{more}"
