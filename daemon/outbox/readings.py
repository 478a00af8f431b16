"""What is to be seen of an outbox from outside its thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import UsageError
from daemon.outbox.opened import read_status
from daemon.records import OutboxCounts, OutboxStatus


@dataclass(frozen=True, slots=True)
class OutboxReadings:
    """For any thread."""

    path: Path
    counts: Callable[[], OutboxCounts]

    def problem(self) -> str | None:
        """Why events wait in memory only; None where they are on disk."""
        return self.counts().problem

    def status(self) -> OutboxStatus | None:
        """What waits; None where the file cannot be read, which the thread `outbox` tells."""
        counts = self.counts()
        if counts.problem is not None:
            return OutboxStatus(counts.waiting, counts.dropped, size=0, oldest=None)
        with suppress(UsageError):
            return read_status(self.path)
        return None
