"""A box with a broker for each module, and the wheels that are installed on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.demo.film import Shot, film
from tests.conftest import ROOT
from tests.servers.mosquitto import HOST
from tests.servers.subscriber import Subscriber
from tests.systemd.box import DEBIAN_ROOT, Box
from tests.systemd.installed import PORT, files
from tests.systemd.wheels import altered, dependencies, project

PASSWORD = "the broker's password"
BROKER = f"""listener {PORT} {HOST}
allow_anonymous false
password_file /etc/mosquitto/passwords
"""
EXTRA = "eval"
"""that is small"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By what is special about them; each in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheels")
    good = project(folder)
    return {
        "good": good,
        "newer": altered(good, folder / "newer", "daemon/__init__.py", '\n__version__ = "99.0"\n'),
        "fussy": altered(
            good,
            folder / "fussy",
            "daemon/cli/check.py",
            "\ndef load_with_lines(path):\n    raise ConfigError(['no'])\n",
        ),
        "broken": altered(good, folder / "broken", "daemon/app/app.py", "\nApp.run = None\n"),
        "stuck": altered(good, folder / "stuck", "daemon/app/app.py", "\nApp.run = lambda _: signal.pause()\n"),
    }


@pytest.fixture(scope="module")
def box(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """With a broker that asks for a password, and a film; ospreyd is not on it yet."""
    folder = tmp_path_factory.mktemp("box")
    film(Shot("street", 320, 240, 10.0, seed=21), folder / "street.mp4", 4.0)
    cache = Path(os.environ.get(DEBIAN_ROOT, folder)).parent
    binds = {
        "/source/systemd": ROOT / "systemd",
        "/source/configs": ROOT / "configs",
        "/wheels": wheels["good"].parent,
        "/dependencies": dependencies(cache, wheels["good"], f"{EXTRA},web"),
    }
    with Box(folder, binds) as running:
        running.file("/etc/mosquitto/conf.d/box.conf").write_text(BROKER)
        running.must("mosquitto_passwd", "-b", "-c", "/etc/mosquitto/passwords", "box", PASSWORD)
        running.must("chown", "mosquitto", "/etc/mosquitto/passwords")
        running.must("systemctl", "restart", "mosquitto")
        running.must("mkdir", "/films")
        running.file("/films/street.mp4").write_bytes((folder / "street.mp4").read_bytes())
        yield running


@pytest.fixture(scope="module")
def before(box: Box) -> set[str]:
    """Every file of the box before ospreyd came."""
    return files(box)


@pytest.fixture(scope="module")
def subscriber(box: Box) -> Iterator[Subscriber]:
    with Subscriber(HOST, PORT, username="box", password=PASSWORD) as running:
        yield running
