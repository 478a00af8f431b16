"""What each command does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from daemon.control.commands import (
    BuildEngine,
    ChangeSetting,
    CheckText,
    Command,
    CommandRejected,
    PublishStats,
    Reload,
    ResetLines,
    TakeSnapshot,
)
from daemon.control.running_config import RunningConfig
from daemon.media.snapshots import WANTED_FOR


@dataclass(frozen=True, slots=True)
class CommandActions:
    """What commands have the daemon do; called in the thread `commands`.

    Each raises CommandRejected, DaemonError or EngineError, and then has changed nothing; each returns when it is done,
    or has begun where it takes longer than some seconds.
    """

    apply: Callable[[], object]
    """runs with `RunningConfig.config` from now on"""
    reload: Callable[[], str]
    """reads the configuration file again; returns one sentence with the result"""
    build_engine: Callable[[str], None]
    """rebuilds the engine of a model"""
    snapshot: Callable[[str, bool], None]
    """publishes the next picture of a camera, annotated or not"""
    publish_stats: Callable[[], None]
    """publishes the statistics now"""
    reset_lines: Callable[[str | None], None]
    """resets the counts of line crossings, of one camera or all"""
    check: Callable[[str], object]
    """raises ConfigError where the daemon could not run with a text in place of the configuration file's"""


class CommandHandler:
    """Executes commands. For one thread."""

    def __init__(self, running: RunningConfig, actions: CommandActions) -> None:
        self._running = running
        self._actions = actions

    def execute(self, command: Command) -> str:
        """One sentence that says what was done. Raises CommandRejected, DaemonError, EngineError."""
        match command:
            case ChangeSetting():
                return self._change(command)
            case TakeSnapshot():
                return self._snapshot(command)
            case Reload():
                return self._actions.reload()
            case BuildEngine():
                self._actions.build_engine(command.model)
                return f"the engine of model {command.model} is being built; info has its progress"
            case PublishStats():
                self._actions.publish_stats()
                detail = "the statistics are published"
            case ResetLines():
                self._actions.reset_lines(command.camera)
                detail = f"line crossings of {command.camera or 'all cameras'} are reset"
            case CheckText():
                self._actions.check(command.text)
                detail = "the configuration is valid"
        return detail

    def _change(self, command: ChangeSetting) -> str:
        changed = self._running.change(command.camera, command.setting, command.value, self._actions.apply)
        detail = f"{command.setting.value} of {command.camera} is {orjson.dumps(command.value).decode()}"
        if not changed:
            detail += " already"
        if failed := self._running.save():
            detail += f", but will not outlast a restart: {failed}"
        return detail

    def _snapshot(self, command: TakeSnapshot) -> str:
        if (camera := self._running.config.cameras.get(command.camera)) is None:
            raise CommandRejected(f"camera {command.camera} has just been removed")
        if not camera.enabled:
            raise CommandRejected(f"camera {command.camera} is not enabled")
        self._actions.snapshot(command.camera, command.annotated)
        return f"the next picture of {command.camera} is published, if it comes within {WANTED_FOR:g} s"
