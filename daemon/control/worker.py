"""The thread that judges what comes, has it obeyed and answers it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from daemon.control.commands import (
    INTERNAL_ERROR,
    LARGEST,
    Command,
    Known,
    Refused,
    Request,
    answer,
    judge,
    patterns,
    shortened,
)
from daemon.control.inbox import Inbox
from daemon.errors import DaemonError
from daemon.publish.inbox import Received, Subscription
from daemon.publish.outgoing import Message
from daemon.publish.topics import DeviceTopics
from daemon.system.worker_thread import WorkerThread
from engines.errors import EngineError

log = logging.getLogger("ospreyd.commands")

_INBOX = 64  # commands that wait
_ROOM_WITHIN = 1.0  # seconds that an answer waits for room in the network
_LOOK_AGAIN = 0.02  # seconds


class Commands:
    """Owns the thread `commands`: one command after the other, in the order of their arrival.

    `execute` does what a command asks for and returns one sentence that says so; it raises Refused, or an error of the
    daemon or the engines whose sentence is the answer, and has changed nothing then. `on_fatal` gets the exception
    that ends the thread.
    """

    def __init__(
        self,
        device: str,
        topics: DeviceTopics,
        known: Callable[[], Known],
        execute: Callable[[Command], str],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._device = device
        self._topics = topics
        self._known = known
        self._execute = execute
        self._inbox = Inbox(_INBOX)
        self._send: Callable[[Message], bool] = lambda _: False
        self._judge_other: Callable[[Known, Received], Request | None] = lambda _known, _message: None
        self._reserved: tuple[str, ...] = ()
        self._stopping = threading.Event()
        self._thread = WorkerThread("commands", self._run, on_fatal)
        self.subscription = Subscription(patterns(topics), self._inbox.put, LARGEST)
        """for the link that brings the commands"""

    @property
    def dropped(self) -> int:
        """Commands that came faster than they could be obeyed."""
        return self._inbox.dropped

    def start(
        self,
        send: Callable[[Message], bool],
        judge_other: Callable[[Known, Received], Request | None],
        reserved: tuple[str, ...],
    ) -> None:
        """Begins to obey; `send` takes the answers, and is False where it has no room.

        `judge_other` judges commands in other formats than our own, None where a message is none; no answer goes
        below the topics that are `reserved` for them.
        """
        self._send = send
        self._judge_other = judge_other
        self._reserved = reserved
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; what waits is not obeyed. Returns at once."""
        self._stopping.set()
        self._inbox.close()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while (message := self._inbox.take()) is not None:
            self._handle(message)

    def _handle(self, message: Received) -> None:
        """Whatever goes wrong with a command from outside ends here, and not the daemon."""
        request = Request(shortened(message.topic), Refused(INTERNAL_ERROR), self._topics.answer, None)
        try:
            known = self._known()
            request = self._judge_other(known, message) or judge(self._topics, known, message, self._reserved)
            if isinstance(request.command, Refused):
                raise request.command  # noqa: TRY301
            detail, ok = self._execute(request.command), True
            log.info("%s: %s", request.name, detail)
        except (Refused, DaemonError, EngineError) as refusal:
            detail, ok = str(refusal), False
            log.warning("%s: refused: %s", _printable(request.name), detail)
        except Exception:
            detail, ok = INTERNAL_ERROR, False
            log.exception("%s: %s", _printable(request.name), detail)
        payload = answer(self._device, request.name, ok=ok, detail=detail)
        self._answer(Message(request.answer_to.name, payload, "application/json", request.correlation))

    def _answer(self, message: Message) -> None:
        """Given up where the network takes none: whoever has asked sees from the state what became of it."""
        deadline = time.monotonic() + _ROOM_WITHIN
        while not self._send(message) and time.monotonic() < deadline:
            if self._stopping.wait(_LOOK_AGAIN):
                return


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)
