"""Events while broker, network, disk, certificate, password, clock and daemon fail at random: does each one arrive?

`python -m tests.benchmarks.outbox_faults [--faults 20] [--seconds 600] [--seed N]` prints its seed and every fault on
standard error and what became of the events, as JSON, on standard output; exits with 1 if anything is wrong.

A broker that was restarted forgets who had subscribed, so the network to the daemon stays silent until the subscriber
is back: what a broker acknowledges while nobody listens is not the daemon's to keep.

When the outbox's file is damaged (while the daemon is dead, and what was in the write-ahead log is in the file), the
daemon has to say so, set it aside and go on. Events that waited in that file may be missing; no others, and not those
announced afterwards. The clock that jumps is the daemon's time of day alone (libfaketime), by a month and back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from daemon.outbox.store import Outbox
from daemon.records import Event, EventType
from tests.benchmarks.outbox_bench import Bench
from tests.daemon.publishing import config, publisher
from tests.servers.subscriber import Message

CAMERAS = ("front", "yard")
EVERY = 0.05  # seconds between two events, one of each camera in turn
RUN = 1_000_000  # events are numbered from the number of the daemon's start times this


def verdict(announced: Sequence[dict[str, Any]], messages: Iterable[Message], bench: Bench) -> dict[str, Any]:
    """What became of the events, and one sentence for each kind of thing that is wrong."""
    topics = {f"ospreyd/gate/{camera}/events" for camera in CAMERAS}
    came = [message.json() for message in messages if message.topic in topics]
    first: dict[str, dict[str, Any]] = {}
    wrong = set(bench.wrong)
    for event in came:
        same = first.setdefault(event["id"], event)
        if {**same, "replayed": None} != {**event, "replayed": None}:
            wrong.add("two different events have one id")
    numbers = {camera: [e["count"] for e in first.values() if e["camera"] == camera] for camera in CAMERAS}
    for camera, seen in numbers.items():
        if len(set(seen)) != len(seen):
            wrong.add(f"{camera}: one event has two ids")
        if sorted(seen) != seen:
            wrong.add(f"{camera}: events came out of their order")
    absent = [event for event in announced if event["id"] not in first]
    missing = [event for event in absent if event["id"] not in bench.in_damaged]
    if len(missing) > bench.dropped:
        wrong.add(f"{len(missing)} announced events did not come, the first {missing[0]}")
    return {
        "announced": len(announced),
        "came": len(first),
        "came_again": len(came) - len(first),
        "came_late": sum(event["replayed"] for event in first.values()),
        "in_damaged_files": len(absent) - len(missing),
        "missing": len(missing),
        "dropped": bench.dropped,
        "wrong": sorted(wrong),
    }


def inject_faults(faults: int, seconds: float, seed: int) -> dict[str, Any]:
    """So many faults, each kind before any comes again, spread over the time; the verdict."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(Path(folder), rng, min(30.0, seconds / faults), stack)
        bench.subscriber.wait(lambda messages: len(messages) > 10, "the first events", 60)
        kinds = bench.faults()
        order = [name for _ in range(faults // len(kinds) + 1) for name in rng.sample(sorted(kinds), len(kinds))]
        began = time.monotonic()
        for number, name in enumerate(order[:faults]):
            due = began + number * seconds / faults
            time.sleep(max(0.0, due - time.monotonic()) + rng.uniform(0, 0.1) * seconds / faults)
            print(f"{time.monotonic() - began:6.1f} s: {name}", file=sys.stderr, flush=True)
            kinds[name]()
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        bench.settle()
        found = verdict(bench.announced(), bench.subscriber.messages(), bench)
        return {"seed": seed, "faults": order[:faults], "seconds": round(time.monotonic() - began, 1), **found}


def tell(folder: Path, port: int, start: int) -> None:
    """The daemon's part: events through the outbox until it is enough, each in the journal once it is on disk."""

    update = Outbox.update

    def journaled(
        outbox: Outbox,
        added: Sequence[tuple[str, bytes]],
        removed: Iterable[int],
        lost: int = 0,
        kept: Mapping[str, bytes | None] = {},
    ) -> int:
        dropped = update(outbox, added, removed, lost, kept)
        journal.write(b"".join(payload + b"\n" for _, payload in added))  # outlives the process
        return dropped

    Outbox.update = journaled  # type: ignore[method-assign, assignment]  # to see it between the disk and the broker
    settings = config(
        port,
        username="osprey",
        password="right",
        tls={"ca": folder / "tls" / "ca.crt"},
        outbox={"path": folder / "state" / "outbox.db"},
        keepalive=5,
    )
    with (folder / f"journal-{start:04}").open("wb", buffering=0) as journal, publisher(settings) as running:
        number, pause = start * RUN, threading.Event()
        while not (folder / "enough").exists():
            for camera in CAMERAS:
                running.event(Event(camera, EventType.APPEARED, time.time(), "person", number))
                number += 1
                pause.wait(EVERY)  # libfaketime breaks time.sleep
        pause.wait(1.0)
        (folder / "told").touch()
        threading.Event().wait()


def main() -> int:
    """Prints the verdict."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600.0, help="that the faults are spread over")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--tell", type=Path, help="folder; only for the daemon that this starts itself")
    parser.add_argument("--port", type=int, default=0, help="for the same")
    parser.add_argument("--start", type=int, default=0, help="for the same")
    options = parser.parse_args()
    if options.tell is not None:
        tell(options.tell, options.port, options.start)
        return 0
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    print(f"seed {seed}, process {os.getpid()}", file=sys.stderr, flush=True)
    found = inject_faults(options.faults, options.seconds, seed)
    print(json.dumps(found, indent=2))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
