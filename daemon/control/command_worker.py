"""The thread that parses, executes and answers commands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from daemon.control.command_payloads import answer
from daemon.control.commands import INTERNAL_ERROR, CheckText, Command, CommandRejected, Order
from daemon.control.inbox import Inbox
from daemon.control.parse import CommandParser
from daemon.errors import ConfigError, DaemonError
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message
from daemon.system.log_states import state_of
from daemon.system.worker_thread import WorkerThread
from engines.errors import EngineError

log = logging.getLogger("ospreyd.commands")

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
        inbox: Inbox,
        parser: CommandParser,
        execute: Callable[[Command], str],
        send: Callable[[Message], bool],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`send` takes the answers, and is False where the network has no room."""
        self._device = device
        self._inbox = inbox
        self._parser = parser
        self._execute = execute
        self._send = send
        self._stopping = threading.Event()
        self._thread = WorkerThread("commands", self._run, on_fatal)

    def start(self) -> None:
        """Starts the thread."""
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

    def _handle(self, message: Received | Order) -> None:
        if isinstance(message, Order):
            message.answer(*self._try(message.name, message.command))
            return
        request = self._parser.unparsed(message)
        try:
            request = self._parser.parse(message)
        except Exception:
            log.exception("%s: %s", _printable(request.name), INTERNAL_ERROR)
            ok, detail = False, INTERNAL_ERROR
        else:
            ok, detail, _ = self._try(request.name, request.command)
        payload = answer(self._device, request.name, ok=ok, detail=detail)
        self._answer(Message(request.answer_to.name, payload, "application/json", request.correlation))

    def _try(self, name: str, command: Command | CommandRejected) -> tuple[bool, str, Sequence[str]]:
        """Whether it was executed, the sentence that says so, and each mistake that the configuration has.

        An unexpected error of a command ends here, and not the daemon.
        """
        about = None
        try:
            if isinstance(command, CommandRejected):
                raise command  # noqa: TRY301
            about = state_of("command", name)
            detail = self._execute(command)
        except (CommandRejected, DaemonError, EngineError) as error:
            if not isinstance(command, CheckText):
                log.warning("%s: rejected: %s", _printable(name), error, extra=about)
            return False, str(error), error.problems if isinstance(error, ConfigError) else ()
        except Exception:
            log.exception("%s: %s", _printable(name), INTERNAL_ERROR, extra=about)
            return False, INTERNAL_ERROR, ()
        if not isinstance(command, CheckText):  # which is asked for at every stroke of a key
            log.info("%s: %s", name, detail, extra=about)
        return True, detail, ()

    def _answer(self, message: Message) -> None:
        """Gives up where the network takes none: the retained states show the result of the command."""
        deadline = time.monotonic() + _SEND_WITHIN
        while not self._send(message) and time.monotonic() < deadline:
            if self._stopping.wait(_RETRY_EVERY):
                return


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)
