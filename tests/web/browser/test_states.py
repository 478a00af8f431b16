"""What the page says of what is away, failed or being built, and that it comes back by itself."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from tests.conftest import wait_for
from tests.daemon.running import daemon, stop
from tests.daemon.test_misread_model import write_model
from tests.servers.mosquitto import Mosquitto
from tests.web.browser.browsing import go, picture, visit
from tests.web.browser.site import camera
from tests.web.running import WebPage, web_box
from tests.web.running import page as web_page

pytestmark = pytest.mark.timeout(300)  # two daemons, one after the other

SOON = 5000
"""milliseconds after which the page must say what the daemon says"""
CALIBRATION = 1000
"""pictures, for which calibrating takes longer than the test"""


def box_of(broker: Mosquitto, street: Path, folder: Path) -> dict[str, Any]:
    """With a model that is built soon, one that is calibrated for long, and one that fails with its first picture."""
    for name, value, count in (("scenes", 90, CALIBRATION), ("few", 90, 2), ("white", 255, 4)):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / f"{name}.png"), np.full((256, 416, 3), value, np.uint8))
        for number in range(count):
            (folder / name / f"{number:04}.png").hardlink_to(folder / f"{name}.png")
    write_model(folder / "misread.onnx")
    models = {
        "default": "street",
        "bikes": {"file": "street", "precision": "int8", "calibration": "few"},
        "trucks": {"file": "street", "precision": "int8", "calibration": "scenes"},
        "doors": {"file": "misread.onnx"},
    }
    cameras = {
        "gate": camera(street),
        "yard": {"source": "rtsp://127.0.0.1:9/none"},
        "lorries": camera(street, model="trucks", fps=2),
        "lane": camera(street, model="bikes", enabled=False),
        "door": {"source": str(folder / "white"), "loop": True, "model": "doors", "fps": 1},
    }
    inference = {"cache": "engines", "backend": "onnxruntime", "threads": 1}
    return web_box(broker, cameras, models=models, inference=inference, tracking={})


def tile(page: Page, name: str) -> Locator:
    return page.locator(f"[data-camera={name}]")


def model(page: Page, name: str) -> Locator:
    return page.locator(".facts > div", has_text=f"Model {name}")


def test_it_says_what_is_wrong_and_comes_back(
    chrome: tuple[Playwright, Browser], street: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    document = box_of(broker, street, tmp_path)
    with (
        web_page(tmp_path, document) as web,
        visit(chrome[1], web.link(), viewport={"width": 1280, "height": 1300}) as page,
    ):
        told = page.locator("#notices")
        expect(told).to_contain_text("ospreyd does not answer")
        go(page, "#/camera/gate/edit")
        page.locator("main .notice.bad").wait_for()
        with daemon(tmp_path, document) as process:
            page.locator(".stage .picture.live").wait_for()
            go(page, "#/")
            shows_models_and_cameras(page)
            picture(page, "overview")
            reloads(page, tmp_path / "box.yaml")
            builds(page)
            misses_the_broker(page, web, broker)
            stop(process, signal.SIGTERM)
            expect(told).to_contain_text("ospreyd does not answer", timeout=SOON)
        expect(tile(page, "gate").locator(".picture.old")).to_be_visible()
        expect(tile(page, "gate").locator(".no-picture")).to_contain_text("last picture")
        with daemon(tmp_path, document):
            expect(told).not_to_contain_text("does not answer", timeout=60_000)
            tile(page, "gate").locator(".picture.live").wait_for(timeout=60_000)


def shows_models_and_cameras(page: Page) -> None:
    tile(page, "lorries").locator(".picture.live").wait_for()
    expect(model(page, "trucks")).to_contain_text(re.compile(r"building.*[1-9]\d? %: calibrating"))
    expect(model(page, "doors")).to_contain_text(re.compile("failed.*score"))
    expect(model(page, "doors").get_by_role("button")).to_have_count(0)
    tile(page, "gate").locator(".picture.live").wait_for()
    expect(tile(page, "yard")).to_contain_text("offline")
    expect(tile(page, "yard").locator(".no-picture")).to_contain_text("127.0.0.1:9")


def reloads(page: Page, file: Path) -> None:
    page.get_by_role("button", name="Reload").click()
    expect(page.locator(".told")).to_contain_text("configuration loaded")
    good = file.read_text()
    file.write_text(good.replace("loop: true", "loop: maybe", 1))
    page.get_by_role("button", name="Reload").click()
    refused = page.locator(".device .notice.bad")
    expect(refused).to_contain_text(re.compile(r"box\.yaml:\d+: .*loop"))
    file.write_text(good)
    page.get_by_role("button", name="Reload").press("Enter")
    expect(refused).to_have_count(0)


def builds(page: Page) -> None:
    model(page, "bikes").get_by_role("button", name="Build bikes again").click()
    page.locator("dialog[open]").get_by_role("button", name="Build again").click()
    expect(page.locator(".told")).to_contain_text("bikes")
    expect(model(page, "bikes")).to_contain_text("building")


def misses_the_broker(page: Page, web: WebPage, broker: Mosquitto) -> None:
    told = page.locator("#notices")
    broker.kill()
    expect(told).to_contain_text("broker is away")
    go(page, "#/events")
    page.locator(".events .chip", has_text="waits for the broker").first.wait_for()
    go(page, "#/")
    tile(page, "gate").locator(".picture.live").wait_for()
    broker.start()
    with web.client() as client:
        wait_for(lambda: client.get("api/state").json()["broker"]["connected"], "the broker in the state")
    expect(told).not_to_contain_text("broker is away", timeout=SOON)
