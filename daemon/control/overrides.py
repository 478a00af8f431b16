"""Settings that commands have changed, over those of the configuration file, and their file on disk."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from daemon.config.schema import Config
from daemon.control.settings import Setting, Value, checked

log = logging.getLogger("ospreyd")

_VERSION = 1
_LARGEST_FILE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings by camera, over those of the configuration file."""

    cameras: Mapping[str, Mapping[Setting, Value]] = field(default_factory=dict)

    def with_one(self, camera: str, setting: Setting, value: Value) -> Overrides:
        """With one more setting."""
        return Overrides({**self.cameras, camera: {**self.cameras.get(camera, {}), setting: value}})

    def with_settings_of(self, camera: str, other: Overrides) -> Overrides:
        """With the settings of one camera taken from `other`."""
        cameras = {name: settings for name, settings in self.cameras.items() if name != camera}
        return Overrides({**cameras, camera: other.cameras[camera]} if camera in other.cameras else cameras)

    def under(self, newer: Overrides) -> Overrides:
        """With the settings of `newer` in place of the same ones."""
        names = self.cameras.keys() | newer.cameras.keys()
        return Overrides({name: {**self.cameras.get(name, {}), **newer.cameras.get(name, {})} for name in names})

    def limited_to(self, config: Config) -> Overrides:
        """The settings of cameras in `config`."""
        return Overrides({name: settings for name, settings in self.cameras.items() if name in config.cameras})

    def over(self, config: Config) -> Config:
        """`config` with these settings."""
        cameras = {
            name: camera.model_copy(update={s.value: v for s, v in self.cameras.get(name, {}).items()})
            for name, camera in config.cameras.items()
        }
        return config.model_copy(update={"cameras": cameras})


class SettingsFile:
    """Overrides of one device on disk."""

    def __init__(self, device: str, folder: Path) -> None:
        self._path = folder / f"settings-{device}.json"

    def load(self) -> Overrides:
        """The stored settings; none, and a warning, where the file is not valid. Raises OSError."""
        try:
            with self._path.open("rb") as file:
                text = file.read(_LARGEST_FILE + 1)
            return _read(text)
        except FileNotFoundError:
            return Overrides()
        except ValueError as error:
            log.warning("settings in %s are ignored: %s; the configuration applies", self._path, error)
            return Overrides()

    def save(self, overrides: Overrides) -> None:
        """Replaces the file atomically: a power failure leaves the old or the new one. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = {"schema": _VERSION, "cameras": {name: dict(s) for name, s in overrides.cameras.items()}}
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
        descriptor, name = tempfile.mkstemp(prefix=self._path.name, dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _read(text: bytes) -> Overrides:
    """Raises ValueError."""
    if len(text) > _LARGEST_FILE:
        raise ValueError("the file is too large")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("schema") != _VERSION:
        raise ValueError(f"it has no settings of version {_VERSION}")
    cameras = document.get("cameras")
    if not isinstance(cameras, dict) or not all(isinstance(settings, dict) for settings in cameras.values()):
        raise ValueError("it has no cameras with settings")
    return Overrides({name: _settings(name, settings) for name, settings in cameras.items()})


def _settings(camera: str, settings: Mapping[str, object]) -> dict[Setting, Value]:
    return dict(_setting(camera, name, value) for name, value in settings.items())


def _setting(camera: str, name: str, value: object) -> tuple[Setting, Value]:
    try:
        return Setting(name), checked(Setting(name), value)
    except ValueError as error:
        raise ValueError(f"{name} of camera {camera}: {error}") from None
