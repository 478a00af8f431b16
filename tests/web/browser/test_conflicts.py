"""What is not saved: a file that somebody else has changed, a mistake, and a change that nobody meant to lose."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web.browser.browsing import Editor, go, picture
from tests.web.browser.site import Site

BOX = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7)]


def draw(editor: Editor) -> None:
    editor.tool("Zone")
    for point in [*BOX, BOX[0]]:
        editor.click(point)


def test_a_file_that_was_changed_meanwhile(site: Site) -> None:
    with site.visit() as page:
        editor = Editor(page, "conflict")
        draw(editor)
        by_hand = "    zones:\n      by-hand: {polygon: [[0.1, 0.1], [0.2, 0.1], [0.2, 0.2]]}\n"
        text = site.text()
        line = "  conflict:\n"
        site.config.write_text(text.replace(line, line + by_hand), encoding="utf-8")
        page.get_by_role("button", name="Save", exact=True).click()
        dialog = page.locator("dialog[open]")
        dialog.get_by_role("button", name="Write and reload").click()
        dialog.get_by_text("changed meanwhile").wait_for()
        assert "by-hand" in dialog.locator(".old").all_inner_texts()[0]
        assert any("zone-1" in text for text in dialog.locator(".new").all_inner_texts())
        assert "by-hand" in site.text()
        dialog.get_by_role("button", name="Take the file's").click()
        page.locator("#item-0").get_by_text("by-hand").wait_for()
        page.keyboard.press("Control+z")
        assert editor.shape("zone-1")
        assert editor.save().startswith("Saved")
        assert list(site.camera("conflict")["zones"]) == ["zone-1"]


def test_a_mistake_stands_at_its_shape_and_leaves_the_file_alone(site: Site) -> None:
    before = site.text()
    with site.visit() as page:
        editor = Editor(page, "mistaken")
        draw(editor)
        wrong = page.locator(".shapes .mistake")
        editor.drag([(0.7, 0.7), (0.4, 0.2)])
        editor.click((0.95, 0.1))
        page.locator("#item-0").click()
        field = page.locator("#shape-name")
        field.fill("front porch")
        field.press("Enter")
        expect(wrong).to_have_count(1)
        expect(wrong).to_contain_text("letters, digits")
        field.fill("porch")
        field.press("Enter")
        expect(wrong).to_have_count(0)
        dwell = page.get_by_label("dwell")
        dwell.fill("5, 2")
        dwell.press("Enter")
        expect(wrong).to_contain_text("rise")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".told")).to_contain_text("Not saved")
        picture(page, "refused")
        assert site.text() == before


def test_leaving_with_changes_asks_and_keeps_a_draft(site: Site) -> None:
    with site.visit() as page:
        editor = Editor(page, "spare")
        draw(editor)
        go(page, "#/events")
        dialog = page.locator("dialog[open]")
        dialog.get_by_role("button", name="Stay").click()
        assert page.url.endswith("#/camera/spare/edit")
        go(page, "#/events")
        dialog.get_by_role("button", name="Leave").click()
        page.get_by_role("heading", name="Events").wait_for()
        page.reload()
        Editor(page, "spare")
        page.locator("#item-0").get_by_text("zone-1").wait_for()
        page.evaluate("sessionStorage.clear()")
