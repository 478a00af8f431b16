"""The one way in which a thread of the daemon starts, ends and fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

from daemon.system.threads import start_thread


class WorkerThread:
    """A daemon thread that reports the exception that ends it; each stage owns its own and asks it to end itself.

    It catches BaseException: a SystemExit in a thread would otherwise end that thread alone, without a word.
    """

    def __init__(self, name: str, run: Callable[[], None], on_fatal: Callable[[BaseException], None]) -> None:
        """`name` is unique in the process; `on_fatal` is called in the thread, after what `run` does in the end."""
        self._run = run
        self._on_fatal = on_fatal
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread; once only, but again where it raised TooFewThreadsError."""
        start_thread(self._thread)

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds; at once where it was never started."""
        if self.started:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _main(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._on_fatal(error)
