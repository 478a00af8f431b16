"""A run that is killed while its disk is slow: the next one clears all that it has retained."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.media.snapshots import Subject
from daemon.outbox.store import Outbox
from daemon.records import CameraState, CameraStatus, Event, EventType
from tests.conftest import ROOT, wait_for
from tests.daemon.publishing import UNREACHABLE, config, publisher, result
from tests.daemon.test_retained_runs import YARD, gate, retained
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber

SLOW = 1.0  # seconds that the disk takes
CAMERAS: dict[str, Any] = {"yard": YARD}


def status(camera: str) -> CameraStatus:
    return CameraStatus(camera, CameraState.STREAMING, None, "", time.monotonic(), time.time())


@pytest.mark.parametrize("which", ["ospreyd/gate/attic/status", "frigate/attic/car/snapshot"])
def test_a_topic_of_a_killed_run_is_cleared(which: str, broker: Mosquitto, tmp_path: Path) -> None:
    """It is killed as soon as the broker has the topic."""
    outbox = tmp_path / "gate.db"
    command = [sys.executable, "-m", "tests.daemon.test_retained_killed", str(broker.port), str(outbox)]
    with (
        Subscriber(broker.host, broker.port, which) as subscriber,
        subprocess.Popen(command, cwd=ROOT) as process,
    ):
        subscriber.wait(lambda messages: any(message.payload for message in messages), "the topic", 60)
        process.kill()
    assert which in retained(broker)
    with publisher(gate(broker, outbox, cameras=CAMERAS)):
        wait_for(lambda: not [topic for topic in retained(broker) if "attic" in topic], "the end of the topic")


def test_a_disk_that_hangs_delays_new_topics_only(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, update = threading.Event(), Outbox.update

    def hangs(*arguments: Any, **more: Any) -> int:
        assert goes_on.wait(60)
        return update(*arguments, **more)

    with publisher(config(broker.port, outbox={"path": tmp_path / "gate.db"})) as running:
        subscriber.wait_for("ospreyd/gate/status", b"online")
        monkeypatch.setattr(Outbox, "update", hangs)
        running.event(Event("front", EventType.APPEARED, time.time(), "person", 1))
        document = config(broker.port)
        more = dict.fromkeys(("attic", "cellar"), document.cameras["yard"])
        running.configure(document.model_copy(update={"cameras": {**document.cameras, **more}}))
        for camera, held in (("cellar", 0.2), ("attic", 1e6)):
            monkeypatch.setattr("daemon.publish.retained.HELD", held)
            running.camera_status(status(camera))
        running.camera_status(UNREACHABLE)
        running.results([result(number) for number in range(20)])
        subscriber.wait_for("ospreyd/gate/yard/status")
        frames = "ospreyd/gate/front/detections"
        subscriber.wait(lambda messages: len([m for m in messages if m.topic == frames]) == 20, "the frames")
        subscriber.wait_for("ospreyd/gate/cellar/status")
        assert "ospreyd/gate/attic/status" not in {message.topic for message in subscriber.messages()}
        goes_on.set()
        subscriber.wait_for("ospreyd/gate/attic/status")


def _run_with_a_slow_disk(port: int, outbox: Path) -> None:
    """Until it is killed; a camera comes while it runs."""
    update = Outbox.update

    def slowly(*arguments: Any, **more: Any) -> int:
        time.sleep(SLOW)
        return update(*arguments, **more)

    broker: Any = type("Broker", (), {"port": port})
    with publisher(gate(broker, outbox, cameras=CAMERAS)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        Outbox.update = slowly  # type: ignore[method-assign]
        running.configure(gate(broker, outbox, cameras={**CAMERAS, "attic": YARD}))
        running.camera_status(status("attic"))
        while True:
            running.picture(Subject("attic", frozenset({"car"})), b"jpeg")
            time.sleep(0.05)


if __name__ == "__main__":
    _run_with_a_slow_disk(int(sys.argv[1]), Path(sys.argv[2]))
