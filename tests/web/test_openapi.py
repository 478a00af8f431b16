"""The document of the endpoints is up to date, and whatever is sent to them is answered as it says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from daemon.config.page import PageConfig
from daemon.config.service import Web
from daemon.web.application import Page
from daemon.web.openapi import OPERATIONS, openapi
from tests.conftest import ROOT
from tests.web.fuzzing import send
from tests.web.running import WebPage

pytestmark = pytest.mark.timeout(300)  # daemon and page start with the first test


def test_the_published_document_is_up_to_date() -> None:
    published = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(openapi())), "write it again: make schemas"


def test_every_route_is_in_it(tmp_path: Path) -> None:
    page = Page(PageConfig(tmp_path / "box.yaml", "box", Web()), tmp_path, tmp_path)
    routes = {route.path for route in page.app.routes if isinstance(route, Route) and route.path.startswith("/api/")}
    assert routes == {f"/api/{path}" for _, path in OPERATIONS}
    assert page.operations == OPERATIONS.keys()


def test_random_requests_are_refused_and_harm_nothing(web: WebPage, editor: httpx.Client) -> None:
    """10,000 of them: tests/benchmarks/fuzz_web.py."""
    chance = random.Random(7)
    paths = openapi()["paths"]
    answers = [answer for _ in range(300) if (answer := send(editor, chance)) is not None]
    assert len(answers) > 200
    for answer in answers:
        assert answer.status_code != 500, (answer.request.method, answer.request.url, answer.text)
        if answer.status_code >= 400 and answer.request.method != "HEAD":
            assert answer.json().keys() >= {"error", "detail"}
    documented = {int(status) for path in paths.values() for one in path.values() for status in one["responses"]}
    assert {answer.status_code for answer in answers} <= documented | {405}
    assert "Traceback" not in web.log
    assert "Traceback" not in (web.folder / "log").read_text(encoding="utf-8")
    assert editor.get("api/state").json()["daemon"]["connected"] is True
