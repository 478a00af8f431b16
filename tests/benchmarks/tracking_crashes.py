"""A daemon killed at random while objects come and go: `python -m tests.benchmarks.tracking_crashes [--kills 30]`.

Every `object-appeared` must have exactly one `object-left`, zones be entered and left in turn, and totals of lines be
those of the events told, over all kills and starts. Prints what was told; fails where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

from daemon.demo.film import Shot, film
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber
from tests.test_tracking import AREAS, check_events, events_of

_LONGEST = 4.0  # seconds that it runs after an object has appeared


def main() -> None:
    """Kills, starts, and at the end stops it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tracking_crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        folder = Path(name)
        os.environ["STATE_DIRECTORY"] = name
        street = film(Shot("street", 640, 480, 10.0, seed=21), folder / "street.mp4", 8.0)
        document = box(
            broker, {"street": {"source": str(street.file), "loop": True, **AREAS}}, tracking={"confirm_frames": 2}
        )
        with Subscriber(HOST, broker.port) as subscriber:
            for _ in range(options.kills):
                before = len(subscriber.messages())
                with daemon(folder, document) as process:
                    subscriber.wait(partial(_appears, before), "an object", 60)
                    time.sleep(chance.uniform(0, _LONGEST))
                    process.send_signal(signal.SIGKILL)
            before = len(subscriber.messages())
            with daemon(folder, document) as process:
                subscriber.wait(lambda messages: _frames(messages[before:]) > 20, "frames of the last run", 60)
                stop(process)
            events = events_of(subscriber.messages())
    check_events(events)
    reasons = Counter(event["reason"] for event in events if event["type"] == "object-left")
    if options.kills and not reasons["restart"]:
        raise SystemExit("no kill came while an object was there, so nothing is shown; give more --kills")
    crossings = sum(event["type"] == "line-crossed" for event in events)
    print(f"{options.kills} kills: {sum(reasons.values())} objects appeared and left ({dict(reasons)}), ", end="")
    print(f"{crossings} crossings, {len(events)} events: every promise is kept")


def _appears(before: int, messages: list[Message]) -> bool:
    return any(event["type"] == "object-appeared" for event in events_of(messages[before:]))


def _frames(messages: list[Message]) -> int:
    return sum(message.topic == f"{TOPICS}/street/detections" for message in messages)


if __name__ == "__main__":
    main()
