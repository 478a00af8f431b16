"""A daemon killed at random while objects come and go: `python -m tests.benchmarks.tracking_crashes [--kills 30]`.

With `--shards` one daemon runs on, with two cameras in two processes, and one of these at random is killed each time.

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
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from daemon.demo.film import Shot, film
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber
from tests.test_shards import in_shards, is_lost, processes
from tests.test_tracking import AREAS, check_events, events_of

CAMERAS = ("street", "other")
"""the second one only with `--shards`"""
_APPEARED = "object-appeared"
_LONGEST = 4.0  # seconds that it runs after an object has appeared


def main() -> None:
    """Kills, starts, and at the end stops it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tracking_crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shards", action="store_true")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker:
        folder = Path(name)
        os.environ["STATE_DIRECTORY"] = name
        street = film(Shot("street", 640, 480, 10.0, seed=21), folder / "street.mp4", 8.0)
        camera = {"source": str(street.file), "loop": True, **AREAS}
        with Subscriber(HOST, broker.port) as subscriber:
            if options.shards:
                document = in_shards(broker, dict.fromkeys(CAMERAS, camera), tracking={"confirm_frames": 2})
                _kill_shards(folder, document, subscriber, options.kills, chance)
            else:
                document = box(broker, {CAMERAS[0]: camera}, tracking={"confirm_frames": 2})
                _kill_daemons(folder, document, subscriber, options.kills, chance)
            told = {name: events_of(subscriber.messages(), name) for name in CAMERAS}
    events = [event for name in CAMERAS for event in told[name]]
    for each in told.values():
        check_events(each)
    reasons = Counter(event["reason"] for event in events if event["type"] == "object-left")
    if options.kills and not reasons["restart"]:
        raise SystemExit("no kill came while an object was there, so nothing is shown; give more --kills")
    crossings = sum(event["type"] == "line-crossed" for event in events)
    print(f"{options.kills} kills: {sum(reasons.values())} objects appeared and left ({dict(reasons)}), ", end="")
    print(f"{crossings} crossings, {len(events)} events: every promise is kept")


def _kill_daemons(
    folder: Path, document: dict[str, Any], subscriber: Subscriber, kills: int, chance: random.Random
) -> None:
    for _ in range(kills):
        before = len(subscriber.messages())
        with daemon(folder, document) as process:
            subscriber.wait(partial(_appears, CAMERAS[:1], before), "an object", 60)
            time.sleep(chance.uniform(0, _LONGEST))
            process.send_signal(signal.SIGKILL)
    before = len(subscriber.messages())
    with daemon(folder, document) as process:
        subscriber.wait(lambda messages: _frames(messages[before:]) > 20, "frames of the last run", 60)
        stop(process)


def _kill_shards(
    folder: Path, document: dict[str, Any], subscriber: Subscriber, kills: int, chance: random.Random
) -> None:
    with daemon(folder, document) as process:
        before = 0
        for _ in range(kills):
            subscriber.wait(partial(_appears, CAMERAS, before), "an object of each camera", 60)
            time.sleep(chance.uniform(0, _LONGEST))
            before = len(subscriber.messages())
            os.kill(chance.choice(processes(process)), signal.SIGKILL)
            subscriber.wait(partial(_is_lost, before), "the state of its camera", 20)
            before = len(subscriber.messages())
        subscriber.wait(partial(_appears, CAMERAS, before), "objects after the last", 60)
        stop(process)


def _is_lost(before: int, messages: list[Message]) -> bool:
    return any(is_lost(name, messages[before:]) for name in CAMERAS)


def _appears(cameras: Sequence[str], before: int, messages: list[Message]) -> bool:
    appeared = {e["camera"] for name in cameras for e in events_of(messages[before:], name) if e["type"] == _APPEARED}
    return appeared == set(cameras)


def _frames(messages: list[Message]) -> int:
    return sum(message.topic == f"{TOPICS}/street/detections" for message in messages)


if __name__ == "__main__":
    main()
