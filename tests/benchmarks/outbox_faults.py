"""Events while broker, network, disk, certificate, password and daemon fail at random: does each one arrive?

`python -m tests.benchmarks.outbox_faults [--faults 20] [--seconds 600] [--seed N]` prints its seed and every fault on
standard error and what became of the events, as JSON, on standard output; exits with 1 if anything is wrong.

A broker that was restarted forgets who had subscribed, so the network to the daemon stays silent until the subscriber
is back: what a broker acknowledges while nobody listens is not the daemon's to keep.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from daemon.config.outbox import Outbox as Settings
from daemon.publish.outbox import Outbox, outbox_path, read_status
from daemon.records import Event, EventType
from tests.conftest import ROOT, wait_for
from tests.daemon.publishing import config, publisher
from tests.servers import certificates
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.proxy import Proxy
from tests.servers.subscriber import Message, Subscriber

CAMERAS = ("front", "yard")
EVERY = 0.05  # seconds between two events, one of each camera in turn
RUN = 1_000_000  # events are numbered from the number of the daemon's start times this
SETTLED_WITHIN = 150.0  # seconds after the last fault, in which all that waits has to arrive
DISK = "16m"


class Bench:
    """A broker that speaks TLS and wants passwords, a network before it, and a daemon that tells events."""

    def __init__(self, folder: Path, rng: random.Random, silence: float, stack: ExitStack) -> None:
        self._folder = folder
        self._silence = silence
        self._rng = rng
        self._store = folder / "store"
        self._store.mkdir()
        self._tls = certificates.make(folder / "tls")
        plain = free_port()
        # Unlimited, it has given an event to the subscriber's socket before it acknowledges it to the daemon.
        more = ["max_inflight_messages 0", "max_queued_messages 0", "persistence true"]
        more += [f"persistence_location {self._store}/", f"listener {plain} {HOST}"]
        self._broker = stack.enter_context(
            Mosquitto(folder, users={"osprey": "right", "watcher": "w"}, tls=self._tls, more=more)
        )
        self._proxy = Proxy(self._broker.port, rng)
        stack.callback(self._proxy.close)
        self.subscriber = stack.enter_context(Subscriber(HOST, plain, username="watcher", password="w"))
        self.disk = folder / "state"
        self.disk.mkdir()
        self._mounted = self._mount(stack)
        self._starts = 0
        self._start_daemon()
        stack.callback(self._kill_daemon)

    def faults(self) -> dict[str, Callable[[], None]]:
        """By name; each returns when the cause is mended, not when all is well again."""
        found = {
            "broker killed": self._broker_killed,
            "broker restarted, its store kept": lambda: self._broker_restarted(keep=True),
            "broker restarted, its store lost": lambda: self._broker_restarted(keep=False),
            "network silent": self._network_silent,
            "daemon killed": self._daemon_killed,
            "certificate expired": self._certificate_expired,
            "password refused": self._password_refused,
        }
        return {**found, "disk full": self._disk_full} if self._mounted else found

    def announced(self) -> list[dict[str, Any]]:
        """Every event that was on disk in the outbox, in the order of writing; a torn last line was not."""
        lines = [line for file in sorted(self._folder.glob("journal-*")) for line in file.read_bytes().split(b"\n")]
        return [json.loads(line) for line in lines if line.endswith(b"}")]

    def settle(self) -> None:
        """Ends the telling, and waits until nothing waits any more."""
        (self._folder / "enough").touch()
        path = outbox_path(Settings(path=self.disk / "outbox.db"), "gate")
        wait_for((self._folder / "told").exists, "the last event", SETTLED_WITHIN)
        with suppress(BaseException):  # what did not arrive is told by the verdict
            wait_for(lambda: read_status(path).waiting == 0, "an empty outbox", SETTLED_WITHIN)
        self.status = read_status(path)

    def _start_daemon(self) -> None:
        self._starts += 1
        command = [sys.executable, "-m", "tests.benchmarks.outbox_faults", "--tell", str(self._folder)]
        command += ["--port", str(self._proxy.port), "--start", str(self._starts)]
        with (self._folder / f"daemon-{self._starts}.log").open("w") as log:
            self._daemon = subprocess.Popen(command, cwd=ROOT, stderr=log)

    def _kill_daemon(self) -> None:
        self._daemon.kill()
        self._daemon.wait()

    def _mount(self, stack: ExitStack) -> bool:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(self.disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return False
        stack.callback(subprocess.run, ["umount", "-l", str(self.disk)], check=True)
        return True

    def _some_time(self) -> None:
        time.sleep(self._rng.uniform(0.1, 0.3) * self._silence)

    def _broker_killed(self) -> None:
        self._broker.kill()
        self._start_broker()

    def _broker_restarted(self, *, keep: bool) -> None:
        self._broker.stop()
        if not keep:
            (self._store / "mosquitto.db").unlink(missing_ok=True)
        self._start_broker()

    def _start_broker(self) -> None:
        self._some_time()
        self._proxy.silent = True
        self._broker.start()
        wait_for(lambda: "Received SUBSCRIBE" in self._broker.output(), "the subscriber's return", 60)
        self._proxy.silent = False

    def _network_silent(self) -> None:
        self._proxy.silent = True
        time.sleep(self._silence)
        self._proxy.reset()  # what was under way is lost
        self._proxy.silent = False

    def _daemon_killed(self) -> None:
        self._kill_daemon()
        self._some_time()
        self._start_daemon()

    def _certificate_expired(self) -> None:
        certificates.expire(self._tls)
        self._reload(until="alert certificate expired")
        self._some_time()
        certificates.renew(self._tls)
        self._reload()

    def _password_refused(self) -> None:
        self._broker.add_user("osprey", "another")
        self._reload(until="not authorised")
        self._some_time()
        self._broker.add_user("osprey", "right")
        self._reload()

    def _reload(self, until: str = "") -> None:
        """The broker reads its files again, and the daemon has to connect anew, until the broker says something."""
        said = len(self._broker.output())
        self._broker.signal(signal.SIGHUP)
        wait_for(lambda: "Reloading config" in self._broker.output()[said:], "the broker's files")
        self._proxy.reset()
        wait_for(lambda: until in self._broker.output()[said:], until, 60)

    def _disk_full(self) -> None:
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        self._some_time()
        filler.unlink()


def verdict(announced: Sequence[dict[str, Any]], messages: Iterable[Message], dropped: int) -> dict[str, Any]:
    """What became of the events, and one sentence for each kind of thing that is wrong."""
    topics = {f"ospreyd/gate/{camera}/events" for camera in CAMERAS}
    came = [message.json() for message in messages if message.topic in topics]
    first: dict[str, dict[str, Any]] = {}
    wrong: set[str] = set()
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
    missing = [event for event in announced if event["id"] not in first]
    if len(missing) > dropped:
        wrong.add(f"{len(missing)} announced events did not come, the first {missing[0]}")
    return {
        "announced": len(announced),
        "came": len(first),
        "came_again": len(came) - len(first),
        "came_late": sum(event["replayed"] for event in first.values()),
        "missing": len(missing),
        "dropped": dropped,
        "wrong": sorted(wrong),
    }


def torment(faults: int, seconds: float, seed: int) -> dict[str, Any]:
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
        found = verdict(bench.announced(), bench.subscriber.messages(), bench.status.dropped)
        return {"seed": seed, "faults": order[:faults], "seconds": round(time.monotonic() - began, 1), **found}


def tell(folder: Path, port: int, start: int) -> None:
    """The daemon's part: events through the outbox until it is enough, each in the journal once it is on disk."""

    update = Outbox.update

    def journaled(outbox: Outbox, added: Sequence[tuple[str, bytes]], removed: Iterable[int]) -> int:
        dropped = update(outbox, added, removed)
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
        number = start * RUN
        while not (folder / "enough").exists():
            for camera in CAMERAS:
                running.event(Event(camera, EventType.APPEARED, time.time(), "person", number))
                number += 1
                time.sleep(EVERY)
        time.sleep(1.0)
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
    found = torment(options.faults, options.seconds, seed)
    print(json.dumps(found, indent=2))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
