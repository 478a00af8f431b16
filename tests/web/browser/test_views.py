"""Every view: accessible, quiet, small; many cameras at once; nothing asked for where nobody looks."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, Route, WebSocket, expect

from tests.conftest import wait_for
from tests.web.browser.browsing import PICTURES, Editor, go, picture, visit
from tests.web.browser.site import NAMES, Site

VIEWS = {
    "#/": ".tile .picture.live",
    "#/camera/seen": ".timeline .row",
    "#/camera/seen/edit": ".stage .picture.live",
    "#/events": "ol.events, .card .dim",
    "#/log": "ol.log li",
}
"""and what is there once a view is complete"""
WIDTHS = 320, 1280
"""pixels"""
TIME = "2026-11-28T08:00:00.000Z"
TEN_TIMES_AS_OFTEN = "const each = setInterval; setInterval = (work, after) => each(work, after / 10)"
FULL = {"resultTypes": ["violations"]}
CONTRAST = {**FULL, "runOnly": ["color-contrast"]}
"""all that a colour scheme can change"""


def violations(page: Page, options: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Of a page that has axe."""
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [(each["id"], [node["html"][:150] for node in each["nodes"]]) for each in found]


def test_every_view_is_accessible_in_light_and_dark(site: Site) -> None:
    with site.visit() as page:
        page.evaluate(AXE_SCRIPT)
        for view, complete in VIEWS.items():
            go(page, view)
            page.locator(complete).first.wait_for()
            if view.endswith("edit"):
                Editor(page, "seen").tool("Zone")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 800})
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    found = violations(page, FULL if scheme == "light" else CONTRAST)
                    assert found == [], (view, width, scheme)
                assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (view, width)
    with visit(site.browser, site.web.url) as page:
        page.get_by_role("heading", name="Log in").wait_for()
        page.evaluate(AXE_SCRIPT)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page, FULL) == []
            page.emulate_media(color_scheme="dark")
            assert violations(page, CONTRAST) == []


def test_all_cameras_have_pictures_and_the_state_is_answered_meanwhile(site: Site) -> None:
    frames: list[int] = []

    def count(payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            frames.append(len(payload))

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", count)

    context = site.browser.new_context(storage_state=site.session, viewport={"width": 1280, "height": 1600})
    with contextlib.closing(context):
        page = context.new_page()
        page.on("websocket", watch)
        page.goto(site.web.url)
        wait_for(lambda: page.locator(".tile .picture.live").count() == len(NAMES), "a picture of each camera")
        took = "async () => { const began = performance.now(); await (await fetch('api/state')).json();"
        took += "return performance.now() - began; }"
        assert min(page.evaluate(took) for _ in range(3)) < 1000
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        hidden = time.monotonic()
        wait_for(lambda: site.client.get("api/state").json()["viewers"]["pictures"] == 0, "an end of the wishes")
        assert time.monotonic() - hidden < 3, "a second, on a machine that is not busy"
        page.evaluate("1")  # takes what has come until now
        given = len(frames)
        page.evaluate(
            "Object.defineProperty(document, 'hidden', {value: false});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        wait_for(lambda: page.evaluate("1") and len(frames) > given + len(NAMES), "pictures after that")


LEAVE_AT_ONCE = """
const Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(url) {
    super(url);
    this.addEventListener("message", ({ data }) => {
      if (typeof data === "string" && data.includes('"kind":"info"')) location.hash = "#/";
    });
  }
};
"""
"""goes from one view to the same one as soon as the names of the cameras have come"""


def test_a_view_that_is_left_at_once_takes_no_pictures_from_the_next(site: Site) -> None:
    with site.visit(prepare=lambda page: page.add_init_script(LEAVE_AT_ONCE)) as page:
        page.locator(".tile .picture.live").first.wait_for()
        assert page.url.endswith("#/")


def test_what_the_browser_fetches_is_small(site: Site) -> None:
    with site.visit() as page:
        page.locator(".tile").first.wait_for()
        sizes = page.evaluate(
            "performance.getEntriesByType('resource').filter(each => !each.name.includes('/api/'))"
            ".map(each => [each.name, each.encodedBodySize])"
        )
        assert len(sizes) > 20
        assert sum(size for _, size in sizes) < 100_000


def test_one_camera_shows_what_was_found_in_it(site: Site) -> None:
    with site.visit(viewport={"width": 1280, "height": 1000}) as page:
        go(page, "#/camera/seen")
        for drawn in (".box", ".track", ".zone .outline", ".line .way", ".plate"):
            page.locator(f".overlay {drawn}").first.wait_for(state="attached")
        page.locator(".ages", has_text="ms old").wait_for()
        page.locator(".timeline .strip.streaming").first.wait_for(state="attached")
        page.locator("[data-event=zone-entered]").first.wait_for()
        if PICTURES in os.environ:  # boxes that are late are dashed, on a machine that is busy
            page.locator(".overlay .boxes:not(.stale) .box").first.wait_for(state="attached")
        picture(page, "camera")
        page.emulate_media(color_scheme="dark")
        picture(page, "dark")
        page.emulate_media(color_scheme="light")
        page.get_by_label("boxes").uncheck()
        expect(page.locator(".overlay .box")).to_have_count(0)
        page.get_by_label("boxes").check()
        page.locator(".overlay .box").first.wait_for(state="attached")
        go(page, "#/events")
        page.get_by_label("Type").select_option("zone-entered")
        expect(page.locator(".events li:not([data-event=zone-entered])")).to_have_count(0)
        picture(page, "events")
        page.get_by_label("Type").select_option("object-appeared")
        snapshot = page.locator(".events img").first
        wait_for(lambda: snapshot.evaluate("image => image.naturalWidth") > 0, "an event's picture")


def test_the_log_shows_each_line_once(site: Site) -> None:
    """Also where nothing is new for a while, and after another daemon has begun to count."""
    answers = [(2, [1, 2]), (2, []), (3, [3]), (1, []), (1, [1]), (1, [])]
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url.rpartition("=")[2])
        last, numbers = answers[min(len(asked), len(answers)) - 1]
        lines = [{"number": one, "time": TIME, "level": "info", "text": f"line {one}"} for one in numbers]
        route.fulfill(json={"last": last, "lines": lines})

    with site.visit(prepare=lambda page: page.add_init_script(TEN_TIMES_AS_OFTEN)) as page:
        page.route("**/api/log?after=*", answer)
        go(page, "#/log")
        lines = page.locator(".log li span:last-child")
        wait_for(lambda: lines.count() >= 4 and len(asked) > len(answers), "one more look")
        assert asked[:6] == ["0", "2", "2", "3", "0", "1"]
        assert lines.all_inner_texts() == ["line 1", "line 2", "line 3", "line 1"]


def test_a_password_and_the_way_out(site: Site) -> None:
    with visit(site.browser, site.web.link()) as page:
        page.locator("nav").wait_for()
        assert "token" not in page.url
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Log in").wait_for()
        assert page.locator("nav").count() == 0
        picture(page, "login")
