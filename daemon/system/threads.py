"""Threads: as many as the system allows, and enough left for what is no camera: models, look-ups, metrics."""

from __future__ import annotations

import threading

from daemon.errors import DaemonError


class TooFewThreadsError(DaemonError):
    """The system starts no more threads; the text is one sentence, with the fix."""

    def __init__(self) -> None:
        super().__init__(
            "too few threads: the system starts no more; allow more (TasksMax= of the service, ulimit -u in a shell, "
            "vm.max_map_count of the system), or memory for them (MemoryMax=, ulimit -v)"
        )


def start_thread(thread: threading.Thread) -> None:
    """Starts it. Raises TooFewThreadsError; it may be started later then."""
    try:
        thread.start()
    except RuntimeError as error:
        if thread.ident is not None:  # it was started before, which is a mistake of ours
            raise
        raise TooFewThreadsError from error


def require_threads(count: int) -> None:
    """Starts so many threads and ends them, since no system tells how many more there can be.

    Raises TooFewThreadsError where there are fewer.
    """
    release = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=release.wait, name="probe", daemon=True)
            start_thread(thread)
            started.append(thread)
    finally:
        release.set()
        for thread in started:
            thread.join()
