"""A person at the page, in a real Chromium: sees, taps, drags and types."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, Playwright, expect, sync_playwright

from tests.conftest import missing

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = "OSPREYD_PICTURES"
"""environment variable: the folder that pictures for the documentation go to"""
WAIT = 40_000
"""milliseconds, for a machine that is busy with other tests"""
Point = tuple[float, float]


@contextmanager
def chromium() -> Iterator[tuple[Playwright, Browser]]:
    """The browser of Debian's package; skips where there is none."""
    if not CHROMIUM.is_file():
        missing("Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=SWITCHES)
        try:
            yield playwright, browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, link: str, prepare: Callable[[Page], None] = lambda _: None, **how: Any) -> Iterator[Page]:
    """A page that has followed a link, for example one that logs in; `how` as Playwright's `new_context`.

    `prepare` is called with the page before it follows it.

    Fails where the console was not empty at the end, or where anything was asked of another origin.
    """
    origin = "/".join(link.split("/")[:3])
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
    context.set_default_timeout(WAIT)
    expect.set_options(timeout=WAIT)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    try:
        prepare(page)
        page.goto(link)
        yield page
        assert [url for url in asked if not url.startswith((origin, "blob:", origin.replace("http", "ws")))] == []
        assert [text for text in said if not expected(text)] == []
    finally:
        context.close()


def expected(text: str) -> bool:
    """What Chromium itself writes about an answer that the page deals with, such as 412, or a server that is away."""
    return "Failed to load resource" in text or "WebSocket connection to" in text


def picture(page: Page, name: str) -> None:
    """Keeps what is seen for the documentation, where `make pictures` asks for it."""
    if folder := os.environ.get(PICTURES):
        shown = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        cv2.imwrite(str(Path(folder) / f"{name}.webp"), shown, [cv2.IMWRITE_WEBP_QUALITY, 72])


def go(page: Page, view: str) -> None:
    """To another view, as by its link."""
    page.evaluate("view => { location.hash = view; }", view)


class Editor:
    """The editor of a camera."""

    def __init__(self, page: Page, camera: str) -> None:
        self.page = page
        self.camera = camera
        go(page, f"#/camera/{camera}/edit")
        self.stage = page.locator(".stage .picture")
        self.stage.wait_for()
        page.locator(".stage .picture.live").wait_for()
        self._touch: CDPSession | None = None

    def at(self, point: Point) -> Point:
        """Where a point of the picture is on the screen while nothing is zoomed, pixels."""
        box = self.stage.bounding_box()
        assert box is not None
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    def tool(self, name: str) -> None:
        self.page.locator(".tools").get_by_role("button", name=name, exact=True).click()

    def shapes(self) -> list[dict[str, Any]]:
        """What is drawn and not saved: the draft that the page keeps. Empty where nothing is changed."""
        text = self.page.evaluate("key => sessionStorage.getItem(key)", f"draft:{self.camera}")
        return cast("list[dict[str, Any]]", json.loads(text)) if text else []

    def shape(self, name: str) -> dict[str, Any]:
        return next(each for each in self.shapes() if each["name"] == name)

    # the mouse

    def click(self, point: Point, **how: Any) -> None:
        self.page.mouse.click(*self.at(point), **how)

    def drag(self, way: Sequence[Point]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(way[0]))
        mouse.down()
        for point in way[1:]:
            mouse.move(*self.at(point), steps=4)
        mouse.up()

    # fingers

    def touch(self, kind: str, points: Sequence[Point]) -> None:
        """A `touchStart`, `touchMove` or `touchEnd` with a finger at each of the points."""
        places = [self.at(point) for point in points]
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self._cdp().send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    def tap(self, point: Point) -> None:
        self.touch("touchStart", [point])
        self.touch("touchEnd", [])

    def slide(self, start: Point, end: Point) -> None:
        """One finger from a point of the last shape to another place.

        A finger that rests for half a second removes the point, as it does where the machine is too busy to move it
        sooner: that is undone and tried again.
        """
        points = [len(each["points"]) for each in self.shapes()]
        for _ in range(5):
            self.touch("touchStart", [start])
            for part in (0.3, 0.7, 1.0):
                self.touch(
                    "touchMove", [(start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part)]
                )
            self.touch("touchEnd", [])
            if [len(each["points"]) for each in self.shapes()] == points:
                return
            self.tool("Undo")

    def _cdp(self) -> CDPSession:
        if self._touch is None:
            self._touch = self.page.context.new_cdp_session(self.page)
        return self._touch

    # saving

    def save(self) -> str:
        """Saves what is drawn; what the page says then."""
        self.page.get_by_role("button", name="Save", exact=True).click()
        self.page.locator("dialog[open]").get_by_role("button", name="Write and reload").click()
        told = self.page.locator(".told")
        expect(told).to_have_text(re.compile("^(Saved|Not saved)"))
        return told.inner_text()
