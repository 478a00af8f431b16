"""The configuration that the daemon runs with: its file, and the settings that commands have changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from daemon.config.schema import Config
from daemon.control.commands import CommandRejected, CommandScope
from daemon.control.overrides import Overrides, SettingsFile
from daemon.control.settings import Setting, Value, setting_of
from daemon.system.log_states import state_of

_log = logging.getLogger("ospreyd")
_READ_AGAIN = 5.0  # seconds

PublishSetting = Callable[[str, Setting, Value, bool], None]
"""camera, setting, value, and whether a command has set it"""


class RunningConfig:
    """Thread-safe. Publishes settings as they change, from `start` on."""

    def __init__(self, file: Config, kept: SettingsFile | None) -> None:
        """`file` is the configuration as it was read; `kept` is where settings outlast a restart, None: nowhere."""
        self._file = file
        self._kept = kept
        self._publish: PublishSetting = lambda *_: None
        self._overrides = Overrides()
        self._unread = kept is not None
        """what is kept has not been read yet"""
        self._read_at = 0.0
        """time.monotonic() before which that is not tried again"""
        self._changing = threading.Lock()
        """guards the file's configuration and the overrides"""
        self._saving = threading.Lock()
        """so that the file on disk is never older than the overrides"""
        self.read_kept()

    @property
    def config(self) -> Config:
        """The file with the settings of commands over it."""
        with self._changing:
            return self._overrides.over(self._file)

    def read_kept(self) -> bool:
        """Reads what is kept where that has failed before, every 5 s at most; whether `config` is different now.

        What commands have set meanwhile counts.
        """
        if self._kept is None or not self._unread or time.monotonic() < self._read_at:
            return False
        try:
            earlier = self._kept.load()
        except OSError as error:
            if not self._read_at:
                text = "the settings of earlier commands cannot be read, which is tried again: %s"
                _log.warning(text, error, extra=state_of("settings"))
            self._read_at = time.monotonic() + _READ_AGAIN
            return False
        with self._changing:
            before, self._unread = self._overrides, False
            self._overrides = earlier.under(before)
            different = self._overrides.over(self._file) != before.over(self._file)
        if self._read_at:
            _log.info("the settings of earlier commands were read", extra=state_of("settings"))
            self._publish_all()
            self._forget_removed()
            if before.cameras and (failed := self.save()):
                _log.warning("settings will not outlast a restart: %s", failed)
        return different

    def scope(self) -> CommandScope:
        """The names that commands may use."""
        return CommandScope(frozenset(self._file.cameras), frozenset(self._file.models))

    def start(self, publish: PublishSetting) -> None:
        """Publishes every setting, and forgets those of cameras that the file does not have, on disk too."""
        self._publish = publish
        self._forget_removed()
        self._publish_all()

    def preview(self, file: Config) -> Config:
        """What `config` would be after `replacing(file)`."""
        with self._changing:
            return self._overrides.over(file)

    @contextmanager
    def replacing(self, file: Config) -> Iterator[None]:
        """Takes a configuration file that was read again, which the caller applies inside.

        Settings of removed cameras are forgotten, on disk too, so that a camera that comes back starts from the file;
        those of the others are kept. If applying fails, the previous file is restored.
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
            self._forget_removed()
        finally:
            self._publish_all()  # afterwards: a setting of a camera that does not run yet would not be published

    def change(self, camera: str, setting: Setting, value: Value, apply: Callable[[], object]) -> bool:
        """Changes a setting of a camera, publishes it, and calls `apply` if `config` is different; whether it was.

        If that raises, the setting is changed back. Raises CommandRejected where there is no such camera any more.
        """
        with self._changing:
            before = self._overrides
            different = self._value(camera, setting) != value
            self._overrides = before.with_one(camera, setting, value)
        applied = False
        try:
            if different:  # without the lock: the thread that applies it may need it to read the file again
                apply()
                applied = True
            self._publish_one(camera, setting)
        except BaseException:
            with self._changing:
                self._overrides = self._overrides.with_settings_of(camera, before)
            if applied:
                apply()
            raise
        return different

    def save(self) -> str:
        """Keeps the settings on disk where that is configured; why that failed, or an empty text."""
        if self._kept is None:
            return ""
        if self._unread:
            return "those that are kept cannot be read, which is tried again"
        try:
            with self._saving:
                self._kept.save(self._overrides)
        except OSError as error:
            return str(error)
        return ""

    def _value(self, camera: str, setting: Setting) -> Value:
        """Raises CommandRejected where the file does not have the camera any more."""
        if camera not in self._file.cameras:
            raise CommandRejected(f"camera {camera} has just been removed")
        overridden = self._overrides.cameras.get(camera, {})
        return overridden[setting] if setting in overridden else setting_of(self._file.cameras[camera], setting)

    def _forget_removed(self) -> None:
        with self._changing:
            before = self._overrides
            self._overrides = before.limited_to(self._file)
        if self._overrides != before and (failed := self.save()):
            _log.warning("settings of removed cameras will be back after a restart: %s", failed)

    def _publish_all(self) -> None:
        for camera in self._file.cameras:
            for setting in Setting:
                with suppress(CommandRejected):
                    self._publish_one(camera, setting)

    def _publish_one(self, camera: str, setting: Setting) -> None:
        """Raises CommandRejected where the file does not have the camera any more."""
        with self._changing:
            value = self._value(camera, setting)
            commanded = setting in self._overrides.cameras.get(camera, {})
            # under the lock, so that no setting is published after its camera's removal, which clears it
            self._publish(camera, setting, value, commanded)
