"""One browser and one daemon with its page for all tests that look at the page: they are the first of one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

from daemon.demo.film import film
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber
from tests.web.browser.browsing import chromium, visit
from tests.web.browser.site import LINES, NAMES, SECONDS, SHOT, SLOW, ZONES, Site, camera
from tests.web.running import folders, page, web_box


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker begins with the first tests and is relieved of its last ones, so these stay together and end early."""
    here = Path(__file__).parent
    items.sort(key=lambda item: here not in item.path.parents)


@pytest.fixture(scope="package")
def chrome() -> Iterator[tuple[Playwright, Browser]]:
    """Of this folder's tests alone: nothing else can use asyncio in this process while it is there."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of the drawn street."""
    file = tmp_path_factory.mktemp("film") / "street.mp4"
    film(SHOT, file, SECONDS)
    return file


@pytest.fixture(scope="package")
def site(chrome: tuple[Playwright, Browser], street: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    cameras = {name: camera(street, fps=SLOW) for name in NAMES}
    cameras["seen"] = camera(street, zones=ZONES, lines=LINES)
    cameras["turned"] |= {"rotate": 90, "crop": [0.1, 0.2, 0.9, 0.8]}
    with (
        folders(folder),
        Mosquitto(folder) as broker,
        Subscriber(HOST, broker.port) as subscriber,
    ):
        document = web_box(
            broker, cameras, {"trusted_proxies": ["127.0.0.0/8"]}, tracking={}, events={"snapshot": "best"}
        )
        with daemon(folder, document), page(folder, document) as web, web.client() as client:
            wait_for(lambda: len(client.get("api/state").json()["cameras"]) == len(NAMES), "the daemon")
            with visit(chrome[1], web.link()) as first:
                first.locator("nav").wait_for()
                session = first.context.storage_state()
            yield Site(chrome[1], chrome[0], web, session, subscriber, folder / "box.yaml", client)
