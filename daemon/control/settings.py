"""Settings of cameras that commands may change: which there are, and the values that they take.

A new one needs a member of `Setting` named like the key of `cameras.<name>` that it sets.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from daemon.config.camera import Camera
from daemon.config.json_schema import field_schema
from daemon.config.sentences import requirement

Value = bool | int | float | str | tuple[str | int | float, ...] | None
"""as in the configuration; None where the configuration would leave it out"""


class Setting(str, Enum):
    """Keys of a camera that commands may set."""

    ENABLED = "enabled"
    CONFIDENCE = "confidence"
    FPS = "fps"


def checked(setting: Setting, value: object) -> Value:
    """A decoded JSON value in the type of the configuration; other JSON types are not converted.

    Raises ValueError saying what the value must be.
    """
    try:
        found: Value = _ADAPTERS[setting].validate_json(orjson.dumps(value))
    except ValidationError:
        required = requirement(field_schema(("cameras", "name", setting.value)))
        raise ValueError(f"{required}, or null" if _takes_null(setting) else required) from None
    return found


def value_schema(setting: Setting) -> dict[str, Any]:
    """JSON Schema of the values that `checked` takes."""
    return _ADAPTERS[setting].json_schema()


def setting_of(camera: Camera, setting: Setting) -> Value:
    """What a camera runs with."""
    value: Value = getattr(camera, setting.value)
    return value


def _takes_null(setting: Setting) -> bool:
    return {"type": "null"} in value_schema(setting).get("anyOf", ())


def _adapter(setting: Setting) -> TypeAdapter[Value]:
    of_camera = Camera.model_fields[setting.value]
    of_value: Any = Annotated[of_camera.annotation, of_camera]
    return TypeAdapter(of_value, config=ConfigDict(strict=True, allow_inf_nan=False))


_ADAPTERS = {setting: _adapter(setting) for setting in Setting}
