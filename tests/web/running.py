"""The web page's process beside a real daemon, and clients that are logged in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from daemon.system.login_links import make_token
from tests.conftest import wait_for
from tests.daemon.running import box
from tests.servers.mosquitto import HOST, Mosquitto, free_port


def web_box(
    broker: Mosquitto, cameras: dict[str, Any], web: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A configuration of the device `box` with a page on a free port; `web` are further keys of `service.web`."""
    service = {"metrics": None, "web": {"port": free_port(), **(web or {})}}
    return box(broker, cameras, service=service, **more)


@dataclass(frozen=True)
class WebPage:
    """One process of the page."""

    url: str
    """ends with /"""
    folder: Path
    process: subprocess.Popen[str]
    environ: dict[str, str]
    """with which it was started"""

    def token(self) -> str:
        """One that logs in once, role edit."""
        return make_token(Path(self.environ["RUNTIME_DIRECTORY"]), "box")

    def link(self) -> str:
        """A fresh link that logs in, role edit."""
        return f"{self.url}#token={self.token()}"

    def printed_link(self) -> str:
        """The same, as the command prints it."""
        command = [sys.executable, "-m", "daemon", "web", "--link", str(self.folder / "box.yaml")]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.environ).stdout.strip()

    @property
    def origin(self) -> str:
        """As browsers name it."""
        return self.url.rstrip("/")

    @property
    def log(self) -> str:
        """What the process has logged until now."""
        return (self.folder / "web.log").read_text(encoding="utf-8")

    @contextmanager
    def stranger(self, address: str = HOST) -> Iterator[httpx.Client]:
        """A client that is not logged in, and calls from an address of this machine."""
        transport = httpx.HTTPTransport(local_address=address)
        headers = {"Origin": self.origin}
        with httpx.Client(base_url=self.url, headers=headers, timeout=30, transport=transport) as client:
            yield client

    @contextmanager
    def client(self, password: str | None = None) -> Iterator[httpx.Client]:
        """A client that is logged in, by a link, or by a password where one is given."""
        given = {"password": password} if password else {"token": self.token()}
        with self.stranger() as client:
            answer = client.post("api/session", json=given)
            assert answer.status_code == 200, answer.text
            yield client

    @contextmanager
    def live(self, client: httpx.Client, port: int | None = None, /, **headers: str) -> Iterator[Connection]:
        """The WebSocket of a page that is logged in as the client is; through another port of this machine."""
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        at = self.origin if port is None else f"http://{HOST}:{port}"
        sent = {"Cookie": cookie, "Origin": at, **headers}
        origin = sent.pop("Origin")
        url = at.replace("http", "ws", 1) + "/api/live"
        with connect(url, additional_headers=sent, origin=origin, max_size=None) as socket:  # type: ignore[arg-type]
            yield socket


@contextmanager
def page(folder: Path, document: dict[str, Any], module: str = "daemon") -> Iterator[WebPage]:
    """`ospreyd web` on folder/box.yaml, which a daemon may run with; its log is folder/web.log.

    `module`: another main module in place of the daemon's, which patches it.
    """
    config = folder / "box.yaml"
    if not config.exists():
        config.write_text(yaml.safe_dump(document))
    url = f"http://{HOST}:{document['service']['web']['port']}/"
    with (folder / "web.log").open("a") as log:
        process = subprocess.Popen([sys.executable, "-m", module, "web", str(config)], stderr=log, text=True)
        made = WebPage(url, folder, process, dict(os.environ))
        try:
            wait_for(lambda: _answers(made), "the page", 100)
            yield made
        finally:
            process.kill()
            process.wait()


def _answers(page: WebPage) -> bool:
    assert page.process.poll() is None, page.log
    try:
        return httpx.get(f"{page.url}healthz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def folders(folder: Path) -> Iterator[None]:
    """For processes that outlive one test: where they keep what they keep."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
            patch.setenv(name, str(folder))
        yield
