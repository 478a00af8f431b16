"""What helps to draw: rectangles, snapping, straight lines, taking back, zoom, and the list of keys."""

from __future__ import annotations

import pytest

from tests.web.browser.browsing import Editor, Point
from tests.web.browser.site import Site


def points(editor: Editor, name: str) -> list[Point]:
    return [(x, y) for x, y in editor.shape(name)["points"]]


def line(editor: Editor, start: Point, end: Point, key: str | None = None) -> list[Point]:
    """Draws one, with a key held down; its points, before it is undone."""
    editor.tool("Line")
    if key:
        editor.page.keyboard.down(key)
    for point in (start, end):
        editor.click(point)
    if key:
        editor.page.keyboard.up(key)
    drawn = points(editor, "line-1")
    editor.tool("Undo")
    return drawn


def test_what_helps_to_draw(site: Site) -> None:
    with site.visit() as page:
        editor, keys = Editor(page, "spare"), page.keyboard
        editor.tool("Zone")
        editor.drag([(0.2, 0.2), (0.6, 0.7)])
        corners = points(editor, "zone-1")
        assert sorted(corners) == [
            pytest.approx(each, abs=0.005) for each in [(0.2, 0.2), (0.2, 0.7), (0.6, 0.2), (0.6, 0.7)]
        ]

        editor.tool("Mask")
        for point in [(0.3, 0.3), (0.5, 0.3), (0.9, 0.9)]:
            editor.click(point)
        keys.press("Backspace")
        editor.click((0.5, 0.5))
        editor.click((0.3, 0.3))
        (mask,) = [each for each in editor.shapes() if each["kind"] == "mask"]
        assert [tuple(each) for each in mask["points"]] == [
            pytest.approx(each, abs=0.005) for each in [(0.3, 0.3), (0.5, 0.3), (0.5, 0.5)]
        ]
        editor.tool("Mask")
        editor.click((0.3, 0.8))
        keys.press("Escape")
        assert len(editor.shapes()) == 2

        near, away = (corners[0][0] + 0.006, corners[0][1]), (0.4, 0.994)
        assert line(editor, (0.005, 0.5), away) == [
            (0, pytest.approx(0.5, abs=0.005)),
            (pytest.approx(0.4, abs=0.005), 1),
        ]
        assert line(editor, near, away)[0] == corners[0], "the corner of the zone"
        assert line(editor, near, away, "Alt")[0] == pytest.approx(near, abs=0.003)
        editor.tool("Snap")
        assert line(editor, (0.005, 0.5), away)[0][0] == pytest.approx(0.005, abs=0.003)
        straight = line(editor, (0.7, 0.5), (0.9, 0.53), "Shift")
        assert straight[0][1] == straight[1][1]

        page.locator("#item-0").click()
        keys.press("Control+d")
        assert [each["kind"] for each in editor.shapes()].count("zone") == 2
        keys.press("Control+z")
        keys.press("Control+Shift+Z")
        assert [each["kind"] for each in editor.shapes()].count("zone") == 2

        canvas = page.locator(".stage canvas").first
        scale = "canvas => new DOMMatrix(canvas.style.transform).a"
        keys.press("+")
        assert canvas.evaluate(scale) > 1.2
        keys.press("0")
        assert canvas.evaluate(scale) == 1
        page.mouse.move(*editor.at((0.5, 0.5)))
        page.mouse.wheel(0, -400)
        assert canvas.evaluate(scale) > 1
        keys.press("0")
        keys.press("?")
        dialog = page.locator("dialog[open]")
        assert "snap, freeze" in dialog.inner_text()
        dialog.get_by_role("button").first.click()
