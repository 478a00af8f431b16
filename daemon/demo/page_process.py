"""The web page beside the demonstration's daemon."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from daemon.system.login_links import make_token

HOST = "127.0.0.1"
_WITHIN = 20.0  # seconds from its start to its first answer


class DemoPage:
    """The page that runs, or none."""

    def __init__(self, port: int | None) -> None:
        self._port = port

    def is_looked_at(self) -> bool:
        """Whether somebody has it open."""
        return self._port is not None and bool(_pages(self._port))


def environment(folder: Path) -> Mapping[str, str]:
    """Of the daemon and its page, which meet in a folder of the demonstration's own."""
    place = folder / "run"
    place.mkdir(mode=0o700, exist_ok=True)
    return {**os.environ, "RUNTIME_DIRECTORY": str(place.absolute())}


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def demo_page(config: Path, device: str, port: int, environ: Mapping[str, str], console: Console) -> Iterator[DemoPage]:
    """`ospreyd web` for as long as it is needed; its link to log in is printed."""
    if find_spec("starlette") is None:
        console.print("no web page: pip install 'ospreyd[web]'", markup=False)
        yield DemoPage(None)
        return
    command = [sys.executable, "-m", "daemon", "web", str(config)]
    with config.with_name("web.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _WITHIN
        while _pages(port) is None and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        token = make_token(Path(environ["RUNTIME_DIRECTORY"]), device)
        console.print(f"web page (the link logs in once): http://{HOST}:{port}/#token={token}", soft_wrap=True)
        yield DemoPage(port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _pages(port: int) -> int | None:
    """Pages that are open; None where nothing answers."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=1) as answer:
            return int(json.load(answer)["pages"])
    except (OSError, ValueError, KeyError):
        return None
