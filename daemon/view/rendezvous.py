"""The place where daemon and web process meet: a Unix socket in a folder that only their user can enter."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from daemon.system.unix_address import address_of
from engines.errors import FolderError

_log = logging.getLogger("ospreyd.web")
_CREDENTIALS = struct.Struct("3i")  # of SO_PEERCRED: process, user, group


class Rendezvous:
    """Listens on the socket of a device until it is closed. Raises OSError, or BlockingIOError where another does."""

    def __init__(self, folder: Path, device: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{device}.sock"
        self._lock = os.open(folder / f"{device}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.socket = _listening(self._path)
        except BaseException:
            os.close(self._lock)
            raise

    def accept(self) -> socket.socket | None:
        """The one who has just connected; None where that is another user, or nobody any more.

        Raises OSError where nobody can be let in now.
        """
        try:
            connection, _ = self.socket.accept()
        except (BlockingIOError, ConnectionError):
            return None
        given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(given)[1] in (0, os.geteuid()):
            return connection
        connection.close()
        return None

    def close(self) -> None:
        """Nobody can connect any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.socket.close()
        os.close(self._lock)


def _listening(path: Path) -> socket.socket:
    """A socket at the path, whose file may be left of a process that has ended."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with address_of(path) as address:
            made.bind(address)
        path.chmod(0o600)
        made.listen(4)
    except BaseException:
        made.close()
        raise
    return made


def meeting_place(folder: Callable[[], Path], device: str) -> Rendezvous | None:
    """The socket of a device; None where it cannot be made, which is logged: the daemon runs without a page then."""
    try:
        return Rendezvous(folder(), device)
    except BlockingIOError:
        _log.warning("no web page: another ospreyd of the device %s runs already", device)
    except (OSError, FolderError) as error:
        _log.warning("no web page: its socket cannot be made: %s", error)
    return None
