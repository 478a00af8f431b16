"""The page through what stands before it: nginx with TLS under a prefix, and `ssh -L`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers.proxies import nginx, tunnel
from tests.web.browser.browsing import visit
from tests.web.browser.site import Site
from tests.web.browser.test_drawing import draw_by_mouse

pytestmark = pytest.mark.timeout(300)  # two zones, each until its event


def test_by_mouse_through_nginx_and_through_ssh(site: Site, tmp_path: Path) -> None:
    page_port = urlsplit(site.web.url).port
    assert page_port is not None
    with nginx(tmp_path / "nginx", page_port) as (below, whole):
        link = f"{below}#token={site.web.token()}"
        with visit(site.browser, link, ignore_https_errors=True) as page:
            page.locator("nav").wait_for()
            (cookie,) = page.context.cookies()
            assert (cookie.get("secure"), cookie.get("path")) == (True, "/box/api")
            draw_by_mouse(site, page, "proxied")
        whole_port = urlsplit(whole).port
        assert whole_port is not None
        with tunnel(tmp_path / "ssh", whole_port) as port:
            link = f"http://127.0.0.1:{port}/#token={site.web.token()}"
            with visit(site.browser, link) as page:
                page.locator("nav").wait_for()
                draw_by_mouse(site, page, "tunnelled")
