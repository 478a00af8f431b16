"""Real videos through a real daemon: what is told is what a person who watches them writes down.

Of whole videos: `python -m tests.benchmarks.tracking_videos`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.running import TOPICS
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber
from tests.test_tracking import check_events, events_of
from tests.watched_videos import BOTTLES, CARS, PEOPLE, Watched, person, watch

PARTS = {
    "man": Watched(PEOPLE, 740, 880, None, person(1, stood=0), (865,)),
    "woman-5": Watched(PEOPLE, 910, 1215, 5, person(1, stood=1), (1200,)),
    "cars": Watched(CARS, 400, 525, None, {}, (440, 485), (455, 535)),
    "cars-5": Watched(CARS, 60, 860, 5, {}, (235, 291, 440, 485, 775), (455, 535)),
    "bottles-5": Watched(BOTTLES, 130, 440, 5, {"object-appeared": 4, "object-left unseen": 1}, ()),
}


@pytest.mark.timeout(500)
def test_what_happens_is_told(broker: Mosquitto, subscriber: Subscriber, material: Path, tmp_path: Path) -> None:
    messages = watch(PARTS, broker, subscriber, material, tmp_path)
    for name, part in PARTS.items():
        events = events_of(messages, name)
        check_events(events)
        part.check(events)
    for name in ("cars", "cars-5"):
        totals = [m.json() for m in messages if m.topic == f"{TOPICS}/{name}/lines/near"][-1]
        crossed = [event for event in events_of(messages, name) if event["type"] == "line-crossed"]
        assert sum(totals["in"].values()) == len(crossed)
