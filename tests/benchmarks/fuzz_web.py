"""Random requests to the page of a running daemon: `python -m tests.benchmarks.fuzz_web --requests 10000`."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from daemon.demo.film import Shot, film
from tests.conftest import wait_for
from tests.daemon.running import daemon
from tests.servers.mosquitto import Mosquitto
from tests.web.fuzzing import send
from tests.web.running import WebPage, folders, page, web_box

_CLIENTS = 8  # at once: some requests wait for a picture, or for the daemon


def sent(web: WebPage, requests: int, seed: int) -> Counter[int]:
    """How many were answered with which status, by one client over one connection."""
    chance, counts = random.Random(seed), Counter[int]()
    with web.client() as client:
        for _ in range(requests):
            if (answer := send(client, chance)) is not None:
                counts[answer.status_code] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with folders(folder), Mosquitto(folder) as broker:
            video = film(Shot("street", 320, 240, 5.0, seed=21), folder / "street.mp4", 2.0).file
            document = web_box(broker, {"street": {"source": str(video), "loop": True}})
            with daemon(folder, document) as process, page(folder, document) as web, web.client() as client:
                wait_for(lambda: client.get("api/state").json()["cameras"], "the daemon", 60)
                began = time.monotonic()
                with ThreadPoolExecutor(_CLIENTS) as threads:
                    seeds = range(given.seed, given.seed + _CLIENTS)
                    each = [threads.submit(sent, web, given.requests // _CLIENTS, seed) for seed in seeds]
                    counts = sum((one.result() for one in each), Counter[int]())
                took = time.monotonic() - began
                logs = web.log + (folder / "log").read_text()
                print(f"{counts.total()} requests in {took:.0f} s: {dict(sorted(counts.items()))}")
                print(f"tracebacks {logs.count('Traceback')}, daemon runs: {process.poll() is None}")


if __name__ == "__main__":
    main()
