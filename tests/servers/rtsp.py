"""A real RTSP server as a child process of a test."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO

from tests.conftest import missing

PYTHON = "/usr/bin/python3"
PROGRAM = Path(__file__).with_name("rtsp_program.py")
_INSTALL = (
    "apt-get install -y python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
_NEEDED = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    "Gst.init(None); "
    "raise SystemExit(not all(map(Gst.ElementFactory.find, ('x264enc', 'rtph264pay', 'decodebin', 'appsrc'))))"
)


def need_rtsp() -> None:
    """Skips the test where the server cannot run, or fails it with CI=true."""
    found = Path(PYTHON).exists()
    if not found or subprocess.run([PYTHON, "-c", _NEEDED], check=False, capture_output=True).returncode:
        missing("an RTSP server (gst-rtsp-server)", _INSTALL)


class RtspServer:
    """Serves on 127.0.0.1 as soon as it is made, on a free port unless one is given.

    `options` are those of the program: size="640x360", fps=25, transport="tcp", video=path, user=…, password=…,
    auth="basic".
    """

    def __init__(self, port: int = 0, **options: str | int | Path) -> None:
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self._process = subprocess.Popen(
            [PYTHON, str(PROGRAM), f"--port={port}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = _pipe(self._process.stdout).readline()
        if not ready:
            raise RuntimeError(f"the RTSP server did not start:\n{self._process.communicate()[1]}")
        self.port = int(ready)

    def url(self, credentials: str = "", path: str = "stream") -> str:
        """Of the stream; `credentials` as user:password."""
        return f"rtsp://{credentials and credentials + '@'}127.0.0.1:{self.port}/{path}"

    def signal(self, number: int) -> None:
        """Sends the server a signal, such as SIGSTOP."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it with SIGKILL: no connection is closed in order."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the child process has no pipe")
    return stream
