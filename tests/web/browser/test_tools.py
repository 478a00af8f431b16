"""What helps to draw: rectangles, taking back, snapping, straight lines, copies, zoom, and the list of keys."""

from __future__ import annotations

import pytest

from tests.web.browser.browsing import Editor, Point
from tests.web.browser.site import Site

CORNERS = [(0.2, 0.2), (0.2, 0.7), (0.6, 0.2), (0.6, 0.7)]


def near(points: list[Point]) -> list[object]:
    return [pytest.approx(point, abs=0.005) for point in points]


def points(editor: Editor, name: str) -> list[Point]:
    return [(x, y) for x, y in editor.shape(name)["points"]]


def rectangle(editor: Editor) -> list[Point]:
    """Drags a zone; its points."""
    editor.tool("Zone")
    editor.drag([CORNERS[0], CORNERS[-1]])
    return points(editor, "zone-1")


def line(editor: Editor, start: Point, end: Point, key: str | None = None) -> list[Point]:
    """Draws one, with a key held down at its second point; its points, before it is undone."""
    editor.tool("Line")
    editor.click(start)
    if key:
        editor.page.keyboard.down(key)
    editor.click(end)
    if key:
        editor.page.keyboard.up(key)
    drawn = points(editor, "line-1")
    editor.tool("Undo")
    return drawn


def test_what_is_drawn_is_taken_back_abandoned_and_copied(site: Site) -> None:
    with site.visit() as page:
        editor, keys = Editor(page, "tools"), page.keyboard
        assert sorted(rectangle(editor)) == near(CORNERS)
        editor.tool("Mask")
        for point in [(0.3, 0.3), (0.5, 0.3), (0.9, 0.9)]:
            editor.click(point)
        keys.press("Backspace")
        editor.click((0.5, 0.5))
        editor.click((0.3, 0.3))
        (mask,) = [each for each in editor.shapes() if each["kind"] == "mask"]
        assert [tuple(each) for each in mask["points"]] == near([(0.3, 0.3), (0.5, 0.3), (0.5, 0.5)])
        editor.tool("Mask")
        editor.click((0.3, 0.8))
        keys.press("Escape")
        assert len(editor.shapes()) == 2
        page.locator("#item-0").click()
        keys.press("Control+d")
        keys.press("Control+z")
        assert len(editor.shapes()) == 2
        keys.press("Control+Shift+Z")
        assert [each["kind"] for each in editor.shapes()].count("zone") == 2


def test_points_snap_and_lines_are_straight(site: Site) -> None:
    with site.visit() as page:
        editor = Editor(page, "tools")
        corner = max(rectangle(editor))
        beside = (corner[0] + 0.006, corner[1])
        assert line(editor, (0.7, 0.3), (0.8, 0.994)) == [*near([(0.7, 0.3)]), (pytest.approx(0.8, abs=0.005), 1)]
        assert line(editor, (0.7, 0.3), beside)[1] == corner
        assert line(editor, (0.7, 0.3), beside, "Alt")[1] == pytest.approx(beside, abs=0.003)
        straight = line(editor, (0.7, 0.5), (0.9, 0.53), "Shift")
        assert straight[0][1] == straight[1][1]
        editor.tool("Snap")
        assert line(editor, (0.7, 0.3), beside)[1] == pytest.approx(beside, abs=0.003)


def test_the_picture_is_zoomed_and_the_keys_are_listed(site: Site) -> None:
    with site.visit() as page:
        editor, keys = Editor(page, "tools"), page.keyboard
        canvas, scale = page.locator(".stage canvas").first, "canvas => new DOMMatrix(canvas.style.transform).a"
        keys.press("+")
        assert canvas.evaluate(scale) > 1.2
        keys.press("0")
        assert canvas.evaluate(scale) == 1
        page.mouse.move(*editor.at((0.5, 0.5)))
        page.mouse.wheel(0, -400)
        page.wait_for_function(f"({scale})(document.querySelector('.stage canvas')) > 1")
        keys.press("0")
        keys.press("?")
        dialog = page.locator("dialog[open]")
        assert "snap, freeze" in dialog.inner_text()
        dialog.get_by_role("button").first.click()
