"""A new user on a ladder: from the link to the first event of a saved zone, on a phone 390 pixels wide."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page

from tests.servers.subscriber import Message
from tests.web.browser.browsing import Editor, picture, visit
from tests.web.browser.site import Site

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
CORNERS = [(0.05, 0.45), (0.92, 0.42), (0.95, 0.93)]


@contextmanager
def steps(page: Page) -> Iterator[None]:
    """Nothing that is tapped may be smaller than a finger."""
    yield
    small = page.evaluate(
        "() => [...document.querySelectorAll('.tools button, .title button, .title a, dialog button')]"
        ".filter(e => e.offsetWidth)"
        ".filter(e => e.offsetWidth < 44 || e.offsetHeight < 44).map(e => e.outerHTML.slice(0, 80))"
    )
    assert small == []


def test_from_the_link_to_the_first_event_in_two_minutes(site: Site) -> None:
    began = time.monotonic()
    with visit(site.browser, site.web.link(), **PHONE) as page:
        tile = page.locator("[data-camera=phone]")
        tile.scroll_into_view_if_needed()
        tile.locator(".picture.live").wait_for()
        picture(page, "phone-1-overview")
        tile.get_by_role("link").first.tap()
        page.locator(".two .picture.live").wait_for()
        page.locator(".timeline .row").first.wait_for()
        picture(page, "phone-2-camera")
        page.get_by_role("link", name="Edit").tap()
        page.locator(".stage").wait_for()
        editor = Editor(page, "phone")
        with steps(page):
            page.locator(".tools").get_by_role("button", name="Zone", exact=True).tap()
        for corner in CORNERS:
            editor.tap(corner)
        editor.touch("touchStart", [(0.1, 0.9)])
        page.locator(".loupe").wait_for()
        picture(page, "phone-3-drawing")
        editor.touch("touchEnd", [])
        editor.tap((CORNERS[0][0] + 0.02, CORNERS[0][1]))
        page.locator("#item-0").get_by_text("inside now").wait_for()
        picture(page, "phone-4-zone")
        page.get_by_role("button", name="Save", exact=True).tap()
        write = page.locator("dialog[open]").get_by_role("button", name="Write and reload")
        write.wait_for()
        with steps(page):
            picture(page, "phone-5-lines")
        write.tap()
        page.locator(".told").filter(has_text="Saved").wait_for()
        picture(page, "phone-6-saved")
        with site.awake("phone"):
            site.subscriber.wait(entered, "an event of the zone", 60)
        page.locator("nav").get_by_role("link", name="Events").tap()
        event = page.locator("[data-event=zone-entered]").filter(has_text="zone-1")
        event.first.wait_for()
        assert time.monotonic() - began < 120
        page.get_by_label("Camera").select_option("phone")
        picture(page, "phone-7-event")


def entered(messages: list[Message]) -> bool:
    return any(m.topic.endswith("/phone/events") and m.json()["type"] == "zone-entered" for m in messages)
