"""What commands do: to the settings of cameras, and through what the daemon can do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from daemon.config.schema import Config
from daemon.control.commands import BuildEngine, Command, Known, PublishStats, Refused, Reload, Set, Snapshot
from daemon.control.settings import Overrides, Setting, SettingsFile, Value, setting_of
from daemon.media.snapshots import WANTED_FOR

_log = logging.getLogger("ospreyd")

Told = Callable[[str, Setting, Value, bool], None]
"""camera, setting, its value, whether a command has set it"""


class Host(Protocol):
    """What the daemon as a whole does at somebody's command; called in the thread `commands`.

    Each raises Refused, DaemonError or EngineError, and then has changed nothing; each returns when it is done, or has
    begun where it takes longer than some seconds.
    """

    def apply(self) -> None:
        """Runs with `Control.config` from now on."""

    def reload(self) -> str:
        """Reads the configuration file again; one sentence that says what came of it."""

    def build_engine(self, model: str) -> None:
        """Builds the model's engine anew, whether or not there is one."""


class Actions(Host, Protocol):
    """What commands can do."""

    def snapshot(self, camera: str, annotated: bool) -> None:
        """Publishes the camera's next picture."""

    def publish_stats(self) -> None:
        """Publishes the statistics now."""


class Control:
    """Obeys commands, and keeps what they have set over the configuration file. Its methods may run in any thread."""

    def __init__(self, file: Config, kept: SettingsFile | None, actions: Actions, told: Told) -> None:
        """`file` is the configuration as it was read; `kept` is where settings outlast a restart, None: nowhere."""
        self._file = file
        self._kept = kept
        self._actions = actions
        self._told = told
        self._overrides = kept.load() if kept else Overrides()
        self._changing = threading.Lock()
        """guards the file's configuration and the overrides"""
        self._saving = threading.Lock()
        """so that the file on disk is never older than the overrides"""

    @property
    def config(self) -> Config:
        """What the daemon is to run with: the file, and what commands have set over it."""
        with self._changing:
            return self._overrides.over(self._file)

    def known(self) -> Known:
        """What commands may name."""
        return Known(frozenset(self._file.cameras), frozenset(self._file.models))

    def start(self) -> None:
        """Publishes every setting, and forgets those of cameras that the file does not have, on disk too."""
        self._forget()
        self._tell_all()

    def preview(self, file: Config) -> Config:
        """What the daemon would run with after `replacing`."""
        with self._changing:
            return self._overrides.over(file)

    @contextmanager
    def replacing(self, file: Config) -> Iterator[None]:
        """Takes a configuration file that was read again, which the caller applies inside.

        Settings of removed cameras are forgotten, on disk too, so that a camera that comes back starts from the file;
        those of the others still hold. If applying fails, what was before holds again.
        """
        with self._changing:
            before, self._file = self._file, file
        try:
            yield
        except BaseException:
            with self._changing:
                self._file = before
            raise
        else:
            self._forget()
        finally:
            self._tell_all()  # afterwards: a setting of a camera that does not run yet would not be published

    def execute(self, command: Command) -> str:
        """Does what a command asks for; one sentence that says so. Raises Refused, DaemonError, EngineError."""
        if isinstance(command, Set):
            return self._set(command)
        if isinstance(command, Snapshot):
            if (camera := self.config.cameras.get(command.camera)) is None:
                raise _removed(command.camera)
            if not camera.enabled:
                raise Refused(f"camera {command.camera} is not enabled")
            self._actions.snapshot(command.camera, command.annotated)
            return f"the next picture of {command.camera} is published, if it comes within {WANTED_FOR:g} s"
        if isinstance(command, Reload):
            return self._actions.reload()
        if isinstance(command, BuildEngine):
            self._actions.build_engine(command.model)
            return f"the engine of model {command.model} is being built; info says how far it is"
        if isinstance(command, PublishStats):
            self._actions.publish_stats()
            return "the statistics are published"
        raise Refused("it is not known how to do this")

    def _set(self, command: Set) -> str:
        camera, setting, value = command.camera, command.setting, command.value
        with self._changing:
            if camera not in self._file.cameras:
                raise _removed(camera)
            before = self._overrides
            was = setting_of(before.over(self._file).cameras[camera], setting)
            self._overrides = before.with_one(camera, setting, value)
        applied = False
        try:
            if was != value:  # without the lock: who applies it may be waiting for it, to read the file again
                self._actions.apply()
                applied = True
            self._tell(camera, setting)
        except BaseException:
            with self._changing:
                self._overrides = self._overrides.with_settings_of(camera, before)
            if applied:
                self._actions.apply()
            raise
        said = "nothing" if value is None else str(value).lower()
        return f"{setting.value} of {camera} is {said}{' already' if was == value else ''}{self._keep()}"

    def _keep(self) -> str:
        """What is to be said where it does not work."""
        if self._kept is None:
            return ""
        try:
            with self._saving:
                self._kept.save(self._overrides)
        except OSError as error:
            return f", but will not outlast a restart: {error}"
        return ""

    def _forget(self) -> None:
        """Forgets the settings of cameras that the file does not have."""
        with self._changing:
            before = self._overrides
            self._overrides = before.limited_to(self._file)
        if self._overrides != before and (failed := self._keep()):
            _log.warning("settings of removed cameras are forgotten%s", failed)

    def _tell_all(self) -> None:
        for camera in self._file.cameras:
            for setting in Setting:
                with suppress(Refused):
                    self._tell(camera, setting)

    def _tell(self, camera: str, setting: Setting) -> None:
        """Raises Refused where the file does not have the camera any more."""
        with self._changing:
            if camera not in self._file.cameras:
                raise _removed(camera)
            value = setting_of(self._overrides.over(self._file).cameras[camera], setting)
            commanded = setting in self._overrides.cameras.get(camera, {})
            # with the lock, so that nothing is told of a camera after its removal, which clears what was
            self._told(camera, setting, value, commanded)


def _removed(camera: str) -> Refused:
    return Refused(f"camera {camera} has just been removed")
