"""Nothing of a view is left once it has ended: no question over the next one, no camera that is asked for twice."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Route, expect

from tests.conftest import wait_for
from tests.web.browser.browsing import Editor, go, visit
from tests.web.browser.site import Site

SOON = "() => new Promise((done) => setTimeout(done, 50))"
LOCKED: dict[str, Any] = {"locked": "written with anchors", "paste": None, "mistakes": [], "diff": []}


def test_a_session_that_ends_takes_its_questions_with_it(site: Site) -> None:
    with visit(site.browser, site.web.link()) as page:
        page.locator("nav").wait_for()
        editor = Editor(page, "spare")
        editor.tool("Mask")
        editor.drag([(0.2, 0.2), (0.4, 0.4)])
        go(page, "#/")
        page.locator("dialog[open]").wait_for()
        page.evaluate("fetch('api/session', {method: 'DELETE'})")
        page.get_by_role("heading", name="Log in").wait_for()
        expect(page.locator("dialog")).to_have_count(0)
        assert page.locator("nav, .stage").count() == 0


def test_an_answer_that_comes_after_its_view_is_not_shown(site: Site) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    with site.visit() as page:
        page.route("**/shapes/check", hold)
        Editor(page, "spare")
        wait_for(lambda: page.evaluate("1") and held, "a check")
        go(page, "#/")
        page.locator(".tile .picture.live").first.wait_for()
        with page.expect_response("**/shapes/check"):
            held[0].fulfill(json=LOCKED)
        page.evaluate(SOON)
        assert page.locator("dialog").count() == 0
