"""What the page says of what is away, failed or being built, and that it comes back by itself."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Playwright, WebSocketRoute, expect

from tests.conftest import wait_for
from tests.daemon.running import daemon, stop
from tests.servers.mosquitto import Mosquitto
from tests.web.browser.browsing import picture, visit
from tests.web.browser.site import camera
from tests.web.running import page as web_page
from tests.web.running import web_box

SOON = 5000
"""milliseconds after which the page must say what the daemon says"""


def building(route: WebSocketRoute) -> None:
    """Lets the page believe that a model is being built, and that one has failed: both take a GPU."""
    server = route.connect_to_server()

    def from_server(message: str | bytes) -> None:
        if isinstance(message, str) and (found := json.loads(message))["kind"] == "info":
            model = next(iter(found["models"].values()))
            found["models"]["trucks"] = {**model, "state": "building", "progress": 40, "detail": "calibrating"}
            found["models"]["doors"] = {**model, "state": "failed", "detail": "the GPU has too little memory for it"}
            message = json.dumps(found)
        route.send(message)

    server.on_message(from_server)
    route.on_message(server.send)


def test_it_says_what_is_wrong_and_comes_back(
    chrome: tuple[Playwright, Browser], street: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    cameras: dict[str, Any] = {
        "gate": camera(street),
        "yard": {"source": "rtsp://127.0.0.1:9/none"},
        "corner": camera(street),
    }
    document = web_box(broker, cameras, tracking={})
    with (
        web_page(tmp_path, document) as web,
        daemon(tmp_path, document) as process,
        visit(chrome[1], web.link(), prepare=altered) as page,
    ):
        told = page.locator("#notices")

        def tile(name: str) -> Locator:
            return page.locator(f"[data-camera={name}]")

        tile("gate").locator(".picture.live").wait_for()
        expect(tile("yard")).to_contain_text("offline")
        expect(tile("yard").locator(".no-picture")).to_contain_text("127.0.0.1:9")
        device = page.locator(".device")
        expect(device).to_contain_text("40 %: calibrating")
        expect(device).to_contain_text("too little memory")
        picture(page, "overview")

        broker.kill()
        expect(told).to_contain_text("broker is away")
        broker.start()
        with web.client() as client:
            wait_for(lambda: client.get("api/state").json()["broker"]["connected"], "the broker in the state")
        expect(told).not_to_contain_text("broker is away", timeout=SOON)

        stop(process, signal.SIGTERM)
        expect(told).to_contain_text("ospreyd does not answer", timeout=SOON)
        expect(tile("gate").locator(".picture.old")).to_be_visible()
        expect(tile("gate").locator(".no-picture")).to_contain_text("last picture")
        with daemon(tmp_path, document):
            expect(told).not_to_contain_text("does not answer", timeout=60_000)
            tile("gate").locator(".picture.live").wait_for(timeout=60_000)


def altered(page: Page) -> None:
    page.route_web_socket("**/api/live", building)
