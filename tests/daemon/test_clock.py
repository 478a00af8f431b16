"""A system clock that is set while the daemon runs, as on a box that starts in 1970: retained times are corrected."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.film import Shot, film
from daemon.outbox.opened import read_status
from tests.conftest import wait_for
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.clock import Clock
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

BEFORE = "-20000d"
"""in the 1970s"""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the daemons of the test."""
    clock = Clock(tmp_path / "clock")
    clock.set(BEFORE)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    return clock


def test_retained_times_follow_the_clock(broker: Mosquitto, tmp_path: Path, clock: Clock) -> None:
    street = film(Shot("street", 320, 240, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    line = {"points": [[0, 0], [1, 0]], "in": [0, 1]}
    cameras: dict[str, Any] = {
        "front": {"source": str(street.file), "loop": True, "lines": {"gate": line}},
        "away": {"source": "rtsp://127.0.0.1:1/"},
        "off": {"source": "rtsp://127.0.0.1:1/", "enabled": False},
    }
    began = datetime.now(timezone.utc)
    with Subscriber(HOST, broker.port) as subscriber, daemon(tmp_path, box(broker, cameras, tracking={})) as process:
        topics = [*(f"{TOPICS}/{name}/status" for name in cameras), f"{TOPICS}/front/lines/gate", f"{TOPICS}/info"]

        def times() -> list[datetime]:
            """What is said last on each topic."""
            said = [subscriber.messages(topic)[-1].json() for topic in topics if subscriber.messages(topic)]
            found = [each["since"] if "since" in each else each["configuration"]["loaded_at"] for each in said]
            return [datetime.fromisoformat(each.replace("Z", "+00:00")) for each in found]

        def streaming() -> bool:
            status = subscriber.messages(topics[0])
            return bool(status) and status[-1].json()["state"] == "streaming"

        wait_for(lambda: streaming() and len(times()) == len(topics), "the first messages", 60)
        assert all(time.year < 1980 for time in times())
        clock.set("+0")
        wait_for(lambda: all(time > began - timedelta(seconds=5) for time in times()), "the true times", 60)
        assert all(time <= datetime.now(timezone.utc) + timedelta(seconds=1) for time in times())
        stop(process)


def test_events_that_waited_for_broker_and_clock_have_true_times(
    tmp_path: Path, state_directory: Path, clock: Clock
) -> None:
    """The network brings the time before the broker lets the device in."""
    street = film(Shot("street", 320, 240, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    zone = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    cameras = {"front": {"source": str(street.file), "loop": True, "zones": {"all": zone}}}
    began = datetime.now(timezone.utc) - timedelta(seconds=5)

    def waiting() -> int:
        return read_status(state_directory / "outbox-box.db").waiting

    with Mosquitto(tmp_path, users={"reader": "x"}) as broker:
        document = box(broker, cameras, tracking={})
        document["mqtt"].update(username="box", password="y")
        with (
            Subscriber(HOST, broker.port, username="reader", password="x") as subscriber,
            daemon(tmp_path, document) as process,
        ):
            wait_for(lambda: waiting() > 5, "events in the outbox", 60)
            before = waiting()
            clock.set("+0")
            broker.add_user("box", "y")
            topic = f"{TOPICS}/front/events"
            wait_for(lambda: len(subscriber.messages(topic)) > before, "the events", 60)
            stop(process)
            events = [message.json() for message in subscriber.messages(topic)]
    assert any(event["replayed"] for event in events)
    times = [each["time"] for each in events]
    times += [each["object"][key] for each in events if each["object"] for key in ("first_seen", "last_seen")]
    moments = [datetime.fromisoformat(each.replace("Z", "+00:00")) for each in times]
    assert all(began < moment < datetime.now(timezone.utc) + timedelta(seconds=1) for moment in moments)
    assert all(event["seconds"] < 60 for event in events if event["seconds"] is not None)
