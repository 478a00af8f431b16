"""The composition root: start, reload, and the one way to stop."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from daemon.app.pipeline import Pipeline, Requests
from daemon.app.reload import first_plan
from daemon.config.load import load_with_lines
from daemon.config.schema import Config
from daemon.control.commands import INTERNAL_ERROR
from daemon.control.overrides import SettingsFile
from daemon.control.running_config import RunningConfig
from daemon.errors import EXIT_FAILURE, EXIT_OK, ConfigError, DaemonError, UsageError
from daemon.system.descriptors import is_want_of_descriptors, sentence
from daemon.system.file_change import FileChange
from daemon.system.log_states import state_of
from engines.backends import choose
from engines.errors import EngineError
from engines.folders import state_folder
from engines.text import counted

_log = logging.getLogger("ospreyd")
_SLEEP = 0.25  # seconds


class _Request:
    """Something that another thread wants done in the main thread."""

    def __init__(self, work: Callable[[], str]) -> None:
        self.outcome: Future[str] = Future()
        self._work = work

    def do(self) -> None:
        try:
            self.outcome.set_result(self._work())
        except BaseException as error:
            self.outcome.set_exception(error)


class App:
    """One daemon."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigError for mistakes in the configuration file."""
        self._file = file
        self._change = FileChange(file)
        self._loaded = load_with_lines(file)
        self._running = _running(self._loaded.config)
        # not an Event: a signal that comes while the main thread is about to wait for one would wait for itself
        self._asked: SimpleQueue[_Request | str | None] = SimpleQueue()
        """what to do; the signal that asks to stop or to reload; or None: something failed"""
        self._ended = False
        """requests are no longer done"""
        self._failure: BaseException | None = None

    def run(self) -> int:
        """Runs until SIGTERM, SIGINT or a failure; the exit code. SIGHUP reloads. Only for the main thread.

        Raises EngineError where the backend does not work, and ConfigError for what only the files that the
        configuration names show to be wrong; nothing has been started by then.
        """
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        config = self._running.config
        backend = choose(config.inference.backend)
        _log.info("backend %s %s: %s", backend.name, backend.version, backend.reason)
        with self._loaded.naming_lines():
            plan = first_plan(config)
        requests = Requests(
            partial(self._in_main_thread, self._apply),
            partial(self._in_main_thread, self._reload),
            lambda text: self._in_main_thread(partial(self._check, text)),
        )
        self._pipeline = Pipeline(self._running, backend, plan, requests, self._on_fatal)
        try:
            self._pipeline.start()
            _log.info("running: %s, models %s", counted(len(config.cameras), "camera"), ", ".join(plan.revisions))
            if why := self._work():
                _log.info("%s: stopping", why)
        finally:
            self._ended = True
            clean = self._pipeline.stop()
        if self._failure is not None:
            if isinstance(self._failure, (EngineError, DaemonError)):  # whoever raised it said what happened
                _log.critical("stopped: %s", self._failure)
            elif is_want_of_descriptors(self._failure):
                _log.critical("stopped: %s", sentence())
            else:
                _log.critical("stopped by an internal failure", exc_info=self._failure)
            return EXIT_FAILURE
        if not clean:
            _log.warning("stopped, but a thread did not end in time")
        else:
            _log.info("stopped")
        return EXIT_OK

    def _work(self) -> str | None:
        """Does what is asked until it is to stop: by the signal of that name, or None.

        A signal that comes when the main thread is just about to sleep does not wake it, so it sleeps in short turns.
        """
        while True:
            with suppress(Empty):
                asked = self._asked.get(timeout=_SLEEP)
                if isinstance(asked, _Request):
                    asked.do()
                elif asked == signal.SIGHUP.name:
                    self._try_reload()
                else:
                    return asked
            if self._change.has_settled():
                _log.info("%s has changed", self._file)
                self._try_reload()
            if self._running.read_kept():
                self._try_apply()

    def _in_main_thread(self, work: Callable[[], str]) -> str:
        request = _Request(work)
        self._asked.put(request)
        while not wait([request.outcome], _SLEEP).done:
            if self._ended:
                raise DaemonError("ospreyd is being stopped")
        return request.outcome.result()

    def _apply(self) -> str:
        self._pipeline.apply(self._pipeline.plan(self._running.config, reread=False))
        return ""

    def _check(self, text: str) -> str:
        """Raises ConfigError where the daemon could not run with a text in place of the file's."""
        loaded = load_with_lines(self._file, text=text)
        with loaded.naming_lines():
            self._pipeline.plan(self._running.preview(loaded.config), reread=False)
        return ""

    def _try_apply(self) -> None:
        """Applies settings without a requester: errors are only logged."""
        try:
            self._apply()
        except Exception:
            _log.exception("the settings of earlier commands were not applied")

    def _try_reload(self) -> None:
        """Reloads without a requester: errors are only logged, and the daemon runs as before."""
        try:
            _log.info("%s", self._reload(), extra=state_of("configuration"))
        except (UsageError, EngineError):
            pass  # logged where it was found
        except Exception:
            _log.exception("the configuration was not reloaded: %s", INTERNAL_ERROR)

    def _reload(self) -> str:
        """Runs with the file as it is now; one sentence that says what is different.

        Raises UsageError and EngineError where that is not possible, and then goes on as before.
        """
        with self._pipeline.watchdog.reloading():
            return self._reloaded()

    def _reloaded(self) -> str:
        self._change.mark_known()
        try:
            loaded = load_with_lines(self._file)
            with loaded.naming_lines():
                plan = self._pipeline.plan(self._running.preview(loaded.config), reread=True)
            with self._running.replacing(loaded.config):
                self._pipeline.apply(plan)
        except (UsageError, EngineError) as error:
            problems = error.problems if isinstance(error, ConfigError) else (str(error),)
            for problem in problems:
                _log.error("the new configuration is refused: %s", problem, extra=state_of("configuration"))
            self._pipeline.refused(problems)
            raise
        except Exception:
            self._pipeline.refused((f"{INTERNAL_ERROR}; the log says more",))
            raise
        self._pipeline.loaded()
        return plan.summary()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._asked.put(signal.Signals(number).name)

    def _on_fatal(self, error: BaseException) -> None:
        """An error that no stage can name: stops everything; systemd starts the process again."""
        if self._failure is None:
            self._failure = error
        self._asked.put(None)


def _running(file: Config) -> RunningConfig:
    kept = SettingsFile(file.device, state_folder()) if file.mqtt.persist_settings else None
    return RunningConfig(file, kept)
