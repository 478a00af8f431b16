"""A real Mosquitto for tests: its own folder and port, ready when made, to be killed and started again."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.conftest import missing

HOST = "127.0.0.1"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"  # Debian's place for servers is on root's PATH only


# Below the ports that the kernel gives to connections and to port 0 (from 32,768 on), so nobody takes one meanwhile.
# Test processes that run side by side begin at ports far apart.
_PORTS = range(12_000, 32_000)
_next = itertools.count(os.getpid() * 997)


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on, and that nothing gets by chance."""
    while True:
        port = _PORTS[next(_next) % len(_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


class Mosquitto:
    """The broker as a child process. It keeps nothing: retained messages are gone after a restart.

    `users` (name to password) shuts out everyone else; `tls` (a folder as tests.servers.certificates makes it)
    makes the port speak TLS; `more` are further lines of its configuration. It logs each packet unless `packets` is
    False. The test skips where Mosquitto is not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: dict[str, str] | None = None,
        tls: Path | None = None,
        more: Sequence[str] = (),
        packets: bool = True,
    ) -> None:
        self._folder = folder
        self._users = users or {}
        self._tls = tls
        self._more = more
        self._logged = ["all"] if packets else ["error", "warning", "notice", "information"]
        self._passwords = folder / "passwords"
        self._output = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.host = HOST
        self.port = free_port()
        self._write_configuration()
        self.start()

    def start(self) -> None:
        """Starts it, again on the same port; returns when it is ready for clients."""
        command = [_program("mosquitto"), "-c", str(self._folder / "mosquitto.conf")]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 30
        while " running\n" not in self.output():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Mosquitto did not start:\n{self.output()}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        if self._process is None:
            raise RuntimeError("Mosquitto does not run")
        return self._process.pid

    def add_user(self, name: str, password: str) -> None:
        """Lets another user in, where `users` shut everyone else out; from now on, without a restart."""
        subprocess.run([_program("mosquitto_passwd"), "-b", str(self._passwords), name, password], check=True)
        self.signal(signal.SIGHUP)

    def output(self) -> str:
        """What it has printed since its start."""
        return self._output.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Sends it a signal, such as SIGSTOP."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Ends it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a loss of power would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Mosquitto:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill()
        if kind is not None:
            print(f"Mosquitto said:\n{self.output()}")  # noqa: T201  (pytest shows it with the failure)

    def _end(self, number: int) -> None:
        if self._process is not None:
            for _ in range(10):  # one that has just started may overwrite what the signal has set
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)
                    break
            self._process.wait(10)
            self._process = None

    def _write_configuration(self) -> None:
        lines = [f"listener {self.port} {HOST}", "persistence false", "log_dest stderr"]
        lines += [f"log_type {kind}" for kind in self._logged]
        if os.getuid() == 0:
            lines.append("user root")  # else it gives up its rights and cannot read the test's folder
        if self._users:
            self._passwords.touch(0o600)
            for name, password in self._users.items():
                subprocess.run([_program("mosquitto_passwd"), "-b", str(self._passwords), name, password], check=True)
            lines += ["allow_anonymous false", f"password_file {self._passwords}"]
        else:
            lines.append("allow_anonymous true")
        if self._tls is not None:
            lines += [
                f"cafile {self._tls}/ca.crt",
                f"certfile {self._tls}/server.crt",
                f"keyfile {self._tls}/server.key",
            ]
        lines += self._more
        (self._folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")


def need_mosquitto() -> None:
    """Skips the test where Mosquitto is not installed."""
    _program("mosquitto")


def _program(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    if path is None:
        missing("Mosquitto", "apt-get install -y mosquitto")
        raise AssertionError("unreachable")
    return path
