"""What the editor does to a file, step by step and back; and that a shape lies where it was drawn."""

from __future__ import annotations

from typing import Any

import cv2
import httpx
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import expect

from daemon.config.tracking import turn
from tests.conftest import wait_for
from tests.web.browser.browsing import Editor, picture
from tests.web.browser.site import Site

SQUARE = [(0.2, 0.2), (0.6, 0.2), (0.6, 0.7), (0.2, 0.7)]


def polygon(editor: Editor, tool: str, points: list[tuple[float, float]]) -> None:
    editor.tool(tool)
    for point in [*points, points[0]]:
        editor.click(point)


def test_every_step_and_all_of_them_back(site: Site) -> None:
    with site.visit() as page:
        editor = Editor(page, "steps")
        polygon(editor, "Zone", SQUARE)
        editor.save()
        first = site.text()

        editor.drag([(0.6, 0.7), (0.7, 0.8)])  # a point
        for edge in [(0.4, 0.2), (0.6, 0.3), (0.5, 0.75), (0.2, 0.5)]:  # on each edge
            points = len(editor.shapes()[0]["points"])
            page.mouse.dblclick(*editor.at(edge))
            assert len(editor.shapes()[0]["points"]) == points + 1, edge
        page.keyboard.press("Delete")
        assert len(editor.shapes()[0]["points"]) == 7
        editor.drag([(0.4, 0.5), (0.45, 0.45)])  # the whole
        editor.drag([(0.45, 0.45), (5, 0.45)])  # stopped at the border
        assert max(x for x, _ in editor.shapes()[0]["points"]) == 1
        last = editor.shapes()

        undo = page.get_by_role("button", name="Undo")
        steps = 0
        while steps < 8:
            undo.click()
            steps += 1
        assert editor.shapes() == []
        expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
        for _ in range(steps):
            page.keyboard.press("Control+y")
        assert editor.shapes() == last
        assert editor.save().startswith("Saved")
        assert site.text() != first
        for _ in range(steps):
            page.keyboard.press("Control+z")
        assert editor.save().startswith("Saved")
        assert site.text() == first


def test_zoom_and_size_of_the_window_change_no_number(site: Site) -> None:
    with site.visit() as page:
        editor = Editor(page, "zoomed")
        polygon(editor, "Mask", SQUARE)
        before = editor.shapes()
        for percent in (50, 80, 125, 175, 250):
            page.set_viewport_size({"width": 1280 * 100 // percent, "height": 900 * 100 // percent})
            x, y = editor.at((0.6, 0.7))
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.up()
            assert editor.shapes() == before, percent
        page.set_viewport_size({"width": 1280, "height": 900})
        page.mouse.move(*editor.at((0.2, 0.2)))
        page.mouse.down()
        page.mouse.move(*editor.at((0.3, 0.3)), steps=3)
        page.set_viewport_size({"width": 700, "height": 900})
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it is laid out
        page.mouse.up()
        (moved,) = editor.shapes()
        assert moved["points"][1:] == before[0]["points"][1:]
        assert [round(value, 2) for value in moved["points"][0]] == [0.3, 0.3]


def test_a_line_has_a_side_that_counts_as_in(site: Site) -> None:
    with site.visit() as page:
        editor = Editor(page, "spare")
        editor.tool("Line")
        editor.click((0.3, 0.4))
        editor.click((0.6, 0.9))
        first = editor.shape("line-1")["inner"]
        page.locator("#item-0").get_by_text("last 10 s").wait_for()
        picture(page, "line")
        page.get_by_role("button", name="Swap the sides").click()
        assert turn((0.3, 0.4), (0.6, 0.9), first) * turn((0.3, 0.4), (0.6, 0.9), editor.shape("line-1")["inner"]) < 0
        page.get_by_role("button", name="Save", exact=True).click()
        page.locator("dialog[open] .new").first.wait_for()
        picture(page, "lines")
        page.keyboard.press("Escape")
        assert editor.save().startswith("Saved")
        line = site.camera("spare")["lines"]["line-1"]
        a, b = line["points"]
        assert turn(a, b, line["in"]) * turn((0.3, 0.4), (0.6, 0.9), first) < 0


def shown(client: httpx.Client, camera: str, edited: int) -> NDArray[np.uint8]:
    """One picture of a camera, grey [height, width]."""
    answer = client.get(f"api/cameras/{camera}/picture.jpg", params={"width": 640, "edited": edited})
    assert answer.status_code == 200, answer.text
    decoded: Any = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(decoded, np.uint8)


def test_of_a_turned_and_cropped_camera_a_mask_lies_on_what_it_was_drawn_on(site: Site) -> None:
    mask = [(0.3, 0.35), (0.6, 0.35), (0.6, 0.6), (0.3, 0.6)]
    client = site.client
    with site.visit() as page, site.awake("turned"):
        whole = shown(client, "turned", 0)
        assert whole.shape[0] > whole.shape[1]
        editor = Editor(page, "turned")
        assert page.locator(".crop").count() == 1
        polygon(editor, "Mask", mask)
        assert editor.save().startswith("Saved")
        assert site.camera("turned")["masks"] == [[[round(v, 4) for v in p] for p in editor_points(site)]]

        def black(of: NDArray[np.uint8], left: float, top: float, right: float, bottom: float) -> bool:
            height, width = of.shape
            part = of[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
            return float(part.mean()) < 12

        left, top, right, bottom = 0.1, 0.2, 0.9, 0.8  # the crop
        inner = [(0.31 - left) / (right - left), (0.36 - top) / (bottom - top)]
        outer = [(0.59 - left) / (right - left), (0.59 - top) / (bottom - top)]
        wait_for(lambda: black(shown(client, "turned", 1), *inner, *outer), "the mask in the picture")
        inside = shown(client, "turned", 1)
        assert not black(inside, 0, 0, 1, 0.2)
        assert not black(inside, outer[0] + 0.03, 0, 1, 1)
        assert not black(shown(client, "turned", 0), 0.31, 0.36, 0.59, 0.59)
        boxes = latest_boxes(site, "turned")
        assert not [box for box in boxes if within(box, inner, outer)]


def editor_points(site: Site) -> list[list[float]]:
    """Of the mask in the file, which is near to where it was drawn."""
    points: list[list[float]] = site.camera("turned")["masks"][0]
    assert [[round(v, 2) for v in point] for point in points] == [[0.3, 0.35], [0.6, 0.35], [0.6, 0.6], [0.3, 0.6]]
    return points


def latest_boxes(site: Site, camera: str) -> list[list[float]]:
    """Of a frame that was published after now, in parts of the frame."""
    topic = f"ospreyd/box/{camera}/detections"
    seen = len(site.subscriber.messages(topic))
    site.subscriber.wait(lambda _: len(site.subscriber.messages(topic)) > seen + 2, "detections")
    payload = site.subscriber.messages(topic)[-1].json()
    width, height = payload["frame"]["width"], payload["frame"]["height"]
    return [
        [x1 / width, y1 / height, x2 / width, y2 / height]
        for x1, y1, x2, y2 in (each["box"] for each in payload["objects"])
    ]


def within(box: list[float], inner: list[float], outer: list[float]) -> bool:
    return box[0] > inner[0] and box[1] > inner[1] and box[2] < outer[0] and box[3] < outer[1]
