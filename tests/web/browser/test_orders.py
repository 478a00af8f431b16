"""A camera's settings, changed on the page by mouse and by keyboard alone."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.web.browser.browsing import go
from tests.web.browser.site import Site


def test_a_camera_is_paused_and_its_settings_are_changed(site: Site) -> None:
    with site.visit(viewport={"width": 390, "height": 844}) as page:
        go(page, "#/camera/spare")
        settings = page.get_by_role("region", name="Settings")
        told, state = settings.get_by_role("status"), page.locator(".title .state")
        row = settings.locator("[data-setting=enabled]")
        pause = row.get_by_role("button")
        expect(pause).to_have_text("Pause")
        pause.click()
        expect(state).to_have_text("disabled")
        expect(row).to_contain_text("command")
        expect(pause).to_have_text("Resume")
        pause.press("Enter")
        expect(state).to_have_text("streaming")

        confidence = settings.get_by_label("confidence", exact=True)
        confidence.fill("0.55")
        confidence.press("Enter")
        expect(told).to_have_text("confidence of spare is 0.55")
        confidence.fill("7")
        settings.get_by_role("button", name="Set confidence").click()
        expect(told).to_have_class("told bad")
        assert told.inner_text().startswith("confidence must be a number")
        known = site.client.get("api/state").json()["cameras"]["spare"]["settings"]["confidence"]
        assert (known["value"], known["origin"]) == (0.55, "command")

        fps = settings.get_by_label("fps", exact=True)
        fps.fill("")
        settings.get_by_role("button", name="Set fps").click()
        expect(told).to_contain_text("fps of spare")
        assert site.client.get("api/state").json()["cameras"]["spare"]["settings"]["fps"]["value"] is None
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
