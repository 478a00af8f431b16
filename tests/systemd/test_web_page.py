"""The web page as a service: started by who looks, ended when nobody does, and able to change one file only.

The tests are steps, in their order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import wait_for
from tests.systemd.box import Box
from tests.systemd.conftest import EXTRA, PASSWORD
from tests.systemd.installed import CONFIGURATION, configure, files, install

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(300)]

URL = "http://127.0.0.1:9470/"
OF_THE_PAGE = "the password of the page"
IDLE = 3  # seconds
ZONE = {"polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]}
WEB = {"password": "OF_THE_PAGE", "idle_exit": IDLE}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(base_url=URL, headers={"Origin": URL.rstrip("/"), "Connection": "close"}, timeout=30) as made:
        yield made


def log_in(client: httpx.Client, **given: str) -> None:
    answer = client.post("api/session", json=given)
    assert answer.status_code == 200, answer.text


def test_it_is_installed_and_nothing_of_it_runs(box: Box, wheels: dict[str, Path], before: set[str]) -> None:
    status, said = install(box, wheels["good"], wheels["good"].parent, "--extra", EXTRA, "--web")
    assert status == 0, said
    assert before
    assert box.must("stat", "--format=%a %U %G", "/etc/ospreyd") == "2770 root ospreyd\n"
    box.must("systemd-tmpfiles", "--create")
    assert box.must("stat", "--format=%a %U %G", "/etc/ospreyd") == "2770 root ospreyd\n", "as at the next boot"
    assert box.show("ActiveState", "ospreyd-web.socket") == "active"
    assert box.show("ActiveState", "ospreyd-web.service") == "inactive"


def test_the_first_who_looks_starts_it(box: Box, client: httpx.Client) -> None:
    box.file("/etc/ospreyd/credentials/broker").write_text(PASSWORD)
    box.file("/etc/ospreyd/web-credentials/page").write_text(OF_THE_PAGE)
    configure(box, "front", service={"web": WEB}, tracking={})
    file = box.file(CONFIGURATION)
    file.write_text(file.read_text().replace("OF_THE_PAGE", "!secret ospreyd_web_page"))
    box.must("systemctl", "enable", "--now", "ospreyd")
    began = time.monotonic()
    assert client.get("healthz").json()["ok"] is True
    assert time.monotonic() - began < 20
    assert box.show("ActiveState", "ospreyd-web.service") == "active"
    log_in(client, password=OF_THE_PAGE)
    wait_for(lambda: client.get("api/state").json()["cameras"], "the daemon's state")


def test_a_link_logs_in_and_a_zone_is_saved(box: Box, client: httpx.Client) -> None:
    link = box.must("ospreyd-service", "web", "--link", CONFIGURATION).strip()
    assert link.startswith(f"{URL}#token=")
    log_in(client, token=link.partition("#token=")[2])
    found = client.get("api/cameras/front/shapes").json()
    wanted = {**found["shapes"], "zones": {"porch": ZONE}}
    headers = {"If-Match": found["revision"]}
    answer = client.put("api/cameras/front/shapes", json={"shapes": wanted}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "changed: front" in answer.json()["detail"]
    assert "porch" in box.file(CONFIGURATION).read_text()
    assert "configuration loaded; changed: front" in box.journal()
    assert box.must("stat", "--format=%a %G", CONFIGURATION) == "640 ospreyd\n"
    assert client.get("api/cameras/front/picture.jpg").status_code == 200
    assert len(client.get("api/history").json()["saves"]) == 1


def test_neither_reaches_what_is_the_other_s(box: Box) -> None:
    page = box.show("MainPID", "ospreyd-web")
    inside = ("nsenter", f"--target={page}", "--mount", "--")
    assert box.run(*inside, "cat", "/etc/ospreyd/credentials/broker").returncode != 0
    assert box.run(*inside, "touch", "/var/lib/ospreyd/x").returncode != 0
    box.must(*inside, "touch", "/etc/ospreyd/x")
    box.must(*inside, "rm", "/etc/ospreyd/x")
    daemon = box.show("MainPID")
    assert box.run("nsenter", f"--target={daemon}", "--mount", "--", "touch", "/etc/ospreyd/x").returncode != 0
    for secret in (PASSWORD, OF_THE_PAGE):
        assert secret not in box.journal("ospreyd-web") + box.journal()


def test_it_ends_when_nobody_looks_and_comes_back(box: Box, client: httpx.Client) -> None:
    wait_for(lambda: box.show("ActiveState", "ospreyd-web.service") == "inactive", "its end", IDLE + 30)
    assert box.show("Result", "ospreyd-web.service") == "success"
    assert box.show("ActiveState") == "active", "the daemon goes on"
    assert client.get("healthz").status_code == 200
    box.must("systemctl", "kill", "--signal=KILL", "ospreyd-web.service")
    wait_for(lambda: box.show("ActiveState", "ospreyd-web.service") in ("failed", "inactive"), "its death")
    assert client.get("healthz").status_code == 200, "a crash is over with the next who looks"


def test_an_upgrade_keeps_it_and_uninstalling_leaves_nothing(
    box: Box, wheels: dict[str, Path], before: set[str]
) -> None:
    status, said = install(box, wheels["newer"], wheels["good"].parent)
    assert status == 0, said
    assert "web page: yes" in said
    assert box.show("ActiveState", "ospreyd-web.socket") == "active"
    box.must("/source/systemd/uninstall.sh", "--purge")
    assert sorted(files(box) - before) == []
