"""A daemon with many cameras and its page, and who looks at it in a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from playwright.sync_api import Browser, Page, Playwright

from daemon.demo.film import Shot
from tests.servers.subscriber import Subscriber
from tests.web.browser.browsing import PICTURES, visit
from tests.web.running import WebPage

DOCUMENTED = PICTURES in os.environ
SHOT = Shot("street", 960, 540, 6.0, seed=7) if DOCUMENTED else Shot("street", 640, 360, 4.0, seed=7)
SECONDS = 12.0 if DOCUMENTED else 6.0
NAMES = (
    "mouse",
    "pixel",
    "iphone",
    "keys",
    "steps",
    "zoomed",
    "turned",
    "conflict",
    "mistaken",
    "seen",
    "phone",
    "spare",
    "proxied",
    "tunnelled",
    "tools",
)
"""cameras: each test changes its own"""
SLOW = 1
"""frames a second of cameras that nobody waits for: twelve fast ones would take two processors"""

ZONES = {
    "pavement": {"polygon": [[0.03, 0.7], [0.97, 0.66], [0.98, 0.97], [0.02, 0.97]], "labels": ["person"], "dwell": 5}
}
LINES = {"crossing": {"points": [[0.46, 0.52], [0.5, 0.98]], "in": [0.9, 0.7]}}


@dataclass(frozen=True)
class Site:
    """A daemon with many cameras, and its page."""

    browser: Browser
    playwright: Playwright
    web: WebPage
    session: Any
    """cookies of somebody who is logged in, role edit; Playwright's `storage_state`"""
    subscriber: Subscriber
    config: Path
    client: httpx.Client
    """logged in, role edit"""

    def visit(self, **how: Any) -> AbstractContextManager[Page]:
        """A page that is logged in."""
        return visit(self.browser, self.web.url, storage_state=self.session, **how)

    @contextmanager
    def awake(self, camera: str) -> Iterator[None]:
        """Every frame of a camera is analysed meanwhile, so that its objects can be followed."""
        path = f"api/cameras/{camera}/set/fps"
        assert self.client.post(path, json={"value": None}).status_code == 200
        yield
        assert self.client.post(path, json={"value": SLOW}).status_code == 200

    def text(self) -> str:
        """The configuration as it is on disk."""
        return self.config.read_text(encoding="utf-8")

    def camera(self, name: str) -> dict[str, Any]:
        """One camera's part of it."""
        return dict(yaml.safe_load(self.text())["cameras"][name])


def camera(street: Path, **more: Any) -> dict[str, Any]:
    """A camera that films the street, over and over."""
    return {"source": str(street), "loop": True, **more}
