"""Whole real videos, as in tests/test_tracking_videos: `python -m tests.benchmarks.tracking_videos MATERIAL`.

MATERIAL is the folder that holds `videos` and `models`. Prints how often what was told, and how often it happens.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber
from tests.test_tracking import check_events, events_of
from tests.watched_videos import BOTTLES, CARS, PEOPLE, Watched, counted, person, watch

_PEOPLE = Watched(PEOPLE, 0, 1394, None, person(6, stood=4), ())
_CARS = Watched(CARS, 60, 860, None, {"line-crossed": 7}, ())
_BOTTLES = Watched(BOTTLES, 0, 1189, None, {"object-appeared": 7, "object-left unseen": 4}, ())


def main() -> None:
    """At their own rates, and at five frames a second."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tracking_videos", description=__doc__)
    parser.add_argument("material", type=Path)
    material = parser.parse_args().material
    for fps in (None, 5.0):
        parts = {
            f"{name}-{fps or 'all'}".replace(".", "-"): Watched(of.video, of.first, of.end, fps, of.happens, ())
            for name, of in (("people", _PEOPLE), ("cars", _CARS), ("bottles", _BOTTLES))
        }
        with (
            tempfile.TemporaryDirectory() as folder,
            Mosquitto(Path(folder)) as broker,
            Subscriber(HOST, broker.port) as subscriber,
        ):
            messages = watch(parts, broker, subscriber, material, Path(folder))
        for name, part in parts.items():
            events = events_of(messages, name)
            check_events(events)
            names = counted(events)
            print(name, {what: f"{names[what]} of {often}" for what, often in part.happens.items()}, flush=True)


if __name__ == "__main__":
    main()
