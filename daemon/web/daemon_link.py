"""The link to the daemon: its lines in, orders and memory for pictures out; it connects again by itself."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from daemon import __version__
from daemon.system.unix_address import address_of
from daemon.web.answers import Refusal, moment

_log = logging.getLogger("ospreyd.web")
_AGAIN_AFTER = 0.5  # seconds
_READ = 1 << 18  # bytes
_FULL = 0.005  # seconds until a full socket is tried again
_ANSWER_WITHIN = 30.0  # seconds

Line = dict[str, Any]


class DaemonLink:
    """For one event loop. Its observers get every line."""

    def __init__(self, path: Path, on_line: Callable[[Line, bytes], None]) -> None:
        """`on_line` takes each line, decoded and as it is, and one of the kind `daemon` when the connection changes."""
        self._path = path
        self._on_line = on_line
        self._socket: socket.socket | None = None
        self._sending = asyncio.Lock()
        self._ids = itertools.count(secrets.randbits(48))  # the daemon may still answer one who asked before us
        self._waiting: dict[int, asyncio.Future[Line]] = {}
        self._watched: list[str] = []
        self._again: asyncio.Task[None] | None = None
        self._state: Line = {"connected": False, "detail": ""}

    async def run(self) -> None:
        """Until it is cancelled."""
        self._told("ospreyd is being looked for", connected=False)
        while True:
            try:
                await self._talk()
                self._told("ospreyd has ended, or is being restarted; the page goes on by itself", connected=False)
            except _BusyError:
                self._told("another web process of this device is connected; end it", connected=False)
            except (LookupError, TypeError, ValueError) as error:  # of another version
                why = f"ospreyd says what its page does not understand ({type(error).__name__})"
                self._told(f"{why}; restart both", connected=False)
            except OSError as error:
                missing = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
                why = "ospreyd does not run" if missing else f"ospreyd cannot be reached: {error}"
                self._told(f"{why}; start it, and the page goes on by itself", connected=False)
            finally:
                self._end()
            await asyncio.sleep(_AGAIN_AFTER)

    async def ask(self, do: str, **more: Any) -> Line:
        """The answer to an order. Raises Refusal where there is none."""
        return await self._answered(do, (), _ANSWER_WITHIN, **more)

    async def reload(self) -> Line:
        """The answer to a reload, which may read large models: it is waited for while the daemon is there.

        Raises Refusal where the daemon has gone.
        """
        return await self._answered("reload", (), None)

    async def picture(self, memory: int, within: float, **wanted: Any) -> Line:
        """What the daemon sends of a picture in `memory`, a sealed memfd. Raises Refusal where none comes in time."""
        return await self._answered("picture", (memory,), within, **wanted)

    async def watch(self, cameras: set[str]) -> None:
        """The detections of these cameras are wanted from now on, and no others."""
        wanted = sorted(cameras)
        if wanted != self._watched:
            self._watched = wanted
            with suppress(OSError):  # told again when there is a connection
                await self._send({"do": "watch", "cameras": wanted})

    @property
    def connected(self) -> bool:
        """Whether the daemon is there."""
        return bool(self._state["connected"])

    async def _answered(self, do: str, descriptors: tuple[int, ...], within: float | None, **more: Any) -> Line:
        number, loop = next(self._ids), asyncio.get_running_loop()
        self._waiting[number] = future = loop.create_future()
        try:
            await self._send({"do": do, "id": number, **more}, descriptors)
            return await asyncio.wait_for(future, within)
        except (TimeoutError, asyncio.TimeoutError):  # before OSError, which the first of them is
            if do == "picture":
                raise Refusal(503, "no-picture", f"no picture came within {within:g} s") from None
            raise Refusal(503, "daemon-away", f"ospreyd has not answered within {within:g} s") from None
        except OSError:
            raise Refusal(503, "daemon-away", self._state["detail"] or "ospreyd does not run") from None
        finally:
            self._waiting.pop(number, None)

    async def _talk(self) -> None:
        """One connection, until it ends."""
        loop = asyncio.get_running_loop()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket = made
        with address_of(self._path) as address:
            await loop.sock_connect(made, address)
        received = bytearray()
        while data := await loop.sock_recv(made, _READ):
            received += data
            *lines, rest = received.split(b"\n")
            received = bytearray(rest)
            for line in lines:
                self._take(bytes(line))

    def _take(self, data: bytes) -> None:
        line: Line = orjson.loads(data)
        match line["kind"]:
            case "answer" | "filled":
                future = self._waiting.get(line["id"])
                if future is not None and not future.done():
                    future.set_result(line)
            case "busy":
                raise _BusyError
            case "hello":
                other = line["version"] != __version__
                self._told(f"ospreyd is {line['version']}, its page {__version__}: restart both" if other else "")
                self._again = asyncio.get_running_loop().create_task(self._watch_again())
            case _:
                self._on_line(line, data)

    async def _watch_again(self) -> None:
        with suppress(OSError):  # it has ended again
            await self._send({"do": "watch", "cameras": self._watched})

    async def _send(self, message: Line, descriptors: tuple[int, ...] = ()) -> None:
        """Raises OSError where there is no connection."""
        data = orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
        async with self._sending:
            if (to := self._socket) is None or not self._state["connected"]:
                raise ConnectionError("there is no connection")
            if descriptors:
                sent = await _send_descriptors(to, data, descriptors)
                data = data[sent:]
            await asyncio.get_running_loop().sock_sendall(to, data)

    def _told(self, detail: str, *, connected: bool = True) -> None:
        """The connection is like this now."""
        if self._state.get("connected") is connected and self._state["detail"] == detail:
            return
        if detail and "since" in self._state:
            _log.warning("%s", detail)
        self._state = {"kind": "daemon", "connected": connected, "since": moment(), "detail": detail}
        self._on_line(self._state, orjson.dumps(self._state))

    def _end(self) -> None:
        """Nobody answers any more."""
        ended, self._socket = self._socket, None
        if ended is not None:
            ended.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection has ended"))


class _BusyError(Exception):
    """Another web process is connected."""


async def _send_descriptors(to: socket.socket, data: bytes, descriptors: tuple[int, ...]) -> int:
    """Sends the beginning of the data with descriptors; the number of bytes sent. Raises OSError."""
    while True:
        with suppress(BlockingIOError):
            return socket.send_fds(to, [data], list(descriptors))
        await asyncio.sleep(_FULL)
