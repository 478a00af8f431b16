"""One daemon with its page for all tests of a module that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import pytest

from daemon.demo.film import Shot, film
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.servers.mosquitto import Mosquitto
from tests.web.running import WebPage, folders, page, web_box

PASSWORD = "correct horse battery"
VIEWER = "only to look at it"
SECRET = "s3cret-of-the-camera"
ZONE = {"polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]], "labels": ["person"]}


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of the drawn street in which nothing moves, so that few events come."""
    folder = tmp_path_factory.mktemp("film")
    picture = film(Shot("street", 640, 480, 10.0, seed=21), folder / "street.mp4", 0.5).picture(0)
    file = folder / "still.mp4"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 10, (640, 480))
    for _ in range(40):
        writer.write(picture)
    writer.release()
    return file


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, still: Path) -> Iterator[WebPage]:
    """Cameras `street`, which streams, and `away`, which is not there and has a password; both roles have one."""
    folder = tmp_path_factory.mktemp("web")
    with folders(folder), Mosquitto(folder) as broker:
        cameras = {
            "street": {"source": str(still), "loop": True, "fps": 5, "zones": {"porch": ZONE}},
            "away": {"source": "rtsp://127.0.0.1:9/none", "user": "admin", "password": SECRET},
        }
        given = {"password": PASSWORD, "viewer_password": VIEWER}
        document = web_box(broker, cameras, given, tracking={}, events={"snapshot": "annotated"})
        with daemon(folder, document), page(folder, document) as made:
            with made.client(PASSWORD) as client:
                wait_for(lambda: _streams(client), "the camera", 120)
            yield made


def _streams(client: httpx.Client) -> bool:
    camera = client.get("api/state").json()["cameras"].get("street")
    return bool(camera and camera["status"] and camera["status"]["state"] == "streaming")


@pytest.fixture(scope="module")
def editor(web: WebPage) -> Iterator[httpx.Client]:
    """A client that may edit."""
    with web.client(PASSWORD) as client:
        yield client


@pytest.fixture(scope="module")
def viewer(web: WebPage) -> Iterator[httpx.Client]:
    """A client that may look."""
    with web.client(VIEWER) as client:
        yield client
