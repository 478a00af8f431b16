"""A broker that speaks TLS, a network and a daemon that tells events, and how each of them can fail."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.outbox.opened import read_status
from tests.benchmarks.outbox_damage import damage, waiting
from tests.conftest import ROOT, wait_for
from tests.servers import certificates
from tests.servers.clock import Clock
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.proxy import Proxy
from tests.servers.subscriber import Subscriber

_SETTLED_WITHIN = 150.0  # seconds after the last fault, in which all that waits has to arrive
_DISK = "16m"


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
        self.outbox = self.disk / "outbox.db"
        self._mounted = self._mount(stack)
        self._clock = Clock(folder / "clock")
        self.in_damaged: set[str] = set()
        """ids of events that waited in a file that was damaged"""
        self.dropped = 0
        """events that the outbox has counted as dropped"""
        self.wrong: set[str] = set()
        """what only a look at the moment can show, a sentence each"""
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
            "outbox damaged": self._outbox_damaged,
            "clock jumps": self._clock_jumps,
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
        wait_for((self._folder / "told").exists, "the last event", _SETTLED_WITHIN)
        with suppress(BaseException):  # the verdict reports what did not arrive
            wait_for(lambda: read_status(self.outbox).waiting == 0, "an empty outbox", _SETTLED_WITHIN)
        self.dropped += read_status(self.outbox).dropped

    def _start_daemon(self) -> None:
        self._starts += 1
        command = [sys.executable, "-m", "tests.benchmarks.outbox_faults", "--tell", str(self._folder)]
        command += ["--port", str(self._proxy.port), "--start", str(self._starts)]
        self._log = self._folder / f"daemon-{self._starts}.log"
        with self._log.open("w") as log:
            environment = {**os.environ, **self._clock.environment}
            self._daemon = subprocess.Popen(command, cwd=ROOT, stderr=log, env=environment)

    def _kill_daemon(self) -> None:
        self._daemon.kill()
        self._daemon.wait()

    def _mount(self, stack: ExitStack) -> bool:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(self.disk)]
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

    def _outbox_damaged(self) -> None:
        self._proxy.silent = True
        wait_for(lambda: read_status(self.outbox).waiting >= 10, "ten events that wait", 60)
        self._kill_daemon()
        self.dropped += read_status(self.outbox).dropped
        ids = waiting(self.outbox)
        self.in_damaged |= ids
        print(f"          {damage(self.outbox, ids, self._rng)}", file=sys.stderr, flush=True)
        self._proxy.reset()
        self._start_daemon()
        self._proxy.silent = False
        wait_for(lambda: "is damaged" in self._log.read_text(), "what the daemon says of the damage", 60)

    def _clock_jumps(self) -> None:
        """There and back, while events wait that it might age."""
        dropped = read_status(self.outbox).dropped
        self._proxy.silent = True
        wait_for(lambda: read_status(self.outbox).waiting >= 10, "ten events that wait", 60)
        self._clock.set(self._rng.choice(("+30d", "-30d")))
        wait_for(lambda: abs(self._told_at() - time.time()) > 3600, "an event of another time", 60)
        self._some_time()
        self._clock.set("+0")
        wait_for(lambda: abs(self._told_at() - time.time()) < 60, "an event of this time", 60)
        self._proxy.reset()
        self._proxy.silent = False
        wait_for(lambda: read_status(self.outbox).waiting < 5, "the end of the backlog", 60)
        if read_status(self.outbox).dropped != dropped:
            self.wrong.add("a clock that jumped has aged events")

    def _told_at(self) -> float:
        """When the newest event was, by the daemon's clock."""
        lines = max(self._folder.glob("journal-*")).read_bytes().split(b"\n")
        if len(lines) < 2:
            return time.time()
        return datetime.fromisoformat(json.loads(lines[-2])["time"].replace("Z", "+00:00")).timestamp()

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
        """The broker reads its files again, and the daemon has to reconnect, until the broker says something."""
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
