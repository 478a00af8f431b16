"""amqtt for tests: a real broker that speaks MQTT 3.1.1 and not 5."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.servers.mosquitto import HOST, free_port

_CONFIGURATION = """\
listeners:
  default: {{type: {kind}, bind: "{host}:{port}"{more}}}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}
"""


class Amqtt:
    """The broker as a child process, ready when made."""

    def __init__(self, folder: Path, kind: str = "tcp", tls: Path | None = None) -> None:
        """`kind` of its listener: tcp, or ws for WebSockets; `tls`: a folder as tests.servers.certificates makes it."""
        more = f', ssl: true, certfile: "{tls}/server.crt", keyfile: "{tls}/server.key"' if tls else ""
        self.host = HOST
        self.port = free_port()
        self._output = folder / "amqtt.log"
        configuration = folder / "amqtt.yaml"
        configuration.write_text(_CONFIGURATION.format(host=HOST, port=self.port, kind=kind, more=more))
        command = [str(Path(sys.executable).with_name("amqtt")), "-c", str(configuration), "-d"]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while "Broker started" not in self.output():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"amqtt did not start:\n{self.output()}")
            time.sleep(0.01)

    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text(errors="replace")

    def __enter__(self) -> Amqtt:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(10)
        if kind is not None:
            print(f"amqtt said:\n{self.output()}")  # noqa: T201  (pytest shows it with the failure)
