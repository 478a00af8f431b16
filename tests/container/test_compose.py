"""The container image and the compose example: built, started with a real Mosquitto, looked at and stopped.

The tests are the steps of that, in their order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from daemon.demo.film import Shot, film
from tests.conftest import wait_for
from tests.container.podman import BUILD, DEBIAN, MOSQUITTO, Podman

pytestmark = [pytest.mark.container, pytest.mark.timeout(1200)]

IMAGE_OF_MOSQUITTO = f"""FROM {DEBIAN}
RUN apt-get update && apt-get install --yes --no-install-recommends mosquitto mosquitto-clients \\
    && install --directory --owner=mosquitto /mosquitto/config /mosquitto/data
CMD ["/usr/sbin/mosquitto", "-c", "/mosquitto/config/mosquitto.conf"]
"""
"""in the place of the one that compose.yaml names, with its folders"""
FILMS = {"services": {"ospreyd": {"volumes": ["./street.mp4:/films/street.mp4:ro"]}}}
WATCHED = {
    "models": {"default": "street"},
    "cameras": {"front": {"source": "/films/street.mp4", "loop": True, "fps": 5}},
}


class Stack:
    """The services of compose.yaml, built."""

    def __init__(self, podman: Podman, tree: Path) -> None:
        self._podman = podman
        self.ospreyd = f"{tree.name}_ospreyd_1"
        self._broker = f"{tree.name}_broker_1"
        self._tree = tree
        self._options = ("-f", "compose.yaml", "-f", "films.yaml")
        build = ("--podman-build-args", " ".join((*BUILD, *podman.wheels)))
        podman.must("podman-compose", *self._options, *build, "build", cwd=tree, timeout=900)

    def up(self) -> None:
        """The services are started."""
        self._podman.must("podman-compose", *self._options, "up", "-d", cwd=self._tree)

    def inside(self, command: str) -> tuple[int, str]:
        """Runs a shell command in ospreyd's container; its status, and what it printed."""
        done = self._podman.run("podman", "exec", self.ospreyd, "sh", "-c", command)
        return done.returncode, done.stdout

    def inspect(self, what: str) -> str:
        """A property of ospreyd's container, as a Go template."""
        return self._podman.must("podman", "inspect", "--format", f"{{{{{what}}}}}", self.ospreyd).strip()

    def healthy(self) -> bool:
        """What the image's own health check says now; systemd or Docker would ask it in its interval."""
        return self._podman.run("podman", "healthcheck", "run", self.ospreyd).returncode == 0

    def signal(self, name: str) -> None:
        self._podman.must("podman", "kill", "--signal", name, self.ospreyd)

    def stop(self) -> None:
        self._podman.must("podman", "stop", "--time=10", self.ospreyd)

    def message(self, topic: str) -> str:
        """The next message of a topic, or the retained one; waits for it."""
        topic = f"ospreyd/gate-01/{topic}"
        return self._podman.must("podman", "exec", self._broker, "mosquitto_sub", "-C", "1", "-W", "60", "-t", topic)


@pytest.fixture(scope="module")
def stack(podman: Podman, tree: Path) -> Iterator[Stack]:
    """The example with a film in the place of the camera's address."""
    film(Shot("street", 320, 240, 10.0, seed=21), tree / "street.mp4", 4.0)
    config = tree / "configs/compose/ospreyd.yaml"
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **WATCHED}))
    (tree / "films.yaml").write_text(yaml.safe_dump(FILMS))
    podman.build(MOSQUITTO, IMAGE_OF_MOSQUITTO)
    stack = Stack(podman, tree)
    with podman.network():
        stack.up()
        yield stack


def test_what_it_sees_reaches_the_broker_of_the_example(stack: Stack) -> None:
    assert json.loads(stack.message("front/detections"))["camera"] == "front"
    assert stack.message("status") == "online\n"


def test_its_health_check_passes_while_frames_move_and_fails_when_it_hangs(stack: Stack) -> None:
    wait_for(stack.healthy, "the health check", 60)
    assert stack.inspect(".State.Health.Status") == "healthy"
    stack.signal("STOP")
    try:
        assert not stack.healthy()
    finally:
        stack.signal("CONT")
    wait_for(stack.healthy, "the health check", 60)


def test_it_may_do_nothing_that_it_does_not_need(stack: Stack) -> None:
    assert stack.inside("id -u; id -g") == (0, "10000\n10000\n")
    rights = dict(line.split() for line in stack.inside("grep -E 'CapEff|NoNewPrivs' /proc/1/status")[1].splitlines())
    assert {name: int(value, 16) for name, value in rights.items()} == {"CapEff:": 0, "NoNewPrivs:": 1}
    for place in ("/x", "/opt/ospreyd/x", "/etc/ospreyd/ospreyd.yaml"):
        assert stack.inside(f"touch {place}")[0] != 0, place
    assert stack.inside("touch /tmp/x /var/cache/ospreyd/x && ls /var/lib/ospreyd/outbox-gate-01.db")[0] == 0


def test_it_stops_in_time_and_says_goodbye(stack: Stack) -> None:
    began = time.monotonic()
    stack.stop()
    assert time.monotonic() - began < 10
    assert stack.inspect(".State.ExitCode") == "0"
    assert stack.message("status") == "offline\n"
