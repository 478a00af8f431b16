"""Servers as fixtures, for every test; named in pyproject.toml, since a conftest cannot import what imports it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.capturing import decoded_by
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    """Of everything on the broker."""
    with Subscriber(HOST, broker.port) as running:
        yield running


@pytest.fixture(params=["opencv", "pyav"])
def decoder(request: pytest.FixtureRequest) -> Iterator[str]:
    """What reads videos in this test; see decoded_by."""
    with decoded_by(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where daemons of this test keep their outbox and their sockets."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    return folder
