"""A zone from the first tap to its first event, by mouse, by finger and by keyboard alone."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page

from tests.servers.subscriber import Message
from tests.web.browser.browsing import Editor, picture
from tests.web.browser.site import Site

CORNERS = [(0.04, 0.3), (0.96, 0.3), (0.95, 0.94), (0.05, 0.94)]
"""nearly everything that walks or drives"""


def changed(before: str, after: str) -> list[str]:
    """The lines that differ, with - or + before each."""
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def runs_with_it(site: Site, camera: str, before: str, told: str) -> None:
    """Only the new zone's lines are new in the file, the daemon has it, and an event of it comes."""
    assert told.startswith("Saved")
    lines = changed(before, site.text())
    assert lines
    assert all(line.startswith("+") for line in lines), lines
    zones = site.camera(camera)["zones"]
    assert list(zones) == ["zone-1"]
    assert [[round(v, 2) for v in point] for point in zones["zone-1"]["polygon"]] == [list(each) for each in CORNERS]
    without = yaml.safe_load(site.text())
    del without["cameras"][camera]["zones"]
    assert without == yaml.safe_load(before)

    def entered(messages: list[Message]) -> bool:
        return any(m.topic.endswith(f"/{camera}/events") and m.json()["type"] == "zone-entered" for m in messages)

    with site.awake(camera):
        site.subscriber.wait(entered, "an event of the zone")


def draw_by_mouse(site: Site, page: Page, camera: str) -> None:
    """A zone, until its first event comes."""
    before = site.text()
    editor = Editor(page, camera)
    editor.tool("Zone")
    for corner in CORNERS:
        editor.click(corner)
    page.mouse.move(*editor.at((0.06, 0.5)))
    page.locator(".drafting").get_by_text("inside now").wait_for()
    picture(page, "editor")
    editor.click(CORNERS[0])
    page.locator("#item-0").get_by_text("inside now").wait_for()
    runs_with_it(site, camera, before, editor.save())


def test_by_mouse(site: Site) -> None:
    with site.visit() as page:
        draw_by_mouse(site, page, "mouse")


@pytest.mark.parametrize(("device", "camera"), [("Pixel 7", "pixel"), ("iPhone 15", "iphone")])
def test_by_finger(site: Site, device: str, camera: str) -> None:
    before = site.text()
    how: dict[str, Any] = site.playwright.devices[device]
    with site.visit(**how) as page:
        editor = Editor(page, camera)
        editor.tool("Zone")
        for corner in [*CORNERS[:3], (0.3, 0.7)]:
            editor.tap(corner)
        editor.tap((CORNERS[0][0] + 0.02, CORNERS[0][1]))
        assert len(editor.shape("zone-1")["points"]) == 4
        editor.slide((0.3, 0.7), CORNERS[3])
        before_zoom = editor.shapes()
        editor.touch("touchStart", [(0.4, 0.6)])
        editor.touch("touchStart", [(0.4, 0.6), (0.6, 0.6)])
        editor.touch("touchMove", [(0.2, 0.6), (0.8, 0.6)])
        editor.touch("touchEnd", [])
        zoomed = page.locator(".stage canvas").first.evaluate("canvas => new DOMMatrix(canvas.style.transform).a")
        assert zoomed == pytest.approx(3, abs=0.05)
        assert editor.shapes() == before_zoom
        runs_with_it(site, camera, before, editor.save())


def test_by_keyboard_alone(site: Site) -> None:
    before = site.text()
    with site.visit() as page:
        Editor(page, "keys")
        keys = page.keyboard

        def go(arrow: str, steps: int, key: str) -> None:
            """Of 0.02 each, then a key."""
            for _ in range(steps):
                keys.press(f"Shift+{arrow}")
            keys.press(key)

        keys.press("n")
        go("ArrowUp", 10, "Shift")
        go("ArrowLeft", 23, "Space")
        go("ArrowRight", 46, "Space")
        go("ArrowDown", 32, "Space")
        go("ArrowLeft", 45, "Space")
        keys.press("Enter")
        for point, (x, y) in enumerate(CORNERS):
            keys.press("Tab")
            row = page.locator("table.points tbody tr").nth(point)
            assert row.locator("input").first.input_value()
            for axis, value in enumerate((x, y)):
                field = page.locator(f"#point-{point}-{axis}")
                field.focus()
                keys.press("Control+a")
                keys.type(str(value))
                keys.press("Tab")
            page.locator(f"[data-key='point.{point}']").focus()
        keys.press("Control+s")
        write = page.locator("dialog[open]").get_by_role("button", name="Write and reload")
        write.wait_for()
        keys.press("Tab")
        while not write.evaluate("button => button === document.activeElement"):
            keys.press("Tab")
        keys.press("Enter")
        told = page.locator(".told").filter(has_text="Saved")
        told.wait_for()
        runs_with_it(site, "keys", before, told.inner_text())
