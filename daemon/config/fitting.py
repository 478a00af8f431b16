"""Mistakes that lie between parts of a configuration: what a camera names that is not there, or is named twice.

They are found in data that may have any other mistake too, so that all are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from daemon.config.camera import DEFAULT_MODEL
from daemon.config.section import MISTAKE, MISTAKEN_VALUE, Section

_MOST_AREAS = 32
"""zones and lines of a camera"""


def mismatches(data: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Of a configuration as it is written."""
    cameras = data.get("cameras")
    if not isinstance(cameras, Mapping):
        return
    yield from _unknown_models(data.get("models", {DEFAULT_MODEL: {}}), cameras)
    yield from _best_of_nothing(data, cameras)
    for name, camera in cameras.items():
        if isinstance(camera, (Mapping, Section)):
            yield from _areas(data, str(name), camera)


def _unknown_models(models: object, cameras: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Cameras that name a model that is not there."""
    if not isinstance(models, Mapping):
        return
    known = ", ".join(sorted(map(str, models))) or "none"
    for name, camera in cameras.items():
        if not isinstance(camera, (Mapping, Section)):
            continue
        given = _given(camera, "model")
        model = DEFAULT_MODEL if given is None else given
        if isinstance(model, str) and model not in models:
            kind, rest = (MISTAKEN_VALUE, "") if given else (MISTAKE, f"; it is {DEFAULT_MODEL!r} unless given")
            error = PydanticCustomError(kind, "must be one of `models` ({known}){rest}", {"known": known, "rest": rest})
            yield InitErrorDetails(type=error, loc=("cameras", str(name), "model"), input=model)


def _best_of_nothing(data: Mapping[str, Any], cameras: Mapping[str, Any]) -> Iterator[InitErrorDetails]:
    """Best pictures of objects, where none are followed."""
    events = data.get("events")
    if not isinstance(events, (Mapping, Section)) or _given(events, "snapshot") != "best":
        return
    own = [_given(each, "tracking") for each in cameras.values() if isinstance(each, (Mapping, Section))]
    if data.get("tracking") is None and all(each is None for each in own):
        yield _mistake("best pictures need `tracking`: add `tracking: {}` at the top level", ("events", "snapshot"))


def _areas(data: Mapping[str, Any], name: str, camera: Mapping[str, Any] | Section) -> Iterator[InitErrorDetails]:
    """Zones and lines that would be of no use, or of the name of something else."""
    areas = {key: given for key in ("zones", "lines") if isinstance(given := _given(camera, key), Mapping) and given}
    given = camera.model_fields_set if isinstance(camera, Section) else camera
    for key in areas:
        if data.get("tracking") is None and "tracking" not in given:
            yield _mistake(
                f"{key} need `tracking`: add `tracking: {{}}` at the top level, or here for this camera",
                ("cameras", name, key),
            )
    for zone in areas.get("zones", ()):
        if zone in data["cameras"]:
            yield _mistake(
                "is the name of a camera; choose another, since both become topics", ("cameras", name, "zones", zone)
            )
    if sum(map(len, areas.values())) > _MOST_AREAS:
        yield _mistake(f"zones and lines are more than {_MOST_AREAS}", ("cameras", name, next(iter(areas))))


def _mistake(sentence: str, where: tuple[str, ...]) -> InitErrorDetails:
    error = PydanticCustomError(MISTAKE, "{sentence}", {"sentence": sentence})
    return InitErrorDetails(type=error, loc=where, input=None)


def _given(camera: Mapping[str, Any] | Section, key: str) -> object:
    return getattr(camera, key) if isinstance(camera, Section) else camera.get(key)


def again(error: ErrorDetails) -> InitErrorDetails:
    """An error that pydantic reported, fit to be raised once more."""
    kind: str | PydanticCustomError = error["type"]
    if error["type"] in (MISTAKE, MISTAKEN_VALUE):
        kind = PydanticCustomError(error["type"], "{message}", {"message": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))


def validation_error(title: str, details: list[InitErrorDetails]) -> ValidationError:
    """All of them as one, without the values."""
    return ValidationError.from_exception_data(title, details, hide_input=True)
