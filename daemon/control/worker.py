"""The thread that parses, executes and answers commands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from daemon.control.commands import INTERNAL_ERROR, Command, CommandRejected, CommandRequest, CommandScope
from daemon.control.inbox import Inbox
from daemon.control.messages import answer, shortened
from daemon.control.parse import LARGEST, command_patterns, parse_command
from daemon.errors import DaemonError
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.outgoing import Message
from daemon.mqtt.topics import DeviceTopics
from daemon.system.worker_thread import WorkerThread
from engines.errors import EngineError

log = logging.getLogger("ospreyd.commands")

_INBOX = 64  # commands that wait
_SEND_WITHIN = 1.0  # seconds that an answer waits for room in the network
_RETRY_EVERY = 0.02  # seconds


class CommandWorker:
    """Owns the thread `commands`: one command after the other, in the order of their arrival.

    `execute` does what a command asks for and returns one sentence that says so; it raises CommandRejected, or an error
    of the daemon or the engines whose sentence is the answer, and has changed nothing then. `on_fatal` gets the
    exception that ends the thread.
    """

    def __init__(
        self,
        device: str,
        topics: DeviceTopics,
        scope: Callable[[], CommandScope],
        execute: Callable[[Command], str],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._device = device
        self._topics = topics
        self._scope = scope
        self._execute = execute
        self._inbox = Inbox(_INBOX)
        self._send: Callable[[Message], bool] = lambda _: False
        self._parse_other: Callable[[CommandScope, Received], CommandRequest | None] = lambda _scope, _message: None
        self._reserved: tuple[str, ...] = ()
        self._stopping = threading.Event()
        self._thread = WorkerThread("commands", self._run, on_fatal)
        self.subscription = Subscription(command_patterns(topics), self._inbox.put, LARGEST)
        """for the link that brings the commands"""

    @property
    def dropped(self) -> int:
        """Commands that found the queue full."""
        return self._inbox.dropped

    def start(
        self,
        send: Callable[[Message], bool],
        parse_other: Callable[[CommandScope, Received], CommandRequest | None],
        reserved: tuple[str, ...],
    ) -> None:
        """Starts the thread; `send` takes the answers, and is False where it has no room.

        `parse_other` parses commands in other formats than our own, None where a message is none; no answer goes
        below the topics that are `reserved` for them.
        """
        self._send = send
        self._parse_other = parse_other
        self._reserved = reserved
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; commands that wait are not executed. Returns at once."""
        self._stopping.set()
        self._inbox.close()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while (message := self._inbox.take()) is not None:
            self._handle(message)

    def _handle(self, message: Received) -> None:
        """An unexpected error of a command ends here, and not the daemon."""
        request = CommandRequest(shortened(message.topic), CommandRejected(INTERNAL_ERROR), self._topics.answer, None)
        try:
            scope = self._scope()
            request = self._parse_other(scope, message) or parse_command(self._topics, scope, message, self._reserved)
            if isinstance(request.command, CommandRejected):
                raise request.command  # noqa: TRY301
            detail, ok = self._execute(request.command), True
            log.info("%s: %s", request.name, detail)
        except (CommandRejected, DaemonError, EngineError) as error:
            detail, ok = str(error), False
            log.warning("%s: rejected: %s", _printable(request.name), detail)
        except Exception:
            detail, ok = INTERNAL_ERROR, False
            log.exception("%s: %s", _printable(request.name), detail)
        payload = answer(self._device, request.name, ok=ok, detail=detail)
        self._answer(Message(request.answer_to.name, payload, "application/json", request.correlation))

    def _answer(self, message: Message) -> None:
        """Gives up where the network takes none: the retained states show the result of the command."""
        deadline = time.monotonic() + _SEND_WITHIN
        while not self._send(message) and time.monotonic() < deadline:
            if self._stopping.wait(_RETRY_EVERY):
                return


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)
